"""The server's own gauges in the table, one line each."""

from collections.abc import Iterator

from tracebench.analysis.numbers import rounded
from tracebench.model.results.result import Gauge, TargetResult


def gauge_lines(target: TargetResult) -> Iterator[str]:
    """A line for each gauge with its values during the run."""
    if not target.gauges:
        return
    yield "the server's gauges, once a second (least · median · most):"
    for name, gauge in target.gauges.items():
        yield f"  {name} {_shown(gauge)}"


def _shown(gauge: Gauge) -> str:
    return " · ".join(f"{rounded(value)}" for value in (gauge.min, gauge.median, gauge.max))

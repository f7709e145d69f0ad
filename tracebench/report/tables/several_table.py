"""Several runs on the terminal: a line for each target, so that they can be seen side by side."""

from collections.abc import Iterator
from typing import NamedTuple

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from tracebench.analysis.numbers import rounded, whole_percent
from tracebench.model.results.result import Result, TargetResult
from tracebench.report.several import Several, targets_of
from tracebench.report.tables.component_table import value
from tracebench.report.tables.terminal import WIDTH, cropped, indented, printed, shortened

HEADINGS = ("ms", "ok", "/s", "p50", "p95", "p99", "mostly")
_NAME, _MOSTLY = 22, 18
_PERCENTILES = ("p50_ms", "p95_ms", "p99_ms")


class Row(NamedTuple):
    """One target of one run."""

    title: str
    values: tuple[str, ...]
    """Successes, their rate, and the percentiles."""
    mostly: str
    """The component that takes most of the mean, and its share."""
    valid: bool


def rows(several: Several[Result]) -> Iterator[Row]:
    """Yield the rows, in the order of the results."""
    for title, target, _ in targets_of(several):
        counts = f"{target.requests.succeeded:,}", rounded(target.throughput_rps)
        percentiles = (value(target.latency, name) for name in _PERCENTILES)
        valid = target.verdict.valid
        yield Row(title, (*counts, *percentiles), _mostly(target), valid)


def _mostly(target: TargetResult) -> str:
    if not target.share:
        return ""
    largest = max(target.share, key=lambda name: target.share[name])
    return f"{largest} {whole_percent(target.share[largest])}"


def render(several: Several[Result], *, width: int = WIDTH, color: bool = False) -> str:
    """The runs side by side as text; targets whose numbers are not valid are marked.

    Args:
        several: the runs.
        width: the maximum line length.
        color: whether to use terminal codes for colours and weight.
    """
    found = list(rows(several))
    parts: list[RenderableType] = [_table(found)]
    if not all(row.valid for row in found):
        parts.append(indented(Text("✗ NOT VALID: do not trust these numbers", style="bold red")))
    return printed(parts, width, color=color)


def heading(name: str, *, color: bool = False) -> str:
    """The name of a result, above its own answer."""
    return printed([Text(f"── {name} ──", style="bold")], WIDTH, color=color)


def _table(found: list[Row]) -> RenderableType:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in HEADINGS:
        text = heading in ("ms", "mostly")
        table.add_column(heading, justify="left" if text else "right", no_wrap=True)
    for row in found:
        mark = "" if row.valid else "✗ "
        title = cropped(mark + shortened(row.title, _NAME - len(mark)), _NAME)
        style = None if row.valid else "red"
        table.add_row(title, *row.values, shortened(row.mostly, _MOSTLY), style=style)
    return indented(table)

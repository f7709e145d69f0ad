"""The tool's own influence on the numbers, a line each."""

from collections.abc import Iterator

from tracebench.model.result import Floor, TargetResult
from tracebench.report.numbers import milliseconds


def lines(target: TargetResult) -> Iterator[str]:
    """What was measured of it."""
    if target.floor is not None:
        yield _floor(target.floor)


def _floor(floor: Floor) -> str:
    medians = {"end_to_end": floor.end_to_end, "network": floor.network, "client": floor.client}
    told = ", ".join(f"{name} {milliseconds(one.p50_ms)}" for name, one in medians.items())
    clear = "; in the clear" if floor.in_the_clear else ""
    return f"floor (a server that does nothing), p50: {told}; {floor.throughput_rps:,.0f}/s{clear}"

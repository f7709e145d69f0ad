"""Differences as rows of a table, each with a drawing of its distance from zero."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from server_middleware.vocabulary import INFERENCE_PARTS, SERVER_PROCESSING
from tracebench.model.components import END_TO_END, LATENCY, LEAVES, SERVER_AND_NETWORK
from tracebench.model.results.result import Difference

_ORDER = (END_TO_END, LATENCY, *LEAVES, *INFERENCE_PARTS, SERVER_AND_NETWORK, SERVER_PROCESSING)
_HALF = 47
"""Width of the drawing on either side of zero, in percent."""


@dataclass(frozen=True, slots=True)
class DifferenceRow:
    """The difference in one statistic of one component."""

    component: str
    is_first: bool
    """Whether this is the first row of its component."""
    statistic: str
    found: Difference
    word: str
    """`slower`, `faster`, or empty if no difference is shown."""
    point: float
    """Position of the difference in the drawing, in percent of its width; 50 is zero."""
    low: float
    high: float
    """Ends of the interval in the drawing (`low`, `high`); both equal `point` if there is none."""

    @property
    def percent(self) -> float | None:
        """The difference as a percentage of a; None if a is 0."""
        return 100 * self.found.delta / self.found.a if self.found.a else None


def difference_rows(
    components: Mapping[str, Mapping[str, Difference]],
) -> tuple[DifferenceRow, ...]:
    """Rows for every statistic, all drawn to the same scale."""
    known = [name for name in _ORDER if name in components]
    names = (*known, *(name for name in components if name not in known))
    told = [
        (name, statistic, one)
        for name in names
        for statistic, one in components[name].items()
        if one.a or one.b
    ]
    widest = max((max(map(abs, _ends(one))) for _, _, one in told), default=0.0) or 1.0
    return tuple(_rows(told, widest))


def _rows(told: list[tuple[str, str, Difference]], widest: float) -> Iterator[DifferenceRow]:
    before = ""
    for name, statistic, one in told:
        point, low, high = (50 + _HALF * value / widest for value in (one.delta, *_ends(one)))
        yield DifferenceRow(name, name != before, statistic, one, _word(one), point, low, high)
        before = name


def _ends(one: Difference) -> tuple[float, float]:
    return (one.delta, one.delta) if one.ci95 is None else one.ci95


def _word(one: Difference) -> str:
    """The verdict from judging all statistics together, or else from the interval alone."""
    if one.verdict is not None:
        return "" if one.verdict == "no difference shown" else one.verdict
    if one.ci95 is None or one.ci95[0] <= 0 <= one.ci95[1]:
        return ""
    return "slower" if one.ci95[0] > 0 else "faster"

"""When a run may end: as soon as a statistic is known well enough (`--until-stable`)."""

from typing import Final, Protocol

from tracebench.analysis.statistics.steady_state import stable
from tracebench.model.plan import Stability
from tracebench.model.record.exchange import Nanoseconds

_MOST_LOOKED_AT: Final = 20_000
"""Most latencies examined per check, evenly spaced: a check in the window takes a few ms."""
_GROWTH: Final = 1.1
"""Factor by which the number of requests must grow before the next check."""
_FEWEST: Final = 100
_MARGIN: Final = 0.95
"""Allowance for the last replies, which slightly widen the interval again."""


class Latencies(Protocol):
    """The latencies of a run in progress."""

    def __len__(self) -> int: ...

    def latencies_ns(self, most: int) -> Nanoseconds:
        """Evenly spaced latencies since the start, about `most` at most."""


class UntilStable:
    """Checks a run in progress from time to time."""

    def __init__(self, asked: Stability) -> None:
        self._asked = asked
        self._next_look = _FEWEST
        self._held = False

    def __call__(self, seen: Latencies) -> bool:
        """Whether the run may end: two consecutive checks found the statistic precise enough."""
        if len(seen) < self._next_look:
            return False
        self._next_look = int(len(seen) * _GROWTH) + 1
        held, self._held = self._held, self._look(seen)
        return held and self._held

    def _look(self, seen: Latencies) -> bool:
        values_ns = seen.latencies_ns(_MOST_LOOKED_AT)
        return bool(stable(values_ns, self._asked.statistic, _MARGIN * self._asked.share))

"""When a run may end: as soon as a statistic is known well enough (`--until-stable`)."""

from typing import Final

from tracebench.analysis.statistics.steady_state import stable
from tracebench.load.recording.rows import Recorder
from tracebench.model.plan import Stability

_MOST_LOOKED_AT: Final = 20_000
"""Latencies, evenly spaced, so that a look inside the window takes no more than some ms."""
_GROWTH: Final = 1.1
"""A look is worth its time when the run has grown by so much since the last."""
_FEWEST: Final = 100
_MARGIN: Final = 0.95
"""The last replies widen the interval again, a little."""


class Enough:
    """Looks at a run under way, now and then."""

    def __init__(self, asked: Stability) -> None:
        self._asked = asked
        self._next_look = _FEWEST
        self._held = False

    def __call__(self, recorder: Recorder) -> bool:
        """Whether the run may end: at two looks, one after the other, it was known well enough."""
        if len(recorder) < self._next_look:
            return False
        self._next_look = int(len(recorder) * _GROWTH) + 1
        held, self._held = self._held, self._look(recorder)
        return held and self._held

    def _look(self, recorder: Recorder) -> bool:
        values_ns = recorder.latencies_ns(_MOST_LOOKED_AT)
        return bool(stable(values_ns, self._asked.statistic, _MARGIN * self._asked.share))

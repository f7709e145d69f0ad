"""How long to wait for stragglers: pure, so that its tests need no clock."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

FLUSH_S: Final = 5.0
"""BatchSpanProcessor's default: a batch that is not full is sent this long after the last."""
MARGIN_S: Final = 1.0
LONGEST_QUIET_S: Final = 20.0
LONGEST_S: Final = 60.0


class Patience:
    """Waits until all is there, or nothing new came for longer than exporters take to flush.

    Args:
        arrivals_s: when batches came during the run; the longest pause between two of them is an
            interval at which they are flushed.
        load_began_s: since then spans are made.
        now_s: when the waiting begins; all on one clock.
    """

    def __init__(self, arrivals_s: Sequence[float], load_began_s: float, now_s: float) -> None:
        pauses_s = [b - a for a, b in pairwise(sorted(arrivals_s))]
        self.quiet_s = min(max([FLUSH_S, *pauses_s]) + MARGIN_S, LONGEST_QUIET_S)
        self._load_began_s = load_began_s
        self._began_s = self._new_s = now_s

    def came(self, now_s: float) -> None:
        """Something that was waited for came."""
        self._new_s = now_s

    def knows_all(self, now_s: float) -> bool:
        """Whether every exporter must have been heard of: a short run ends before they flush."""
        return now_s - self._load_began_s > FLUSH_S + MARGIN_S

    def is_over(self, now_s: float) -> bool:
        """Whether nothing more is to be expected."""
        return now_s - self._new_s > self.quiet_s or now_s - self._began_s > LONGEST_S

    def left_s(self, now_s: float) -> float:
        """How long it will wait if nothing comes."""
        until_s = min(self._new_s + self.quiet_s, self._began_s + LONGEST_S)
        return max(until_s - now_s, 0.0)

"""The unit of time of a page: the same everywhere, so that numbers can be compared."""

from dataclasses import dataclass
from typing import Final

from tracebench.analysis.numbers import milliseconds, signed

_MICROSECONDS_BELOW_MS: Final = 0.1
_SECONDS_FROM_MS: Final = 10_000.0


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of time."""

    name: str
    per_ms: float
    """Number of units in a millisecond."""

    @classmethod
    def fit_for(cls, typical_ms: float) -> "Unit":
        """The unit in which a typical latency is neither tiny nor huge."""
        if typical_ms >= _SECONDS_FROM_MS:
            return cls("s", 1e-3)
        return cls("µs", 1e3) if 0 < typical_ms < _MICROSECONDS_BELOW_MS else cls("ms", 1.0)

    def text(self, ms: float) -> str:
        """Format a time, without the unit's name."""
        return milliseconds(ms * self.per_ms)

    def signed(self, ms: float) -> str:
        """Format a difference, without the unit's name."""
        return signed(ms * self.per_ms)

    def interval(self, ms: tuple[float, float] | None) -> str:
        """Format an interval; empty if there is none."""
        return "" if ms is None else " … ".join(map(self.text, ms))

    def signed_interval(self, ms: tuple[float, float] | None) -> str:
        """Format an interval of a difference; empty if there is none."""
        return "unknown" if ms is None else " … ".join(map(self.signed, ms))

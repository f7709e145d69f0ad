"""How far a run has come: counts, and latencies in buckets; snapshots of several can be added up.

It knows no numpy: the terminal's line is drawn from it, and `--help` must stay quick.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from operator import add, sub
from typing import Final

_E24: Final = (
    *(10, 11, 12, 13, 15, 16, 18, 20, 22, 24, 27, 30),
    *(33, 36, 39, 43, 47, 51, 56, 62, 68, 75, 82, 91),
)
"""Preferred numbers (IEC 60063): each is about 10 % above the last, and every second one is in E12,
every fourth in E6, which coarser histograms can use without splitting a bucket."""
_DECADES: Final = range(3, 11)
BOUNDS_NS: Final = tuple(step * 10**decade for decade in _DECADES for step in _E24)
"""Upper bounds of the buckets, inclusive, from 10 µs to 910 s; longer ones have a last bucket."""
_NONE: Final = (0,) * (len(BOUNDS_NS) + 1)
SUCCEEDED: Final = ""
"""The kind of requests that succeeded."""


@dataclass(frozen=True, slots=True)
class Latencies:
    """How many latencies fell into each bucket."""

    counts: tuple[int, ...] = _NONE
    """One for each of `BOUNDS_NS`, and one for what is longer."""
    sum_ns: int = 0

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(self.counts)

    def __add__(self, other: "Latencies") -> "Latencies":
        """Both together."""
        return Latencies(tuple(map(add, self.counts, other.counts)), self.sum_ns + other.sum_ns)

    def __sub__(self, other: "Latencies") -> "Latencies":
        """Those that came since an earlier snapshot."""
        return Latencies(tuple(map(sub, self.counts, other.counts)), self.sum_ns - other.sum_ns)

    def percentile_ms(self, percent: float) -> float:
        """The latency that this share does not exceed, interpolated within its bucket; 0 if none.

        A bucket is 10 % wide, so the result is at most that far from the sample's percentile.
        """
        below = list(accumulate(self.counts))
        if not below[-1]:
            return 0.0
        wanted = below[-1] * percent / 100
        at = bisect_left(below, max(wanted, 1e-9))
        low_ns = BOUNDS_NS[at - 1] if at else 0
        high_ns = BOUNDS_NS[at] if at < len(BOUNDS_NS) else low_ns
        part = (wanted - (below[at] - self.counts[at])) / self.counts[at]
        return (low_ns + (high_ns - low_ns) * part) / 1e6


@dataclass(frozen=True, slots=True)
class Progress:
    """A snapshot of a target's run; those of several processes add up to that of all."""

    finished: int
    """Requests that have ended, however they did."""
    elapsed_s: float
    tokens: int = 0
    """Tokens in the streams read so far."""
    in_flight: int = 0
    """Requests that have started and not ended."""
    latencies: Mapping[str, Latencies] = field(default_factory=dict)
    """`SUCCEEDED`, or the type of error → latencies (end to end) of the requests that ended so and
    have been counted, but for those that the client cut short. Empty unless the watcher asks for
    it."""
    workers: str = ""
    """The state of the processes that share the load, as `3 of 4 workers`; empty if it is one."""

    @property
    def all_latencies(self) -> Latencies:
        """The latencies of all, failures included."""
        return _together(self.latencies.values())

    @property
    def errors(self) -> dict[str, int]:
        """Type of error → how many requests ended so."""
        return {kind: one.count for kind, one in self.latencies.items() if kind != SUCCEEDED}

    def __add__(self, other: "Progress") -> "Progress":
        """What two processes that run at the same time have done together."""
        kinds = dict.fromkeys((*self.latencies, *other.latencies))
        return Progress(
            self.finished + other.finished,
            max(self.elapsed_s, other.elapsed_s),
            self.tokens + other.tokens,
            self.in_flight + other.in_flight,
            {kind: _of(self, kind) + _of(other, kind) for kind in kinds},
        )


def _of(one: Progress, kind: str) -> Latencies:
    return one.latencies.get(kind, Latencies())


def _together(those: Iterable[Latencies]) -> Latencies:
    return sum(those, Latencies())


def error_type(status: str, outcome: str) -> str:
    """The type of a failure: its status if that is the error, else how the request ended.

    Args:
        status: the reply's HTTP status code or gRPC status name; empty without a reply.
        outcome: `failed`, `timed_out` or `cancelled`.
    """
    return outcome if says_success(status) else status


def says_success(status: str) -> bool:
    """Whether a status is none, or one of a success."""
    return status in ("", "OK") or status[0] == "2"

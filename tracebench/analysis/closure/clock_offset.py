"""Bounds for how far the server's clock is ahead of the client's, from cause and effect.

A server starts on a request after the client sent it, and ends before the reply arrives, so each
request bounds the offset between the clocks. The intersection is as wide as the least transit times
of both directions together. No measurement uses it: each duration comes from a single clock.
"""

from collections.abc import Iterator
from math import ceil
from typing import Final, NamedTuple

from tracebench.analysis.closure.selection import Selection
from tracebench.model.record.columns import ABSENT
from tracebench.model.record.exchange import ClockOffset, Nanoseconds
from tracebench.model.record.requests import ARRIVED, SENT
from tracebench.model.record.server_times import STARTED, TOTAL

_STRETCHES: Final = 64
"""How many stretches a run with drifting clocks is divided into; within one, drift is small."""


def clock_offset(chosen: Selection) -> ClockOffset | None:
    """Bound the offset of the server's clock.

    If no offset fits all requests, the run is divided into stretches, and the interval spans the
    offsets that fit each of them.

    Args:
        chosen: decomposed requests with their server times.

    Returns:
        The interval; None if no server reports when it began.
    """
    started = chosen.column(lambda part: part.told(STARTED))
    told = started != ABSENT
    if not told.any():
        return None
    bounds = _Bounds(
        (started + chosen.column(lambda part: part.told(TOTAL) - part.at(ARRIVED)))[told],
        (started - chosen.column(lambda part: part.at(SENT)))[told],
    )
    stretches = [bounds.common()]
    if stretches[0].is_empty:
        length = ceil(len(bounds.low_ns) / _STRETCHES)
        starts = range(0, len(bounds.low_ns), length)
        stretches = [one for at in starts for one in _fitting(bounds.part(at, at + length))]
    lows_ns, highs_ns = zip(*stretches, strict=True)
    return ClockOffset(min(lows_ns), max(highs_ns), max(0, max(lows_ns) - min(highs_ns)))


class _Interval(NamedTuple):
    low_ns: int
    high_ns: int

    @property
    def is_empty(self) -> bool:
        return self.low_ns > self.high_ns


class _Bounds(NamedTuple):
    """Bounds of the offset, one pair a request."""

    low_ns: Nanoseconds
    high_ns: Nanoseconds

    def common(self) -> _Interval:
        return _Interval(int(self.low_ns.max()), int(self.high_ns.min()))

    def part(self, begin: int, end: int) -> "_Bounds":
        return _Bounds(self.low_ns[begin:end], self.high_ns[begin:end])


def _fitting(bounds: _Bounds) -> Iterator[_Interval]:
    """The offsets that fit a whole stretch or, if there are none, those that fit its halves."""
    if not (common := bounds.common()).is_empty:
        yield common
        return
    middle = len(bounds.low_ns) // 2
    yield from _fitting(bounds.part(0, middle))
    yield from _fitting(bounds.part(middle, len(bounds.low_ns)))

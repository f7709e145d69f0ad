"""How far the server's clock is ahead of the client's, as far as cause and effect can tell.

A server starts on a request after the client sent it, and has ended before the reply arrives. Each
request so bounds the offset between the clocks; what all allow is an interval as wide as the least
times under way, in both directions together. No measurement uses it: durations come from one clock.
"""

from collections.abc import Iterable, Iterator, Sequence
from math import ceil
from typing import Final, NamedTuple

from tracebench.model.exchange import ClockOffset, Exchange, Timing

_STRETCHES: Final = 64
"""Of a run in which the clocks drift; within each of them they hardly do."""


def clock_offset(pairs: Iterable[tuple[Exchange, Timing]]) -> ClockOffset | None:
    """Bound the offset of the server's clock.

    Where no offset fits all requests, the run is divided into stretches, and the interval spans
    what fits each of them.

    Args:
        pairs: requests that were decomposed, in order, and what the server says of each.

    Returns:
        The interval; None where no server says when it began.
    """
    bounds = [
        _Bounds(
            timing.started_ns + timing.total_ns - exchange.arrived_ns,
            timing.started_ns - exchange.sent_ns,
        )
        for exchange, timing in pairs
        if timing.started_ns is not None
    ]
    if not bounds:
        return None
    stretches = [_common(bounds)]
    if stretches[0].is_empty:
        length = ceil(len(bounds) / _STRETCHES)
        starts = range(0, len(bounds), length)
        stretches = [one for at in starts for one in _fitting(bounds[at : at + length])]
    lows_ns, highs_ns = zip(*stretches, strict=True)
    return ClockOffset(min(lows_ns), max(highs_ns), max(0, max(lows_ns) - min(highs_ns)))


class _Bounds(NamedTuple):
    low_ns: int
    high_ns: int

    @property
    def is_empty(self) -> bool:
        return self.low_ns > self.high_ns


def _common(bounds: Sequence[_Bounds]) -> _Bounds:
    return _Bounds(max(one.low_ns for one in bounds), min(one.high_ns for one in bounds))


def _fitting(bounds: Sequence[_Bounds]) -> Iterator[_Bounds]:
    """What fits all of a stretch; where nothing does, what fits either half."""
    if not (common := _common(bounds)).is_empty:
        yield common
        return
    middle = len(bounds) // 2
    yield from _fitting(bounds[:middle])
    yield from _fitting(bounds[middle:])

"""Histograms that any HdrHistogram library reads, from sorted samples.

A slot is as wide as 3 significant digits allow: 1,024 slots of equal width for every doubling.
The slots and the encoding (V2, compressed, as base64) are those of http://hdrhistogram.org; the
Python package would need setuptools and pbr at run time, and counts 1.3 µs a value, where the
sorted sample that the percentiles need gives all counts at once.
"""

import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final

import numpy as np

from tracebench.analysis.statistics.distribution import Ordered
from tracebench.model.columns import Int64

DIGITS: Final = 3
_COARSE: Final = 2
_HALVES: Final = {_COARSE: 7, DIGITS: 10}
"""Significant digits → of how many slots for a doubling it is the logarithm."""

_PAYLOAD: Final = Struct(">IIIIQQd")
"""Cookie, length of the counts, an offset, digits, least and greatest value, ratio."""
_OUTER: Final = Struct(">II")
_COOKIE: Final = 0x1C849303 | 0x10
_COMPRESSED: Final = 0x1C849304 | 0x10
_MOST_BYTES: Final = 9
"""Of one count."""
_MOST_INFLATED: Final = 2**20
"""Bytes: more than all slots of 54 doublings can take."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many values fell into each slot."""

    counts: Int64
    """Of successive slots, the first of which is number `first`; both ends are not 0."""
    first: int
    digits: int = DIGITS

    @property
    def least_ns(self) -> Int64:
        """The least value of each slot."""
        return _least(np.arange(len(self.counts)) + self.first, self.digits)

    def coarse(self) -> "Histogram":
        """The same in slots of 2 digits, of which each is made up of whole ones of 3."""
        slots = _slots(self.least_ns, _COARSE)
        counts = np.bincount(slots - slots[0], self.counts).astype(np.int64)
        return Histogram(counts, int(slots[0]), _COARSE)


def histogram_of(ordered_ns: Ordered) -> Histogram:
    """Count a sample.

    Args:
        ordered_ns: at least one value, ascending; what is below 0 counts as 0.
    """
    ends_ns = np.maximum(ordered_ns[[0, -1]].astype(np.int64), 0)
    first, last = _slots(ends_ns, DIGITS).tolist()
    above_ns = _least(np.arange(first + 1, last + 1), DIGITS).astype(ordered_ns.dtype)
    below = np.searchsorted(ordered_ns, above_ns)
    return Histogram(np.diff(below, prepend=0, append=len(ordered_ns)), first)


def encoded(histogram: Histogram) -> str:
    """Write a histogram: V2, compressed, base64."""
    end_ns = _least(np.array([histogram.first + len(histogram.counts)]), histogram.digits)
    counts = _varints(_runs(histogram))
    head = (len(counts), 0, histogram.digits, 1, max(int(end_ns[0]) - 1, 2), 1.0)
    packed = zlib.compress(_PAYLOAD.pack(_COOKIE, *head) + counts)
    return b64encode(_OUTER.pack(_COMPRESSED, len(packed)) + packed).decode()


def decoded(text: str) -> Histogram:
    """Read a histogram that `encoded` wrote.

    Raises:
        ValueError: it is damaged, or not of a kind that `encoded` writes.
    """
    raw = b64decode(text, validate=True)
    try:
        cookie, length = _OUTER.unpack_from(raw)
        inner = zlib.decompressobj().decompress(raw[_OUTER.size :], _MOST_INFLATED)
        _, size, _, digits, least, _, _ = _PAYLOAD.unpack_from(inner)
    except Exception as error:
        raise ValueError(f"it is no histogram ({error})") from None
    values = _values(inner[_PAYLOAD.size :])
    if cookie != _COMPRESSED or length != len(raw) - _OUTER.size or least != 1:
        raise ValueError("it is no compressed V2 histogram")
    if digits not in _HALVES or size != len(inner) - _PAYLOAD.size or not len(values):
        raise ValueError("it has other digits than 2 or 3, or no counts")
    return _unpacked(values, digits)


def merged(histograms: Sequence[Histogram]) -> Histogram:
    """All values together; in slots of 2 digits where one of them has these."""
    if len({one.digits for one in histograms}) > 1:
        histograms = [one.coarse() if one.digits == DIGITS else one for one in histograms]
    first = min(one.first for one in histograms)
    end = max(one.first + len(one.counts) for one in histograms)
    counts = np.zeros(end - first, np.int64)
    for one in histograms:
        counts[one.first - first :][: len(one.counts)] += one.counts
    return Histogram(counts, first, histograms[0].digits)


def quantiles_ms(histogram: Histogram, shares: Sequence[float]) -> list[float]:
    """The values that such shares of all are at or below, each the middle of its slot."""
    reached = np.cumsum(histogram.counts)
    wanted = np.clip(np.ceil(np.asarray(shares) * reached[-1]), 1, reached[-1])
    slots = np.searchsorted(reached, wanted) + histogram.first
    edges = _least(np.stack((slots, slots + 1)), histogram.digits)
    return np.asarray((edges[0] + edges[1] - 1) / 2e6).tolist()  # type: ignore[no-any-return]


def within(
    room_bytes: int, histograms: Mapping[str, Histogram], custom: Sequence[str]
) -> dict[str, str]:
    """Write the histograms of a target, so that its result stays small.

    Where they would take too much, those of custom-named parts get 2 digits; where that is not
    enough, all do.

    Args:
        room_bytes: how much all may take.
        histograms: by component.
        custom: the parts with names of the author's own.
    """
    written = {name: encoded(one) for name, one in histograms.items()}
    for coarse in (custom, tuple(histograms)):
        if sum(map(len, written.values())) <= room_bytes:
            break
        written |= {name: encoded(histograms[name].coarse()) for name in coarse if name in written}
    return written


def _slots(values_ns: Int64, digits: int) -> Int64:
    """The number of each value's slot."""
    half = _HALVES[digits]
    bits = np.frexp(values_ns.astype(np.float64))[1]
    doublings = np.maximum(bits - (half + 1), 0)
    return np.asarray((doublings << half) + (values_ns >> doublings))


def _least(slots: Int64, digits: int) -> Int64:
    """The least value of each slot."""
    half = _HALVES[digits]
    doublings = np.maximum((slots >> half) - 1, 0)
    return np.asarray((slots - (doublings << half)) << doublings)


def _runs(histogram: Histogram) -> Int64:
    """The counts from slot 0 on; where several slots in a row are empty, minus how many."""
    filled = np.flatnonzero(histogram.counts)
    empty = np.diff(filled + histogram.first, prepend=-1) - 1
    pairs = np.stack((np.where(empty == 1, 0, -empty), histogram.counts[filled]), axis=1)
    told = np.stack((empty > 0, np.ones(len(filled), np.bool_)), axis=1)
    return np.asarray(pairs[told])


def _varints(values: Int64) -> bytes:
    """ZigZag LEB128: 7 bits a byte, the lowest first.

    All bytes of a value but its last have the eighth bit.
    """
    zigzag = ((values << 1) ^ (values >> 63)).astype(np.uint64)
    longest = max(-(-int(zigzag.max()).bit_length() // 7), 1)
    shifts = np.arange(0, 7 * longest, 7, dtype=np.uint64)
    left = zigzag[:, None] >> shifts
    there = left > 0
    there[:, 0] = True
    more = np.zeros_like(there)
    more[:, :-1] = there[:, 1:]
    return np.where(more, left & 0x7F | 0x80, left & 0x7F).astype(np.uint8)[there].tobytes()


def _values(data: bytes) -> Int64:
    """What `_varints` wrote."""
    octets = np.frombuffer(data, np.uint8).astype(np.uint64)
    last = octets < 0x80
    if not len(octets) or not last[-1]:
        return np.zeros(0, np.int64)
    starts = np.flatnonzero(np.concatenate(([True], last[:-1])))
    within = np.arange(len(octets)) - np.repeat(starts, np.diff(starts, append=len(octets)))
    if within.max() >= _MOST_BYTES:
        raise ValueError("it has a count of more than 9 bytes")
    zigzag = np.add.reduceat((octets & 0x7F) << (7 * within).astype(np.uint64), starts)
    return (zigzag >> 1).astype(np.int64) ^ -(zigzag & 1).astype(np.int64)


def _unpacked(values: Int64, digits: int) -> Histogram:
    """The inverse of `_runs`.

    Raises:
        ValueError: there are more slots than any number of nanoseconds needs.
    """
    ends = np.cumsum(np.where(values < 0, -values, 1))
    if not 0 < ends[-1] <= 54 << _HALVES[digits] or not (values > 0).any():
        raise ValueError("its counts lead nowhere")
    counts = np.zeros(int(ends[-1]), np.int64)
    counts[ends[values > 0] - 1] = values[values > 0]
    filled = np.flatnonzero(counts)
    return Histogram(counts[filled[0] : filled[-1] + 1], int(filled[0]), digits)

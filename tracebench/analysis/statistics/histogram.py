"""Histograms that any HdrHistogram library can read, from sorted samples.

A slot is as wide as 3 significant digits allow: 1,024 slots of equal width for every doubling.
The slots and the encoding (V2, compressed, as base64) are those of http://hdrhistogram.org; the
Python package would need setuptools and pbr at run time, and takes 1.3 µs to count a value, whereas
the sorted sample, needed for percentiles anyway, gives all counts at once.
"""

import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final

import numpy as np

from tracebench.analysis.statistics.distribution import Ordered
from tracebench.model.record.columns import Int64

DIGITS: Final = 3
_COARSE: Final = 2
_HALVES: Final = {_COARSE: 7, DIGITS: 10}
"""Significant digits → binary logarithm of the number of slots a doubling."""

_PAYLOAD: Final = Struct(">IIIIQQd")
"""Header: cookie, length of the counts, offset, digits, least and greatest value, ratio."""
_OUTER: Final = Struct(">II")
_COOKIE: Final = 0x1C849303 | 0x10
_COMPRESSED: Final = 0x1C849304 | 0x10
_MOST_BYTES: Final = 9
"""Most bytes of one encoded count."""
_MOST_INFLATED: Final = 2**20
"""Most decompressed bytes accepted; more than all slots of 54 doublings can take."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many values fell into each slot."""

    counts: Int64
    """Counts of successive slots from number `first` on; neither end is 0."""
    first: int
    digits: int = DIGITS

    @property
    def least_ns(self) -> Int64:
        """The least value of each slot."""
        return _least(np.arange(len(self.counts)) + self.first, self.digits)

    def coarse(self) -> "Histogram":
        """The histogram with 2 significant digits; its slots consist of whole ones of 3 digits."""
        slots = _slots(self.least_ns, _COARSE)
        counts = np.bincount(slots - slots[0], self.counts).astype(np.int64)
        return Histogram(counts, int(slots[0]), _COARSE)


def histogram_of(ordered_ns: Ordered) -> Histogram:
    """Make a histogram of a sample.

    Args:
        ordered_ns: the values, ascending; not empty. Values below 0 count as 0.
    """
    ends_ns = np.maximum(ordered_ns[[0, -1]].astype(np.int64), 0)
    first, last = _slots(ends_ns, DIGITS).tolist()
    above_ns = _least(np.arange(first + 1, last + 1), DIGITS).astype(ordered_ns.dtype)
    below = np.searchsorted(ordered_ns, above_ns)
    return Histogram(np.diff(below, prepend=0, append=len(ordered_ns)), first)


def encoded(histogram: Histogram) -> str:
    """Encode a histogram: V2, compressed, base64."""
    end_ns = _least(np.array([histogram.first + len(histogram.counts)]), histogram.digits)
    counts = _varints(_runs(histogram))
    head = (len(counts), 0, histogram.digits, 1, max(int(end_ns[0]) - 1, 2), 1.0)
    packed = zlib.compress(_PAYLOAD.pack(_COOKIE, *head) + counts)
    return b64encode(_OUTER.pack(_COMPRESSED, len(packed)) + packed).decode()


def decoded(text: str) -> Histogram:
    """Decode a histogram written by `encoded`.

    Raises:
        ValueError: the text is damaged, or not in the form that `encoded` writes.
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
    """Add up histograms; the sum has 2 significant digits if any of them does."""
    if len({one.digits for one in histograms}) > 1:
        histograms = [one.coarse() if one.digits == DIGITS else one for one in histograms]
    first = min(one.first for one in histograms)
    end = max(one.first + len(one.counts) for one in histograms)
    counts = np.zeros(end - first, np.int64)
    for one in histograms:
        counts[one.first - first :][: len(one.counts)] += one.counts
    return Histogram(counts, first, histograms[0].digits)


def quantiles_ms(histogram: Histogram, shares: Sequence[float]) -> list[float]:
    """The quantiles at these shares (0 to 1), in ms, each as the middle of its slot."""
    reached = np.cumsum(histogram.counts)
    wanted = np.clip(np.ceil(np.asarray(shares) * reached[-1]), 1, reached[-1])
    slots = np.searchsorted(reached, wanted) + histogram.first
    edges = _least(np.stack((slots, slots + 1)), histogram.digits)
    return np.asarray((edges[0] + edges[1] - 1) / 2e6).tolist()  # type: ignore[no-any-return]


def within(
    room_bytes: int, histograms: Mapping[str, Histogram], custom: Sequence[str]
) -> dict[str, str]:
    """Encode the histograms of a target within a size limit.

    If they are too large, those of custom components are reduced to 2 digits; if that is not
    enough, all are.

    Args:
        room_bytes: the limit for all of them together.
        histograms: the histograms by component.
        custom: the components named by the server's author.
    """
    written = {name: encoded(one) for name, one in histograms.items()}
    for coarse in (custom, tuple(histograms)):
        if sum(map(len, written.values())) <= room_bytes:
            break
        written |= {name: encoded(histograms[name].coarse()) for name in coarse if name in written}
    return written


def _slots(values_ns: Int64, digits: int) -> Int64:
    """The slot number of each value."""
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
    """The counts from slot 0 on; a run of empty slots becomes minus its length."""
    filled = np.flatnonzero(histogram.counts)
    empty = np.diff(filled + histogram.first, prepend=-1) - 1
    pairs = np.stack((np.where(empty == 1, 0, -empty), histogram.counts[filled]), axis=1)
    told = np.stack((empty > 0, np.ones(len(filled), np.bool_)), axis=1)
    return np.asarray(pairs[told])


def _varints(values: Int64) -> bytes:
    """Encode values as ZigZag LEB128: 7 bits a byte, the lowest first.

    All bytes of a value except the last have the eighth bit set.
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
    """Decode what `_varints` wrote."""
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
        ValueError: there are more slots than 64-bit nanoseconds can need.
    """
    ends = np.cumsum(np.where(values < 0, -values, 1))
    if not 0 < ends[-1] <= 54 << _HALVES[digits] or not (values > 0).any():
        raise ValueError("its counts lead nowhere")
    counts = np.zeros(int(ends[-1]), np.int64)
    counts[ends[values > 0] - 1] = values[values > 0]
    filled = np.flatnonzero(counts)
    return Histogram(counts[filled[0] : filled[-1] + 1], int(filled[0]), digits)

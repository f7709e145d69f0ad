"""A run divided into successive blocks, which show how much its statistics vary over time.

Blocks are long, so that requests of different blocks hardly depend on each other, and few, so that
a result file stays small. Percentiles of a half cannot be derived from those of its blocks, so both
halves of a run are described separately.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from tracebench.analysis.statistics.distribution import NS_PER_MS, in_order, rank
from tracebench.model.record.columns import Int64
from tracebench.model.record.exchange import Nanoseconds
from tracebench.model.results.blocks import BlockSeries
from tracebench.model.results.statistics import PERMILLE

USUAL: Final = 32
MOST: Final = 64
"""Most blocks of a run; rounds of a paired run are merged with their neighbours to keep to it."""
_SHORTEST: Final = 20
"""Least requests in a block, and least values for a block's 95th percentile."""
_OF_HALVES: Final = ("mean_ms", "p50_ms", "p95_ms", "p99_ms")
_DIGITS: Final = 6
"""Decimals of values in ms: nothing is known below a nanosecond."""


def block_starts(scheduled_ns: Int64, rounds_ns: Sequence[int] = ()) -> Int64:
    """Choose when blocks begin.

    Args:
        scheduled_ns: when each request was due, ascending.
        rounds_ns: starts of the rounds of a run that alternates between targets; they become the
            blocks. Empty: make an even number of blocks with equal numbers of requests.

    Returns:
        Block starts in ns, strictly ascending; at least one if there are requests.
    """
    if len(rounds_ns):
        every = -(-len(rounds_ns) // MOST)
        return np.unique(np.asarray(rounds_ns, np.int64))[::every]
    count = len(scheduled_ns)
    blocks = min(USUAL, count // _SHORTEST // 2 * 2) or min(count, 2)
    return np.unique(scheduled_ns[np.arange(blocks) * count // max(blocks, 1)])


def bounds_of(scheduled_ns: Int64, starts_ns: Int64) -> Int64:
    """Where blocks begin and end among requests; the first block includes anything before it.

    Args:
        scheduled_ns: when each request was due, ascending.
        starts_ns: when the blocks begin, ascending.

    Returns:
        Indices from 0 to the number of requests, one more than there are blocks.
    """
    inner = np.searchsorted(scheduled_ns, starts_ns[1:])
    return np.concatenate(([0], inner, [len(scheduled_ns)]))


def among(known: Nanoseconds, bounds: Int64) -> Int64:
    """Translate bounds to a subset of the values, given its ascending indices `known`."""
    return np.asarray(np.searchsorted(known, bounds))


def series(values_ns: Nanoseconds, bounds: Int64) -> BlockSeries:
    """Describe a column for each block, and for each half of the run.

    Args:
        values_ns: the values, in the order of scheduling.
        bounds: where the blocks begin and end among them.
    """
    totals_ns = _sums(values_ns, bounds)
    counts = np.diff(bounds)
    p50_ms, p95_ms = zip(*_percentiles(values_ns, bounds), strict=True)
    return BlockSeries(
        mean_ms=tuple(
            _ms(total / count) if count else None
            for total, count in zip(totals_ns.tolist(), counts.tolist(), strict=True)
        ),
        p50_ms=p50_ms,
        p95_ms=p95_ms,
        halves=_halves(values_ns, int(bounds[len(counts) // 2])),
    )


def _sums(values_ns: Nanoseconds, bounds: Int64) -> Int64:
    """The sum of each block; `np.add.reduceat` cannot handle empty ones."""
    sums_ns, filled = np.zeros(len(bounds) - 1, np.int64), np.diff(bounds) > 0
    if len(values_ns):
        sums_ns[filled] = np.add.reduceat(values_ns, bounds[:-1][filled])
    return sums_ns


def _percentiles(
    values_ns: Nanoseconds, bounds: Int64
) -> Iterator[tuple[float | None, float | None]]:
    for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        ordered_ns, count = in_order(values_ns[begin:end]), end - begin
        yield (
            _ms(int(ordered_ns[rank(count, 500) - 1])) if count else None,
            _ms(int(ordered_ns[rank(count, 950) - 1])) if count >= _SHORTEST else None,
        )


def _halves(values_ns: Nanoseconds, middle: int) -> dict[str, tuple[float, float]]:
    if middle in (0, len(values_ns)):
        return {}
    first, second = _described(values_ns[:middle]), _described(values_ns[middle:])
    return {name: (first[name], second[name]) for name in _OF_HALVES}


def _described(values_ns: Nanoseconds) -> dict[str, float]:
    ordered_ns, count = in_order(values_ns), len(values_ns)
    ranks = {name: rank(count, PERMILLE[name]) for name in _OF_HALVES[1:]}
    percentiles = {name: _ms(int(ordered_ns[at - 1])) for name, at in ranks.items()}
    return {"mean_ms": _ms(float(values_ns.mean())), **percentiles}


def _ms(ns: float) -> float:
    return round(ns / NS_PER_MS, _DIGITS)

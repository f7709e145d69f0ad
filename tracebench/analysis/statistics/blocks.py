"""A run cut into successive blocks, which tell how far its statistics wander.

Blocks are long, so that requests of different ones hardly depend on each other, and few, so that
a result file stays small. Percentiles of a whole cannot be had from those of its blocks: both
halves of a run are therefore described by themselves.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from tracebench.analysis.statistics.distribution import NS_PER_MS, in_order, rank
from tracebench.model.blocks import BlockSeries
from tracebench.model.columns import Int64
from tracebench.model.exchange import Nanoseconds
from tracebench.model.statistics import PERMILLE

USUAL: Final = 32
MOST: Final = 64
"""Rounds of a paired run are merged with their neighbours until there are no more."""
_SHORTEST: Final = 20
"""Requests in a block, at least; and values for a 95th percentile of one."""
_OF_HALVES: Final = ("mean_ms", "p50_ms", "p95_ms", "p99_ms")
_DIGITS: Final = 6
"""Of ms: nothing is known of less than a nanosecond."""


def block_starts(scheduled_ns: Int64, rounds_ns: Sequence[int] = ()) -> Int64:
    """When blocks begin.

    Args:
        scheduled_ns: when each request was due, in order.
        rounds_ns: where rounds of a run that alternates between targets begin, which are blocks
            then; empty: blocks of equal numbers of requests are made, an even number of them.

    Returns:
        At least one begin where there are requests; each is later than the one before.
    """
    if len(rounds_ns):
        every = -(-len(rounds_ns) // MOST)
        return np.unique(np.asarray(rounds_ns, np.int64))[::every]
    count = len(scheduled_ns)
    blocks = min(USUAL, count // _SHORTEST // 2 * 2) or min(count, 2)
    return np.unique(scheduled_ns[np.arange(blocks) * count // max(blocks, 1)])


def bounds_of(scheduled_ns: Int64, starts_ns: Int64) -> Int64:
    """Where blocks begin and end among some requests; what came before the first belongs to it.

    Args:
        scheduled_ns: when each request was due, in order.
        starts_ns: when the blocks begin.

    Returns:
        One more than there are blocks, from 0 to the number of requests.
    """
    inner = np.searchsorted(scheduled_ns, starts_ns[1:])
    return np.concatenate(([0], inner, [len(scheduled_ns)]))


def among(known: Nanoseconds, bounds: Int64) -> Int64:
    """The same bounds among fewer values: the places that `known` tells, ascending."""
    return np.asarray(np.searchsorted(known, bounds))


def series(values_ns: Nanoseconds, bounds: Int64) -> BlockSeries:
    """Describe a column block by block, and in halves.

    Args:
        values_ns: in the order of scheduling.
        bounds: of the blocks, among them.
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
    """Of each block; `reduceat` knows no empty ones."""
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

"""Where the slowest requests spend their extra time.

Percentiles of components do not add up; conditional means do: the mean latency of the slowest 1 %,
minus that of the requests around the median, is the sum of the same differences of all components.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tracebench.analysis.statistics.correlation import student_t95
from tracebench.analysis.statistics.distribution import NS_PER_MS, Ordered, in_order
from tracebench.model.components import END_TO_END, LEAVES, SERVER_AND_NETWORK
from tracebench.model.record.exchange import Nanoseconds
from tracebench.model.results.result import Tail, TailPart

_SLOWEST: Final = {"slowest_1_percent": 100, "slowest_5_percent": 20}
"""Name → the divisor of the number of requests that gives the group's size."""
_FEWEST: Final = 20
"""Slow requests needed for a meaningful mean."""
_USUAL: Final = (45, 55)
"""The requests around the median lie between these percentiles."""
_BLOCKS: Final = 16

_Sums = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


class _Group(NamedTuple):
    """A group of requests by block: sums of each column, shape (columns, blocks), and counts."""

    sums_ns: _Sums
    counts: npt.NDArray[np.int64]

    def mean_ns(self) -> _Sums:
        """Each column's mean."""
        return np.asarray(self.sums_ns.sum(1) / self.counts.sum())

    def means_without_ns(self) -> _Sums:
        """Each column's mean with one block left out; shape (columns, blocks)."""
        left_ns = self.sums_ns.sum(1, keepdims=True) - self.sums_ns
        return np.asarray(left_ns / (self.counts.sum() - self.counts))


def attribute_tail(columns: Mapping[str, Nanoseconds]) -> dict[str, Tail]:
    """Divide the excess of the slowest 1 % and 5 % over the requests around the median.

    Args:
        columns: `end_to_end` and the leaf components, which sum to it, in the order of time.

    Returns:
        Name of the group → its tail; groups of fewer than 20 requests, or without excess, are
        left out.
    """
    end_to_end_ns = columns[END_TO_END]
    count = len(end_to_end_ns)
    asked = {
        name: count // one_of for name, one_of in _SLOWEST.items() if count // one_of >= _FEWEST
    }
    if not asked:
        return {}
    ranks = [(count - slow, count) for slow in asked.values()]
    groups = _ranked(end_to_end_ns, [(_place(count, 0), _place(count, 1)), *ranks])
    leaves = dict(_sums(columns, groups))
    sums_ns = [*leaves.values(), [_by_block(end_to_end_ns, rows) for rows in groups]]
    usual, *slowest = (
        _Group(np.array([of_column[at] for of_column in sums_ns]), _counts(rows, count))
        for at, rows in enumerate(groups)
    )
    tails = {
        name: _divide([*leaves], slow, usual) for name, slow in zip(asked, slowest, strict=True)
    }
    return {name: tail for name, tail in tails.items() if tail is not None}


def _place(count: int, end: int) -> int:
    return count * _USUAL[end] // 100


def _ranked(values_ns: Nanoseconds, ranks: Sequence[tuple[int, int]]) -> list[Rows]:
    """The indices of the values between each pair of ranks; of equals, the later is greater."""
    ordered_ns = in_order(values_ns)
    return [_between(values_ns, ordered_ns, begin, end) for begin, end in ranks]


def _between(values_ns: Nanoseconds, ordered_ns: Ordered, begin: int, end: int) -> Rows:
    low_ns, high_ns = int(ordered_ns[begin]), int(ordered_ns[end - 1])
    inside = np.flatnonzero((values_ns >= low_ns) & (values_ns <= high_ns))
    at_ns = values_ns[inside]
    before = begin - int(np.searchsorted(ordered_ns, low_ns))
    after = int(np.searchsorted(ordered_ns, high_ns, "right")) - end
    left_out = np.concatenate(
        (
            inside[at_ns == low_ns][:before],
            inside[at_ns == high_ns][-after:] if after else inside[:0],
        )
    )
    return inside[~np.isin(inside, left_out)] if len(left_out) else inside


def _divide(leaves: Sequence[str], of_slow: _Group, of_usual: _Group) -> Tail | None:
    excess_ns = of_slow.mean_ns() - of_usual.mean_ns()
    if excess_ns[-1] <= 0:
        return None
    share = excess_ns / excess_ns[-1]
    half = _half_widths(of_slow, of_usual)
    return Tail(
        count=int(of_slow.counts.sum()),
        usual_count=int(of_usual.counts.sum()),
        slowest_ms=float(of_slow.mean_ns()[-1]) / NS_PER_MS,
        usual_ms=float(of_usual.mean_ns()[-1]) / NS_PER_MS,
        excess_ms=float(excess_ns[-1]) / NS_PER_MS,
        components={
            name: TailPart(
                excess_ms=float(excess_ns[at]) / NS_PER_MS,
                share=float(share[at]),
                ci95=None
                if half is None
                else (float(share[at] - half[at]), float(share[at] + half[at])),
            )
            for at, name in enumerate(leaves)
        },
    )


def _sums(
    columns: Mapping[str, Nanoseconds], groups: Sequence[Rows]
) -> Iterator[tuple[str, list[_Sums]]]:
    """The sums of each reported leaf component, by group and block.

    Unreported values count as 0. Each column is accessed once, since it is computed on access.
    """
    for name in (*LEAVES, SERVER_AND_NETWORK):
        if name in columns:
            column_ns = columns[name]
            if (column_ns >= 0).any():
                yield name, [_by_block(column_ns, rows) for rows in groups]


def _by_block(column_ns: Nanoseconds, rows: Rows) -> _Sums:
    told_ns = np.maximum(column_ns[rows], 0)
    return np.asarray(np.bincount(_blocks(rows, len(column_ns)), told_ns, _BLOCKS))


def _counts(rows: Rows, count: int) -> npt.NDArray[np.int64]:
    return np.bincount(_blocks(rows, count), minlength=_BLOCKS)


def _blocks(rows: Rows, count: int) -> Rows:
    """The block of the run that each row belongs to."""
    return np.asarray(rows * _BLOCKS // count)


def _half_widths(slow: _Group, usual: _Group) -> _Sums | None:
    """Half the width of each share's 95 % interval, by a jackknife over blocks of requests.

    Blocks keep correlated requests together (Künsch 1989, The jackknife and the bootstrap for
    general stationary observations, Annals of Statistics 17). The choice of slow requests is taken
    as given; in simulations the coverage is 90 % to 96 %.

    Returns:
        None if leaving out one block removes all the excess: it is a single event.
    """
    if any(group.counts.max() == group.counts.sum() for group in (slow, usual)):
        return None
    excess_ns = slow.means_without_ns() - usual.means_without_ns()
    if (excess_ns[-1] <= 0).any():
        return None
    shares = excess_ns / excess_ns[-1]
    spread = ((shares - shares.mean(1, keepdims=True)) ** 2).sum(1)
    return np.asarray(student_t95(_BLOCKS - 1) * np.sqrt(spread * (_BLOCKS - 1) / _BLOCKS))

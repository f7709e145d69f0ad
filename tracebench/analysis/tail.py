"""What the slowest requests spend their extra time on.

Percentiles of components do not add up; conditional means do: the mean latency of the slowest 1 %,
less that of the requests around the median, is the sum of the same difference of every component.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tracebench.analysis.closure import reported
from tracebench.analysis.statistics import NS_PER_MS
from tracebench.analysis.student import student_t95
from tracebench.model.exchange import Nanoseconds
from tracebench.model.result import Tail, TailPart
from tracebench.vocabulary import END_TO_END, LEAVES, SERVER_AND_NETWORK

_SLOWEST: Final = {"slowest_1_percent": 100, "slowest_5_percent": 20}
"""Name → one of how many."""
_FEWEST: Final = 20
"""Slow requests, for a mean of theirs that means something."""
_USUAL: Final = (45, 55)
"""Around the median: between these percentiles."""
_BLOCKS: Final = 16

_Sums = npt.NDArray[np.float64]


class _Group(NamedTuple):
    """Some requests, by block: sums of each column (columns × blocks), and how many."""

    sums_ns: _Sums
    counts: npt.NDArray[np.int64]

    def mean_ns(self) -> _Sums:
        """Each column's mean."""
        return np.asarray(self.sums_ns.sum(1) / self.counts.sum())

    def means_without_ns(self) -> _Sums:
        """Each column's mean where one block is left out: columns × blocks."""
        left_ns = self.sums_ns.sum(1, keepdims=True) - self.sums_ns
        return np.asarray(left_ns / (self.counts.sum() - self.counts))


def attribute_tail(columns: Mapping[str, Nanoseconds]) -> dict[str, Tail]:
    """Divide what the slowest 1 % and 5 % take longer than the requests around the median.

    Args:
        columns: of `end_to_end` and of the leaves, which sum to it, in the order of time.

    Returns:
        Nothing for a share of which there are fewer than 20 requests, or which takes no longer.
    """
    count = len(columns[END_TO_END])
    found = {}
    for name, one_of in _SLOWEST.items():
        if count // one_of < _FEWEST:
            continue
        order = np.argsort(columns[END_TO_END], kind="stable")
        slow, usual = order[-(count // one_of) :], order[_place(count, 0) : _place(count, 1)]
        if tail := _divide(columns, slow, usual):
            found[name] = tail
    return found


def _place(count: int, end: int) -> int:
    return count * _USUAL[end] // 100


def _divide(
    columns: Mapping[str, Nanoseconds],
    slow: npt.NDArray[np.int64],
    usual: npt.NDArray[np.int64],
) -> Tail | None:
    leaves = [
        name
        for name in (*LEAVES, SERVER_AND_NETWORK)
        if name in columns and len(reported(columns[name]))
    ]
    named = [*leaves, END_TO_END]
    of_slow, of_usual = (_group([columns[name] for name in named], rows) for rows in (slow, usual))
    excess_ns = of_slow.mean_ns() - of_usual.mean_ns()
    if excess_ns[-1] <= 0:
        return None
    share = excess_ns / excess_ns[-1]
    half = _half_widths(of_slow, of_usual)
    return Tail(
        count=len(slow),
        usual_count=len(usual),
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


def _group(columns: list[Nanoseconds], rows: npt.NDArray[np.int64]) -> _Group:
    """Sum up some rows by the block of the run that they lie in; not reported counts as 0."""
    block = rows * _BLOCKS // len(columns[0])
    sums_ns = [np.bincount(block, np.maximum(column[rows], 0), _BLOCKS) for column in columns]
    return _Group(np.array(sums_ns), np.bincount(block, minlength=_BLOCKS))


def _half_widths(slow: _Group, usual: _Group) -> _Sums | None:
    """Of each share's 95 % interval: the jackknife over blocks of successive requests.

    Blocks keep what is correlated together (Künsch 1989, The jackknife and the bootstrap for
    general stationary observations, Annals of Statistics 17). Which requests are slow is taken as
    given; in simulations it covers 90 % to 96 %.

    Returns:
        None where without one block nothing is left of the excess: it is one event.
    """
    if any(group.counts.max() == group.counts.sum() for group in (slow, usual)):
        return None
    excess_ns = slow.means_without_ns() - usual.means_without_ns()
    if (excess_ns[-1] <= 0).any():
        return None
    shares = excess_ns / excess_ns[-1]
    spread = ((shares - shares.mean(1, keepdims=True)) ** 2).sum(1)
    return np.asarray(student_t95(_BLOCKS - 1) * np.sqrt(spread * (_BLOCKS - 1) / _BLOCKS))

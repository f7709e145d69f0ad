"""Differences between two targets measured in alternating blocks, from pairs of blocks.

Changes from one round to the next affect both blocks of a pair, and cancel out of their difference;
the order within a round is random, so that changes within it favour neither target. The precision
of a difference follows from the pairs alone: dependence between the requests of a block does not
matter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from math import ceil, nan, sqrt
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from tracebench.analysis.closure.decomposition import client_view, due, reported, successes
from tracebench.analysis.statistics.distribution import NS_PER_MS
from tracebench.analysis.statistics.student_t import critical_t, two_sided_p
from tracebench.model.measurement import Measurement
from tracebench.model.record.columns import Int64
from tracebench.model.record.exchange import Decomposition, Nanoseconds
from tracebench.model.record.requests import SCHEDULED
from tracebench.model.results.statistics import COMPARED, PERMILLE

Series: TypeAlias = npt.NDArray[np.float64]
"""A statistic of successive blocks, in ms; NaN where a block does not have it."""

LEAST_PAIRS: Final = 6
"""Pairs needed for an interval."""


class _Manner(NamedTuple):
    """How a statistic is compared."""

    trimmed: float
    """Share of the differences left out at either end: 0 for means, so that those of components add
    up; above 0 for percentiles, so that a few disturbed blocks do not decide them."""
    least_requests: int
    """Requests needed in a typical block; with fewer, several rounds are merged into one block."""


_MANNERS: Final = {
    "mean_ms": _Manner(0.0, 1),
    "p50_ms": _Manner(0.2, 5),
    "p95_ms": _Manner(0.2, 15),
}


# The measurements of a target in each round.


@dataclass(frozen=True, slots=True)
class Rounds:
    """The component times of a target's requests, and the rounds they belong to."""

    columns: Mapping[str, Nanoseconds]
    """Component → ns for each request, in the order of scheduling; −1: not reported."""
    bounds: Int64
    """Index of each round's first request, and the end of the last round."""
    blocks_s: tuple[float, ...]
    """Duration of the target's block in each round."""


def rounds_of(load: Measurement, decomposition: Decomposition) -> Rounds:
    """Divide a measurement into rounds.

    Args:
        load: the measurement, with one block a round; without blocks it counts as a single round.
        decomposition: the decomposition of the same requests, or of the traced ones among them.
    """
    if decomposition.count:
        columns, due_ns = decomposition.columns, decomposition.scheduled()
    else:
        columns, due_ns = client_view(load.requests), successes(load.requests).column(due)
    scheduled = load.requests.columns.whole(SCHEDULED)
    last_due_ns = np.concatenate(([-1], np.maximum.accumulate(scheduled)))
    ends = np.array(load.block_ends or [len(scheduled)])
    bounds = np.searchsorted(due_ns, last_due_ns[ends], "right")
    return Rounds(columns, np.concatenate(([0], bounds)), load.blocks_s or (load.duration_s,))


def pair_count(a: Rounds, b: Rounds) -> int:
    """The number of rounds that have a block of both targets."""
    return min(len(a.bounds), len(b.bounds)) - 1


# One statistic of the difference, from its pairs.


_t95: Final = cache(critical_t)
"""Cached: it is computed by bisection, and needed for each statistic of each component."""


class Estimate(NamedTuple):
    """An estimated difference b − a, in ms."""

    delta: float
    ci95: tuple[float, float] | None
    """The 95 % interval; None if there are too few pairs."""
    p: float
    """The two-sided p-value; 1 if there is no interval."""


def estimate(a: Series, b: Series, statistic: str) -> Estimate | None:
    """Estimate the difference of a statistic, with its interval.

    It is the mean of the differences within the pairs, trimmed for percentiles; its interval is
    Student's t with winsorised variance (Yuen & Dixon 1973, The approximate behaviour and
    performance of the two-sample trimmed t, Biometrika 60; for pairs Wilcox 2012, Introduction to
    robust estimation and hypothesis testing, section 5.9).

    Args:
        a: the statistic of each block of target A.
        b: the statistic of target B's blocks, in the same order.
        statistic: `mean_ms`, `p50_ms` or `p95_ms`.

    Returns:
        The estimate; None if no pair has the statistic on both sides.
    """
    differences = np.sort((b - a)[~np.isnan(b - a)])
    count, trimmed = len(differences), int(_MANNERS[statistic].trimmed * len(differences))
    if not count:
        return None
    kept = differences[trimmed : count - trimmed]
    delta = float(kept.mean())
    if count < LEAST_PAIRS:
        return Estimate(delta, None, 1.0)
    winsorised = np.clip(differences, kept[0], kept[-1])
    error = float(winsorised.std(ddof=1)) * sqrt(count) / len(kept)
    degrees = len(kept) - 1
    half = _t95(degrees) * error
    p = two_sided_p(delta / error, degrees) if error else float(delta == 0)
    return Estimate(delta, (delta - half, delta + half), p)


# All statistics of two targets.


def estimates(a: Rounds, b: Rounds, components: Sequence[str]) -> dict[tuple[str, str], Estimate]:
    """Estimate all differences b − a, by component and statistic.

    Args:
        a: the rounds of target A.
        b: the rounds of target B.
        components: the components that both have.
    """
    edges = {name: _edges(a, b, name) for name in COMPARED}
    found = {}
    for component in components:
        columns_ns = [one.columns[component] for one in (a, b)]
        for name in COMPARED:
            of_a, of_b = (
                series(values_ns, one.bounds[edges[name]], name)
                for values_ns, one in zip(columns_ns, (a, b), strict=True)
            )
            if (one := estimate(of_a, of_b, name)) is not None:
                found[component, name] = one
    return found


def rounds_a_block(a: Rounds, b: Rounds, statistic: str) -> int:
    """How many rounds to merge into one block, so that blocks have enough requests."""
    rounds = pair_count(a, b)
    if not rounds:
        return 1
    usual = min(float(np.median(np.diff(one.bounds[: rounds + 1]))) for one in (a, b))
    return ceil(_MANNERS[statistic].least_requests / max(usual, 1.0))


def _edges(a: Rounds, b: Rounds, statistic: str) -> Int64:
    """Where blocks begin and end, as indices of rounds."""
    rounds = pair_count(a, b)
    blocks = max(1, rounds // rounds_a_block(a, b, statistic))
    return np.arange(blocks + 1) * rounds // blocks


def series(values_ns: Nanoseconds, bounds: Int64, statistic: str) -> Series:
    """Compute a statistic of each block.

    Args:
        values_ns: a component's time for each request, in the order of scheduling; −1: not
            reported.
        bounds: index of each block's first request, and the end of the last block.
        statistic: `mean_ms`, `p50_ms` or `p95_ms`.
    """
    blocks = (reported(values_ns[first:end]) for first, end in pairwise(bounds.tolist()))
    return np.array([_described(one, statistic) for one in blocks]) / NS_PER_MS


def _described(values_ns: Nanoseconds, statistic: str) -> float:
    if not len(values_ns):
        return nan
    if statistic not in PERMILLE:
        return float(values_ns.mean())
    return _quantile(np.sort(values_ns), PERMILLE[statistic] / 1000)


def _quantile(ordered_ns: Nanoseconds, p: float) -> float:
    """A quantile interpolated at p·(n + 1), so that blocks of different sizes compare.

    On average, the k-th of n values lies at k/(n + 1) of its distribution (Hyndman & Fan 1996,
    Sample quantiles in statistical packages, The American Statistician 50, definition 6).
    """
    at = min(max(p * (len(ordered_ns) + 1) - 1, 0.0), len(ordered_ns) - 1.0)
    below = int(at)
    low, high = float(ordered_ns[below]), float(ordered_ns[min(below + 1, len(ordered_ns) - 1)])
    return low + (at - below) * (high - low)

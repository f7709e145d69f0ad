"""The difference of two targets that were measured by turns, from pairs of their blocks.

Whatever changes from one round to the next meets both blocks of a pair, and is no part of their
difference; the order within a round is random, so that what changes within one favours neither.
The pairs alone say how far a difference can be trusted: how the requests of a block depend on each
other does not matter.
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
from tracebench.model.columns import Int64
from tracebench.model.exchange import Decomposition, Nanoseconds
from tracebench.model.measurement import Measurement
from tracebench.model.requests import SCHEDULED
from tracebench.model.statistics import COMPARED, PERMILLE

Series: TypeAlias = npt.NDArray[np.float64]
"""A statistic of successive blocks, in ms; NaN where a block has none."""

LEAST_PAIRS: Final = 6
"""With fewer there is no interval."""


class _Manner(NamedTuple):
    """How a statistic is compared."""

    trimmed: float
    """The share of the differences that is left out at either end. Means are of all blocks: so
    those of the components add up. What disturbs a few blocks must not decide on percentiles."""
    least_requests: int
    """In the usual block: where it has fewer, several rounds are one block."""


_MANNERS: Final = {
    "mean_ms": _Manner(0.0, 1),
    "p50_ms": _Manner(0.2, 5),
    "p95_ms": _Manner(0.2, 15),
}


# What was measured of a target in each round.


@dataclass(frozen=True, slots=True)
class Rounds:
    """What a target's requests took, and in which round each was sent."""

    columns: Mapping[str, Nanoseconds]
    """Component → ns per request, in the order of scheduling; −1: not reported."""
    bounds: Int64
    """Where each round begins among them, and where the last one ends."""
    blocks_s: tuple[float, ...]
    """How long its block of each round took."""


def rounds_of(load: Measurement, decomposition: Decomposition) -> Rounds:
    """Part what was measured by rounds.

    Args:
        load: in blocks, one a round; or in the only one that there was.
        decomposition: of the same requests, or of those among them that were traced.
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
    """How many rounds have a block of both."""
    return min(len(a.bounds), len(b.bounds)) - 1


# One statistic of the difference, from its pairs.


_t95: Final = cache(critical_t)
"""It is found by halving, and asked for anew for each statistic of each component."""


class Estimate(NamedTuple):
    """A difference b − a in ms."""

    delta: float
    ci95: tuple[float, float] | None
    """95 %; None where there are too few pairs."""
    p: float
    """How often chance alone makes a difference that is as large; 1 where there is no interval."""


def estimate(a: Series, b: Series, statistic: str) -> Estimate | None:
    """The difference of a statistic, and how well it is known.

    It is the mean of the differences within the pairs, trimmed for percentiles, and its interval
    Student's t with winsorised variance (Yuen & Dixon 1973, The approximate behaviour and
    performance of the two-sample trimmed t, Biometrika 60; for pairs Wilcox 2012, Introduction to
    robust estimation and hypothesis testing, section 5.9).

    Args:
        a: the statistic of each block.
        b: the same of the other target's blocks, in the same order.
        statistic: `mean_ms`, `p50_ms` or `p95_ms`.

    Returns:
        None where no pair has it on both sides.
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
    """The differences b − a by component and statistic.

    Args:
        a: one target.
        b: the other.
        components: which both have.
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
    """How many rounds are one block for a statistic, so that blocks have requests enough."""
    rounds = pair_count(a, b)
    if not rounds:
        return 1
    usual = min(float(np.median(np.diff(one.bounds[: rounds + 1]))) for one in (a, b))
    return ceil(_MANNERS[statistic].least_requests / max(usual, 1.0))


def _edges(a: Rounds, b: Rounds, statistic: str) -> Int64:
    """Where blocks begin and end, in rounds."""
    rounds = pair_count(a, b)
    blocks = max(1, rounds // rounds_a_block(a, b, statistic))
    return np.arange(blocks + 1) * rounds // blocks


def series(values_ns: Nanoseconds, bounds: Int64, statistic: str) -> Series:
    """A statistic of each block.

    Args:
        values_ns: of the requests, in the order of scheduling; −1: not reported.
        bounds: where each block begins among them, and where the last one ends.
        statistic: see `estimate`.
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
    """Interpolated at p·(n + 1), so that blocks of different numbers of requests compare.

    The k-th of n values is at k/(n + 1) of its distribution, in the mean (Hyndman & Fan 1996,
    Sample quantiles in statistical packages, The American Statistician 50, definition 6).
    """
    at = min(max(p * (len(ordered_ns) + 1) - 1, 0.0), len(ordered_ns) - 1.0)
    below = int(at)
    low, high = float(ordered_ns[below]), float(ordered_ns[min(below + 1, len(ordered_ns) - 1)])
    return low + (at - below) * (high - low)

"""Statistics of a sample of latencies, with confidence intervals.

Percentiles are nearest-rank: each is a latency that occurred. If successive requests are
correlated, the intervals use the smaller number of independent requests that they are worth.
"""

from math import ceil, floor, sqrt
from typing import Final

import numpy as np
import numpy.typing as npt

from tracebench.analysis.statistics.correlation import (
    Z95,
    exceedance_inflation,
    inflation,
    moments,
    student_t95,
)
from tracebench.model.record.columns import ABSENT
from tracebench.model.record.exchange import Nanoseconds
from tracebench.model.results.result import Curve
from tracebench.model.results.statistics import PERMILLE, Statistics

NS_PER_MS: Final = 1e6
SAMPLE_FLOORS: Final = {"p50_ms": 6, "p90_ms": 64, "p95_ms": 130, "p99_ms": 662, "p999_ms": 6_636}
"""Samples below which a percentile has no interval.

With fewer than 6, even the extremes enclose the median with less than 95 % confidence
(1 − 2 · 0.5⁵ = 94 %). The others are the least n for which rank np + 1.96·√(np(1−p)) + 1 lies
inside the sample.
"""
_MEAN_FLOOR: Final = 6
_LARGEST_32_BIT: Final = 2**32 - 1
_CURVE: Final = 1 - np.concatenate(
    (np.linspace(1, 0.1, 91), np.geomspace(0.1, 1e-7, 106)[1:], [0.0])
)

Ordered = npt.NDArray[np.uint32] | npt.NDArray[np.int64]


def describe(
    values_ns: Nanoseconds, *, independent: bool = False, ordered_ns: Ordered | None = None
) -> Statistics:
    """Describe a sample of latencies.

    The standard deviation is the sample's (n − 1; 0 for one value). The mean's interval is
    Student's t; those of percentiles are the order statistics at ranks
    np ± 1.96·√(np(1−p)), rounded outwards (Hahn & Meeker, Statistical Intervals, section 5.2).
    Both are widened if the series is correlated, each by the inflation found in batches of its
    own quantity.

    Args:
        values_ns: the latencies, in the order of time; not empty.
        independent: the values are known to be independent, even if the series looks correlated.
        ordered_ns: the same values, sorted, if available.
    """
    ordered_ns = in_order(values_ns) if ordered_ns is None else ordered_ns
    count = len(ordered_ns)
    sample = moments(values_ns)
    mean_ns = sample.mean
    std_ns = sqrt(sample.variance * count / (count - 1)) if count > 1 else 0.0
    excess = 1.0 if independent else inflation(values_ns, sample)
    ci95 = {}
    if count >= _MEAN_FLOOR:
        half_ns = student_t95(count - 1) * std_ns * sqrt(excess / count)
        ci95["mean_ms"] = ((mean_ns - half_ns) / NS_PER_MS, (mean_ns + half_ns) / NS_PER_MS)
    for name in PERMILLE:
        series_ns = None if independent else values_ns
        if interval_ns := _interval(name, series_ns, ordered_ns):
            ci95[name] = (interval_ns[0] / NS_PER_MS, interval_ns[1] / NS_PER_MS)
    return Statistics(
        count=count,
        mean_ms=mean_ns / NS_PER_MS,
        std_ms=std_ns / NS_PER_MS,
        min_ms=_at(ordered_ns, 1),
        max_ms=_at(ordered_ns, count),
        ci95=ci95,
        unsupported=tuple(name for name in PERMILLE if name not in ci95),
        effective_count=round(count / excess),
        **{name: _at(ordered_ns, rank(count, permille)) for name, permille in PERMILLE.items()},
    )


def _interval(
    name: str, series_ns: Nanoseconds | None, ordered_ns: Ordered
) -> tuple[int, int] | None:
    """A percentile's 95 % interval in ns; None if the sample is worth too few values for one.

    Args:
        name: a key of PERMILLE.
        series_ns: the values in the order of time; None: they are independent.
        ordered_ns: the same values, sorted.
    """
    count, permille = len(ordered_ns), PERMILLE[name]
    if count < SAMPLE_FLOORS[name]:
        return None
    excess = 1.0
    if series_ns is not None:
        excess = exceedance_inflation(series_ns, int(ordered_ns[rank(count, permille) - 1]))
    if count / excess < SAMPLE_FLOORS[name]:
        return None
    low, high = interval_ranks(count, permille, excess)
    return int(ordered_ns[low - 1]), int(ordered_ns[high - 1])


def rank(count: int, permille: int) -> int:
    """The nearest rank of a percentile, from 1: the least with p·n values at or below it."""
    return max(1, -(-permille * count // 1000))


def interval_ranks(count: int, permille: int, excess: float = 1.0) -> tuple[int, int]:
    """The ranks (from 1) whose values enclose a percentile with about 95 % confidence.

    Args:
        count: number of values.
        permille: the percentile, times ten.
        excess: the variance relative to that of independent values.
    """
    p = permille / 1000
    half = Z95 * sqrt(excess * count * p * (1 - p))
    return max(1, floor(count * p - half)), min(count, ceil(count * p + half))


def in_order(values_ns: Nanoseconds) -> Ordered:
    """Sort a sample; it takes half the memory if all values are below 4.29 s."""
    narrow = len(values_ns) and values_ns.min() >= 0 and values_ns.max() <= _LARGEST_32_BIT
    ordered_ns = values_ns.astype(np.uint32 if narrow else np.int64)
    ordered_ns.sort()
    return ordered_ns


def curve(values_ns: Nanoseconds) -> Curve:
    """Reduce a sample to at most 200 points of its distribution function, denser in the tail.

    Args:
        values_ns: the latencies, in any order; not empty.

    Returns:
        Latencies that occurred, from the least (quantile 0) to the greatest (quantile 1).
    """
    ordered_ns = in_order(values_ns)
    count = len(ordered_ns)
    ranks = np.unique(np.clip(np.ceil(_CURVE * count), 1, count).astype(np.int64))
    return Curve(
        quantile=(0.0, *(ranks / count).tolist()),
        ms=(_at(ordered_ns, 1), *(ordered_ns[ranks - 1] / NS_PER_MS).tolist()),
    )


def _at(ordered_ns: Ordered, place: int) -> float:
    return float(ordered_ns[place - 1]) / NS_PER_MS


def describe_present(values_ns: Nanoseconds) -> Statistics | None:
    """Like `describe`, of the values that are not `ABSENT`; None if there are none."""
    known_ns = values_ns[values_ns != ABSENT]
    return describe(known_ns) if len(known_ns) else None

"""Samples whose values come in clusters, such as the gaps between the tokens of each request.

Values of one cluster resemble each other, so each cluster counts once in the intervals, however
many values it has.
"""

from math import sqrt
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tracebench.analysis.statistics.correlation import Z95, student_t95
from tracebench.analysis.statistics.distribution import NS_PER_MS, SAMPLE_FLOORS, rank
from tracebench.model.record.columns import Int64
from tracebench.model.results.statistics import PERMILLE, Statistics

FEWEST_CLUSTERS: Final = 30
"""Clusters needed for intervals; fewer reveal too little about how much clusters differ."""

Float64 = npt.NDArray[np.float64]


class Clustered(NamedTuple):
    """A clustered sample: values in ns, the weight and the cluster of each, number of clusters."""

    ns: Float64
    times: Int64
    cluster: Int64
    clusters: int


def describe_clustered(sample: Clustered) -> Statistics:
    """Describe a clustered sample; `effective_count` is the number of clusters.

    The mean's interval is that of a ratio of cluster totals. Intervals of percentiles are
    Woodruff's (1952): the quantiles at p plus and minus the error of the share of values below.
    """
    order = np.argsort(sample.ns, kind="stable")
    values, reached = sample.ns[order], np.cumsum(sample.times[order])
    total = int(reached[-1])
    mean = float(np.sum(sample.ns * sample.times)) / total
    variance = float(np.sum((sample.ns - mean) ** 2 * sample.times)) / max(total - 1, 1)
    ci95 = {}
    if (error := _error(sample, sample.ns, mean)) is not None:
        ci95["mean_ms"] = (mean - error) / NS_PER_MS, (mean + error) / NS_PER_MS
    found = dict[str, float]()
    for name, permille in PERMILLE.items():
        at = float(values[np.searchsorted(reached, rank(total, permille))])
        found[name], p = at / NS_PER_MS, permille / 1000
        error = _error(sample, (sample.ns <= at).astype(np.float64), p)
        if error is None or p * (1 - p) * Z95**2 < SAMPLE_FLOORS[name] * error**2:
            continue
        bounds = np.clip([(p - error) * total, (p + error) * total], 1, total)
        low, high = values[np.searchsorted(reached, np.round(bounds))]
        ci95[name] = float(low) / NS_PER_MS, float(high) / NS_PER_MS
    return Statistics(
        count=total,
        mean_ms=mean / NS_PER_MS,
        std_ms=sqrt(variance) / NS_PER_MS,
        min_ms=float(values[0]) / NS_PER_MS,
        max_ms=float(values[-1]) / NS_PER_MS,
        ci95=ci95,
        unsupported=tuple(name for name in PERMILLE if name not in ci95),
        effective_count=sample.clusters,
        **found,
    )


def _error(sample: Clustered, values: Float64, mean: float) -> float | None:
    """Half the width of the mean's 95 % interval; None if there are too few clusters."""
    if sample.clusters < FEWEST_CLUSTERS:
        return None
    sums = np.bincount(sample.cluster, (values - mean) * sample.times, sample.clusters)
    variance = float(np.sum(sums**2)) * sample.clusters / (sample.clusters - 1)
    return student_t95(sample.clusters - 1) * sqrt(variance) / int(np.sum(sample.times))

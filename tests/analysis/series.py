"""Series of latencies whose distribution is known, from seeds."""

from math import exp, sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from tracebench.model.record.exchange import Nanoseconds

SPREAD = 0.5
TYPICAL_NS = 10e6
"""Latencies are log-normal: a median of 10 ms, and a tail."""

_Z99 = 2.5758293035489004


def latencies(normal: npt.NDArray[np.float64]) -> Nanoseconds:
    """Latencies in ns from standard normal values."""
    return (TYPICAL_NS * np.exp(SPREAD * normal)).astype(np.int64)


def true_ms(statistic: str) -> float:
    """What the mean or a percentile of these latencies is."""
    if statistic == "mean_ms":
        return TYPICAL_NS / 1e6 * exp(SPREAD**2 / 2)
    quantile = {"p50_ms": 0.5, "p90_ms": 0.9, "p95_ms": 0.95, "p99_ms": 0.99}[statistic]
    return TYPICAL_NS / 1e6 * exp(SPREAD * NormalDist().inv_cdf(quantile))


def normal(seed: int, runs: int, count: int, phi: float = 0.0) -> npt.NDArray[np.float64]:
    """Runs of standard normal values; each leans on the one before by phi (AR(1))."""
    values = np.random.default_rng(seed).standard_normal((count, runs))
    for now in range(1, count) if phi else ():
        values[now] = phi * values[now - 1] + sqrt(1 - phi**2) * values[now]
    return np.ascontiguousarray(values.T)


def consistent(hits: int, runs: int, chance: float) -> bool:
    """Whether so many hits are what this chance gives, in a binomial test at 1 %."""
    return abs(hits - runs * chance) <= _Z99 * sqrt(runs * chance * (1 - chance)) + 0.5


def warming_up(duration_s: float, seed: int) -> Nanoseconds:
    """10 + 10·e^(−t/3 s) ms, one request after the other, each ± 10 %."""
    random = np.random.default_rng(seed)
    at_ms, latency_ms = 0.0, []
    while at_ms < duration_s * 1e3:
        latency_ms.append((10 + 10 * np.exp(-at_ms / 3e3)) * random.uniform(0.9, 1.1))
        at_ms += latency_ms[-1]
    return (np.array(latency_ms) * 1e6).astype(np.int64)

"""How well a long series determines its mean: moments, and the loss through correlation."""

from math import sqrt
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tracebench.model.record.exchange import Nanoseconds

# Quantiles of Student's t and the normal distribution for 95 % intervals.

Z95: Final = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""


def student_t95(degrees: int) -> float:
    """The 97.5 % quantile of Student's t, accurate to 0.001 for five or more degrees of freedom.

    Source: Abramowitz & Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    z = Z95
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92_160,
    )
    return z + sum(term / float(degrees) ** power for power, term in enumerate(terms, 1))


# Mean, variance and kurtosis of a long series, without copying it to floats.

_BLOCK: Final = 65_536


class Moments(NamedTuple):
    """Population moments (divided by n)."""

    mean: float
    variance: float
    kurtosis: float
    """Excess over a normal distribution; 0 if the variance is 0."""


def moments(values: Nanoseconds) -> Moments:
    """Compute the moments of a series, block by block to save memory."""
    mean = float(values.mean())
    squares = fourths = 0.0
    for at in range(0, len(values), _BLOCK):
        square = (values[at : at + _BLOCK] - mean) ** 2
        squares += float(square.sum())
        fourths += float(square @ square)
    variance = squares / len(values)
    kurtosis = fourths / len(values) / variance**2 - 3 if variance else 0.0
    return Moments(mean, variance, kurtosis)


# What correlated requests are worth: they carry less information than independent ones.
#
# In a closed loop a slow moment of the server hits every slot; a stall puts its requests into
# the tail together. Non-overlapping batches show how much: the scatter of their means reflects
# that of the whole series' mean, whatever the correlation within them (Law & Carson 1979, A
# sequential procedure for determining the length of a steady-state simulation, Operations
# Research 27; Schmeiser 1982).

_MOST, _MEASURING, _LEAST = 256, 32, 8
"""Numbers of batches: many detect a weak correlation; few are long enough to measure a strong one,
and more than about 30 hardly improve its interval (Schmeiser 1982)."""
_SHORTEST: Final = 16
"""Least values in a batch."""
_Z_ONE_SIDED: Final = 1.6448536269514722
"""The normal quantile that independent values exceed by chance in 5 % of all series."""

_Floats = npt.NDArray[np.float64]


def inflation(values_ns: Nanoseconds, sample: Moments) -> float:
    """The variance of a series' mean, relative to that of as many independent values.

    Args:
        values_ns: the series, in the order of time.
        sample: its moments.

    Returns:
        1 if no correlation is detected (false alarms: 5 % of independent series) or the series is
        too short to tell (below 128). Otherwise above 1, widened by Student's t for its own
        uncertainty. A series of n values is worth n / inflation independent ones.
    """
    if sample.variance == 0:
        return 1.0
    batches = _count(len(values_ns))
    size = len(values_ns) // batches
    means = _whole(values_ns, batches).reshape(batches, size).mean(1) - sample.mean
    return _inflation(means, size, sample.variance, sample.kurtosis)


def exceedance_inflation(values_ns: Nanoseconds, limit_ns: int) -> float:
    """The inflation for the share of values above a limit, as a percentile's interval needs it."""
    return share_inflation(values_ns > limit_ns)


def share_inflation(flags: npt.NDArray[np.bool_]) -> float:
    """The inflation for the share of requests that are flagged.

    Args:
        flags: one a request, in the order of time; not empty.
    """
    share = float(np.count_nonzero(flags)) / len(flags)
    variance = share * (1 - share)
    if variance == 0:
        return 1.0
    batches = _count(len(flags))
    size = len(flags) // batches
    counts = np.count_nonzero(_whole(flags, batches).reshape(batches, size), axis=1)
    return _inflation(counts / size, size, variance, 1 / variance - 6)


def _count(length: int) -> int:
    """How many batches to start with: a power of two, so that pairs can be merged."""
    most = min(_MOST, length // _SHORTEST)
    return 1 << (most.bit_length() - 1) if most else 1


def _whole(series: npt.NDArray[np.generic], batches: int) -> npt.NDArray[np.generic]:
    """The series without the first few values that would not fill a batch."""
    return series[len(series) % batches :]


def _inflation(means: _Floats, size: int, variance: float, kurtosis: float) -> float:
    if len(means) < _LEAST:
        return 1.0
    count = len(means) * size
    while len(means) > _LEAST and _successive(means) * sqrt(len(means)) > _Z_ONE_SIDED:
        means = _merged(means)
    chance = _Z_ONE_SIDED * sqrt(2 / (len(means) - 1) + max(kurtosis, 0.0) / count)
    if _ratio(means, count, variance) <= 1 + chance:
        return 1.0
    while len(means) > _MEASURING:
        means = _merged(means)
    ratio = _ratio(means, count, variance) * (student_t95(len(means) - 1) / Z95) ** 2
    return max(ratio, 1.0)


def _merged(means: _Floats) -> _Floats:
    """The means of batches twice as long, from pairs of neighbours."""
    return np.asarray(means.reshape(-1, 2).mean(1))


def _ratio(means: _Floats, count: int, variance: float) -> float:
    """The variance of batch means, as a multiple of that of independent values."""
    return count / len(means) * float(means.var(ddof=1)) / variance


def _successive(means: _Floats) -> float:
    """The correlation of each mean with the next."""
    deviations = means - means.mean()
    squares = float(deviations @ deviations)
    return float(deviations[1:] @ deviations[:-1]) / squares if squares else 0.0

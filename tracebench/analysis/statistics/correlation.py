"""What correlated requests are worth: successive ones tell less than independent ones would.

In a closed loop a slow moment of the server meets every slot; a stall puts its requests into the
tail together. Non-overlapping batches tell how much: their means scatter as the whole series'
mean would, whatever the correlation within them (Law & Carson 1979, A sequential procedure for
determining the length of a steady-state simulation, Operations Research 27; Schmeiser 1982).
"""

from math import sqrt
from typing import Final

import numpy as np
import numpy.typing as npt

from tracebench.analysis.statistics.moments import Moments
from tracebench.analysis.statistics.student import Z95, student_t95
from tracebench.model.exchange import Nanoseconds

_MOST, _MEASURING, _LEAST = 256, 32, 8
"""Batches: many find a weak correlation; few are long enough to measure a strong one, and more
than about 30 make its interval hardly better (Schmeiser 1982)."""
_SHORTEST: Final = 16
"""Values in a batch, at least."""
_Z_ONE_SIDED: Final = 1.6448536269514722
"""What independent values exceed by chance in 5 % of the series."""

_Floats = npt.NDArray[np.float64]


def inflation(values_ns: Nanoseconds, sample: Moments) -> float:
    """How many times the variance of a series' mean is that of as many independent values.

    Args:
        values_ns: in the order of time.
        sample: their moments.

    Returns:
        1 where no correlation shows (independent series are taken for correlated in 5 % of all
        cases), or the series is too short to tell (below 128). Otherwise above 1, with Student's
        allowance for its own uncertainty. A series of n is worth n / inflation values.
    """
    if sample.variance == 0:
        return 1.0
    batches = _count(len(values_ns))
    size = len(values_ns) // batches
    means = _whole(values_ns, batches).reshape(batches, size).mean(1) - sample.mean
    return _inflation(means, size, sample.variance, sample.kurtosis)


def exceedance_inflation(values_ns: Nanoseconds, limit_ns: int) -> float:
    """The same of the share of values above a limit: what an interval of a percentile needs."""
    above = values_ns > limit_ns
    share = float(np.count_nonzero(above)) / len(above)
    variance = share * (1 - share)
    if variance == 0:
        return 1.0
    batches = _count(len(above))
    size = len(above) // batches
    counts = np.count_nonzero(_whole(above, batches).reshape(batches, size), axis=1)
    return _inflation(counts / size, size, variance, 1 / variance - 6)


def _count(length: int) -> int:
    """How many batches to begin with: a power of two, so that pairs can be merged."""
    most = min(_MOST, length // _SHORTEST)
    return 1 << (most.bit_length() - 1) if most else 1


def _whole(series: npt.NDArray[np.generic], batches: int) -> npt.NDArray[np.generic]:
    """The series without the few at its begin that would not fill a batch."""
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
    """Batches twice as long."""
    return np.asarray(means.reshape(-1, 2).mean(1))


def _ratio(means: _Floats, count: int, variance: float) -> float:
    """The variance of batch means, as a multiple of what independent values would give."""
    return count / len(means) * float(means.var(ddof=1)) / variance


def _successive(means: _Floats) -> float:
    """The correlation of each mean with the next."""
    deviations = means - means.mean()
    squares = float(deviations @ deviations)
    return float(deviations[1:] @ deviations[:-1]) / squares if squares else 0.0

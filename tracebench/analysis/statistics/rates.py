"""Confidence intervals of shares and rates, from counts of events."""

from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np
import numpy.typing as npt

from tracebench.analysis.statistics.correlation import Z95, share_inflation, student_t95
from tracebench.model.record.columns import Int64

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Share:
    """The share of requests with some property."""

    value: float
    count: int
    effective_count: float
    """The number of independent requests that would be as informative."""

    @property
    def ci95(self) -> Interval:
        """The 95 % interval; see `wilson`."""
        return wilson(self.value, self.effective_count)


def share_of(flags: npt.NDArray[np.bool_]) -> Share:
    """The share of flagged requests, with its effective count under correlation.

    Args:
        flags: one a request, in the order of time; not empty.
    """
    count = len(flags)
    value = float(np.count_nonzero(flags)) / count
    return Share(value, count, count / share_inflation(flags))


_SLOWEST: Final = 0.05
"""Share of the slowest requests; enough in any useful run to show how they cluster."""


def share_below(severity: npt.NDArray[np.float64]) -> Share:
    """The share of requests whose severity is below 1.

    Misses are often too few to show how they cluster. The slowest 5 % do show it, and cluster in
    nearly the same way: what makes a request miss its limit also puts it among these.

    Args:
        severity: each request's time as a multiple of its limit, in the order of time; not empty.
    """
    count, good = len(severity), severity < 1
    slowest = severity > np.quantile(severity, 1 - _SLOWEST, method="lower")
    excess = max(share_inflation(good), share_inflation(slowest))
    return Share(float(np.count_nonzero(good)) / count, count, count / excess)


def wilson(share: float, count: float) -> Interval:
    """The 95 % interval of a share, also valid near 0 and 1.

    Source: Wilson 1927, Probable inference, Journal of the American Statistical Association 22.

    Args:
        share: the observed share.
        count: the number of independent values, above 0.
    """
    square = Z95 * Z95
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = Z95 * sqrt(share * (1 - share) / count + square / (4 * count * count))
    half /= 1 + square / count
    # For a share of 0 or 1, one end is known exactly: rounding would miss it.
    return (max(0.0, middle - half) if share else 0.0), (
        min(1.0, middle + half) if share < 1 else 1.0
    )


_BATCHES: Final = 16
"""Few and long, so that most correlation lies within a batch (Schmeiser 1982)."""
_FEWEST: Final = 4 * _BATCHES
_GAPS: Final = 1.1
"""Multiple of its duration that a run may span; beyond it, the run had pauses."""


def rate_ci95(done_ns: Int64, begin_ns: int, duration_s: float) -> Interval | None:
    """The 95 % interval of a rate, from the number of requests done in each stretch of a run.

    Args:
        done_ns: when each request was done, in any order.
        begin_ns: when the run began.
        duration_s: how long it lasted, without pauses.

    Returns:
        Requests a second; None with fewer than 64 requests, or if the run had pauses.
    """
    if len(done_ns) < _FEWEST or duration_s <= 0:
        return None
    since_s = (done_ns - begin_ns) / 1e9
    if float(since_s.max()) > _GAPS * duration_s:
        return None
    places = np.minimum((since_s * (_BATCHES / duration_s)).astype(np.int64), _BATCHES - 1)
    counts = np.bincount(places, minlength=_BATCHES)
    rate = len(done_ns) / duration_s
    half = student_t95(_BATCHES - 1) * float(counts.std(ddof=1)) / sqrt(_BATCHES)
    half *= _BATCHES / duration_s
    return max(0.0, rate - half), rate + half


_FEWEST_BLOCKS: Final = 6


def rate_of_blocks_ci95(counts: Int64, seconds: npt.NDArray[np.float64]) -> Interval | None:
    """The 95 % interval of a rate that was measured in blocks with pauses between them.

    Source: the ratio estimator (Cochran 1977, Sampling Techniques, section 6.3), with Student's t.

    Args:
        counts: events in each block.
        seconds: the length of each block.

    Returns:
        Events per second; None for fewer than 6 blocks.
    """
    blocks, total_s = len(counts), float(seconds.sum())
    if blocks < _FEWEST_BLOCKS or total_s <= 0:
        return None
    rate = float(counts.sum()) / total_s
    apart = counts - rate * seconds
    deviation = sqrt(blocks / (blocks - 1) * float((apart * apart).sum()))
    half = student_t95(blocks - 1) * deviation / total_s
    return max(0.0, rate - half), rate + half

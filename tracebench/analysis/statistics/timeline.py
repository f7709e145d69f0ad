"""Latency over time, in few enough buckets for a result to store and a page to draw."""

from typing import Final

import numpy as np

from tracebench.analysis.statistics.distribution import NS_PER_MS
from tracebench.model.record.columns import Int64
from tracebench.model.record.exchange import Nanoseconds
from tracebench.model.results.blocks import Timeline

MOST: Final = 500
_INSIDE: Final = MOST - 2
"""Most buckets within the length of a run; those at its ends may extend beyond it."""
_FOR_P95: Final = 20
_NS_PER_S: Final = 1e9
_VALUE_BITS: Final = 52
"""Bits of a sort key below the bucket's number: 52 days in ns."""
_MOST_STALLS: Final = 20
_STALL: Final = 5
"""Least stall to report: this multiple of the median latency passes without a request ending."""


def timeline(due_ns: Int64, latency_ns: Nanoseconds, failed_ns: Int64, begin_ns: int) -> Timeline:
    """Reduce latencies to at most 500 buckets of a round length, and no more than requests.

    Args:
        due_ns: when each success and each time-out was scheduled, ascending; not empty.
        latency_ns: the latencies of these.
        failed_ns: when each failure and each time-out was scheduled, in any order.
        begin_ns: when the first request after the warm-up was due.
    """
    every_ns = np.concatenate((due_ns[[0, -1]], failed_ns)) - begin_ns
    low_ns, high_ns = int(every_ns.min()), int(every_ns.max())
    width_ns = _round_width(high_ns - low_ns, min(_INSIDE, len(due_ns) + len(failed_ns)))
    first = low_ns // width_ns
    buckets = high_ns // width_ns - first + 1
    at = (due_ns - begin_ns) // width_ns - first
    count = np.bincount(at, minlength=buckets)
    p50, p95 = (np.ceil(count * share).astype(np.int64) for share in (0.50, 0.95))
    ordered = _Ordered(at, latency_ns, count)
    failed = (failed_ns - begin_ns) // width_ns - first
    return Timeline(
        bucket_s=width_ns / _NS_PER_S,
        start_s=tuple(((first + np.arange(buckets)) * width_ns / _NS_PER_S).round(9).tolist()),
        count=tuple(count.tolist()),
        errors=tuple(np.bincount(failed, minlength=buckets).tolist()),
        min_ms=ordered.ms(np.ones_like(count)),
        p50_ms=ordered.ms(p50),
        p95_ms=ordered.ms(p95, least=_FOR_P95),
        max_ms=ordered.ms(count),
        stalls_s=_stalls_s(due_ns, latency_ns, begin_ns),
    )


class _Ordered:
    """The latencies of each bucket, sorted within it."""

    def __init__(self, at: Int64, latency_ns: Nanoseconds, count: Int64) -> None:
        keys = at << _VALUE_BITS
        keys += np.minimum(latency_ns, (1 << _VALUE_BITS) - 1)
        keys.sort()  # sorting all at once is faster than sorting each bucket
        self._keys, self._count = keys, count
        self._before = np.cumsum(count) - count

    def ms(self, rank: Int64, least: int = 1) -> tuple[float | None, ...]:
        """Each bucket's value at its rank (from 1); None if it has fewer than `least` values."""
        known = self._count >= least
        found = np.full(len(known), None, object)
        keys = self._keys[(self._before + rank - 1)[known]]
        found[known] = ((keys & ((1 << _VALUE_BITS) - 1)) / NS_PER_MS).tolist()
        return tuple(found.tolist())


def _round_width(span_ns: int, most: int) -> int:
    """The least width, 1, 2 or 5 times a power of ten, that needs at most `most` buckets."""
    least_ns = span_ns // most + 1
    power = int(10 ** (len(str(least_ns)) - 1))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= least_ns)


def _stalls_s(
    due_ns: Int64, latency_ns: Nanoseconds, begin_ns: int
) -> tuple[tuple[float, float], ...]:
    """The longest stretches with requests in flight but none succeeding, in time order.

    When the n-th request ends, the next due one is in flight already, or the stretch begins only
    when it is due.
    """
    ended_ns = due_ns + latency_ns
    ended_ns.sort()
    from_ns = np.maximum(ended_ns[:-1], due_ns[1:])
    lasted_ns = ended_ns[1:] - from_ns
    least_ns = max(_STALL * int(np.median(latency_ns)), 1)
    found = np.flatnonzero(lasted_ns >= least_ns)
    longest = np.sort(found[np.argsort(-lasted_ns[found], kind="stable")[:_MOST_STALLS]])
    return tuple(
        (float(begin) / _NS_PER_S, float(end) / _NS_PER_S)
        for begin, end in zip(
            (from_ns[longest] - begin_ns).tolist(),
            (ended_ns[longest + 1] - begin_ns).tolist(),
            strict=True,
        )
    )

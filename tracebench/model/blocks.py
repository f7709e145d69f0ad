"""A run over time: in blocks, to say how much it changed, and in buckets, to draw it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BlockSeries:
    """One component over the blocks of a run, in ms."""

    mean_ms: tuple[float | None, ...]
    """None where no request of the block has the component."""
    p50_ms: tuple[float | None, ...]
    p95_ms: tuple[float | None, ...]
    """None also where the block has fewer than 20 values."""
    halves: Mapping[str, tuple[float, float]]
    """Statistic (`mean_ms`, `p50_ms`, `p95_ms`, `p99_ms`) → of the first half of the blocks, and of
    the second; empty where one of them has no values."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """Successive blocks, in the order in which requests were scheduled."""

    start_s: tuple[float, ...]
    """When each begins, since the first request was due."""
    count: tuple[int, ...]
    """Successes and time-outs in each."""
    components: Mapping[str, BlockSeries]
    """By component; `stream.ttft` and so on of streams; `latency` where it covers other requests
    than `end_to_end`."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """Latency over time: at most 500 buckets of the same length, in time order.

    A request belongs to the bucket in which it was due. A bucket before 0 s is warm-up, which
    counts nowhere else.
    """

    bucket_s: float
    start_s: tuple[float, ...]
    """When each begins, since the first request that counts was due."""
    count: tuple[int, ...]
    """Successes and time-outs in each."""
    errors: tuple[int, ...]
    """Failures and time-outs in each."""
    min_ms: tuple[float | None, ...]
    """None where the bucket has no latency."""
    p50_ms: tuple[float | None, ...]
    p95_ms: tuple[float | None, ...]
    """None also where the bucket has fewer than 20 latencies."""
    max_ms: tuple[float | None, ...]
    stalls_s: tuple[tuple[float, float], ...] = ()
    """The longest stretches in which requests were in flight and none of them succeeded: from,
    until."""

"""A run over time: in blocks, to quantify changes, and in buckets, for plots."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BlockSeries:
    """One component over the blocks of a run, in ms."""

    mean_ms: tuple[float | None, ...]
    """Mean of each block; None if no request of the block has the component."""
    p50_ms: tuple[float | None, ...]
    p95_ms: tuple[float | None, ...]
    """None also if the block has fewer than 20 values."""
    halves: Mapping[str, tuple[float, float]]
    """Statistic (`mean_ms`, `p50_ms`, `p95_ms`, `p99_ms`) → its value in the first and the second
    half of the blocks; empty if either half has no values."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """Successive blocks of requests, in scheduled order."""

    start_s: tuple[float, ...]
    """Start of each block, in s since the first request was due."""
    count: tuple[int, ...]
    """Successes and time-outs in each."""
    components: Mapping[str, BlockSeries]
    """Component → series; streams add `stream.ttft` and so on. `latency` is present only if it
    covers other requests than `end_to_end`."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """Latency over time: at most 500 buckets of equal length, in time order.

    A request belongs to the bucket in which it was due. Buckets before 0 s are warm-up, which all
    other results exclude.
    """

    bucket_s: float
    start_s: tuple[float, ...]
    """Start of each bucket, in s since the first request after the warm-up was due."""
    count: tuple[int, ...]
    """Successes and time-outs in each."""
    errors: tuple[int, ...]
    """Failures and time-outs in each."""
    min_ms: tuple[float | None, ...]
    """None if the bucket has no latency."""
    p50_ms: tuple[float | None, ...]
    p95_ms: tuple[float | None, ...]
    """None also if the bucket has fewer than 20 latencies."""
    max_ms: tuple[float | None, ...]
    stalls_s: tuple[tuple[float, float], ...] = ()
    """Start and end, in s, of the longest periods with requests in flight but no success."""

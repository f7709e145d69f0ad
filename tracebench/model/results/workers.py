"""The processes that shared a load: where each ran, and how it fared."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Worker:
    """One process that made a part of the load."""

    host: str
    pid: int
    requests: int = 0
    """Requests that it started; 0 if it was lost, as are the values below."""
    throughput_rps: float = 0.0
    p50_ms: float | None = None
    """Median and 99th percentile of the latency, as in `latency`; None without any."""
    p99_ms: float | None = None
    ci95: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Their 95 % intervals, as far as there are enough requests."""
    cpu_s: float = 0.0
    stalled_s: float = 0.0
    """Total time that its loop was kept from checking for replies, in stalls above 1 ms."""
    longest_stall_s: float = 0.0
    start_late_ms: float = 0.0
    """How long after the common start it began, by its own clock; the largest of all blocks."""
    clock_within_ms: float = 0.0
    """How exactly its clock is known relative to that of the head (half of the quickest message
    and answer); 0 if both run on one machine. No duration depends on it."""
    lost: str = ""
    """Why its results are missing; empty if they are not."""

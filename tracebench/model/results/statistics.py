"""The distribution of one value over requests, and which statistics reports show and compare."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

PERMILLE: Final = {"p50_ms": 500, "p90_ms": 900, "p95_ms": 950, "p99_ms": 990, "p999_ms": 999}
"""Percentile statistic → its rank per mille."""
SHOWN: Final = ("mean_ms", "p50_ms", "p95_ms", "p99_ms")
"""Statistics with a column in the table; a value is None in files older than the statistic."""
COMPARED: Final = ("mean_ms", "p50_ms", "p95_ms")
"""Statistics whose differences are reported."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """The distribution of one component, in ms."""

    count: int
    mean_ms: float
    std_ms: float
    min_ms: float
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    ci95: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    unsupported: tuple[str, ...] = ()
    effective_count: int | None = None
    """Number of independent values that would determine the mean as precisely; less than `count`
    if successive requests are correlated."""

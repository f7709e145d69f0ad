"""The distribution of one value over requests: what reports show of it, and compare."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

PERMILLE: Final = {"p50_ms": 500, "p90_ms": 900, "p95_ms": 950, "p99_ms": 990, "p999_ms": 999}
"""The percentiles among the statistics."""
SHOWN: Final = ("mean_ms", "p50_ms", "p95_ms", "p99_ms")
"""Those that the table has a column for; None in a file that is older than the statistic."""
COMPARED: Final = ("mean_ms", "p50_ms", "p95_ms")
"""Those whose differences are told."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """One component's distribution, in ms. See the result contract for the meaning of each."""

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
    """How many independent values would tell as much of the mean; less than `count` where
    successive requests are correlated."""

"""The differences between saved runs, from which the reports of `compare` are made."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tracebench.model.objectives import Decision, GateResult
from tracebench.model.results.result import Difference, Result
from tracebench.model.results.search import Search
from tracebench.model.results.sweep import Sweep

Differences: TypeAlias = Mapping[str, Mapping[str, Difference]]
"""Component → statistic (`mean_ms`, `p50_ms`, `p95_ms`, `p99_ms`) → difference."""


@dataclass(frozen=True, slots=True)
class Side:
    """The runs of one side."""

    label: str
    files: tuple[str, ...]
    addresses: Mapping[str, str]
    """Target, as named in `differences` → the address that was measured."""
    where: str = ""
    """When and on which machine the runs were made, and with which version."""


@dataclass(frozen=True, slots=True)
class Shift:
    """Latency percentiles of each side, from the merged histograms of its runs."""

    percentile: tuple[float, ...]
    a_ms: tuple[float, ...]
    b_ms: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class RunComparison:
    """The runs of side B against those of side A."""

    a: Side
    b: Side
    sentences: Mapping[str, str]
    """Target → the answer in one sentence."""
    differences: Mapping[str, Differences]
    """Target → differences; verdicts are Holm-corrected over all targets together."""
    throughput_rps: Mapping[str, Difference]
    """Target → successful requests per second, averaged over the runs of a side; no verdict."""
    errors_share: Mapping[str, Difference]
    """Target → fraction of ended requests that failed or timed out; no verdict."""
    shift: Mapping[str, Shift]
    """Target → shift of the `end_to_end` distribution; only if all runs have a histogram of it."""
    run_to_run: Literal["measured", "unknown"]
    """`measured`: intervals reflect the differences between the runs of a side. `unknown`: either
    side has fewer than three, so they are widened by the largest difference within a run."""
    caveats: tuple[str, ...]
    """Other differences between the sides, and runs that are not valid."""
    gates: tuple[GateResult, ...] = ()
    """The results of `--fail-if-slower`."""
    decision: Decision | None = None
    """All gates together; None without gates."""
    schema: str = "tracebench.compare/1"


Saved: TypeAlias = Result | Sweep | Search
"""What a command measured, and `report` shows again."""
Reported: TypeAlias = Saved | RunComparison
"""Everything that has a table, a figure, a page and a file."""

"""What differs between saved runs: what the reports of `compare` are a function of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tracebench.model.objectives import Decision, GateResult
from tracebench.model.result import Difference

Differences: TypeAlias = Mapping[str, Mapping[str, Difference]]
"""Component → statistic (`mean_ms`, `p50_ms`, `p95_ms`, `p99_ms`) → difference."""


@dataclass(frozen=True, slots=True)
class Side:
    """The runs of one side."""

    label: str
    files: tuple[str, ...]
    addresses: Mapping[str, str]
    """Target, as `differences` names it → what was measured."""


@dataclass(frozen=True, slots=True)
class Shift:
    """The latency of all runs of a side together, at each percentile, from their histograms."""

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
    """Target → what differs; the verdicts of all targets are judged together."""
    throughput_rps: Mapping[str, Difference]
    """Target → successes a second, mean over the runs of a side; no verdict."""
    errors_share: Mapping[str, Difference]
    """Target → failed and timed-out requests as a fraction of all that ended; no verdict."""
    shift: Mapping[str, Shift]
    """Target → how far the distribution of `end_to_end` moved; only where all runs have it."""
    run_to_run: Literal["measured", "unknown"]
    """Whether the intervals come from the differences between the runs of a side: with fewer than
    three on either side, they are widened by the largest difference within a run instead."""
    caveats: tuple[str, ...]
    """What else differs between the sides, and which runs are not valid."""
    gates: tuple[GateResult, ...] = ()
    """The results of `--fail-if-slower`."""
    decision: Decision | None = None
    """All gates together; None without gates."""
    schema: str = "tracebench.compare/1"

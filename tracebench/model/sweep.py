"""What a sweep found: one result for each load, and how the target scales over them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tracebench.model.objectives import Met
from tracebench.model.result import Finding, Result

LoadKind = Literal["concurrency", "rate"]
Cause = Literal["client", "cap", "path", "waiting", "queue", "compute", "body", "unknown"]


@dataclass(frozen=True, slots=True)
class Step:
    """One run of a sweep; `load` is its concurrency, or its rate in requests a second."""

    load: float
    result: Result


@dataclass(frozen=True, slots=True)
class Point:
    """What one load did to one target; components are the leaves of its decomposition."""

    load: float
    valid: bool
    """Whether the verdict lets the numbers count; those that do not are left out of the rest."""
    throughput_rps: float
    utilisation: float | None
    """Throughput as a fraction of the capacity; None where none was reached."""
    client_cpu: float
    """How many cores the tool itself kept busy."""
    mean_ms: Mapping[str, float]
    """Mean time in each component; they sum to the mean latency."""
    in_flight: Mapping[str, float]
    """Mean number of requests in each component: throughput × mean time in it (Little's law)."""
    growth: Mapping[str, float]
    """Mean time in each component, over that at the least load."""
    meets: Met | None = None
    """Whether the load meets the objectives; None where there are none."""


@dataclass(frozen=True, slots=True)
class Law:
    """The Universal Scalability Law, X(N) = λN / (1 + σ(N − 1) + κN(N − 1))."""

    lambda_rps: float
    sigma: float
    """Contention: the share of the work that is done one at a time."""
    kappa: float
    """Coherence: what each pair of requests costs the other; above 0, throughput falls again."""
    error: float
    """The greatest deviation from a measured throughput, as a fraction of it."""
    fits: bool


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """What saturates first."""

    component: str
    """The one that takes most of the time by which latency grew."""
    cause: Cause
    load: float
    """The least load at which throughput had stopped growing as it should."""
    growth_ms: float
    """By how much its mean time at that load exceeds that at the least load."""
    at_a_time: float | None
    """How many requests the server got done side by side there; None where that is not known."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """How one target scales with load."""

    points: tuple[Point, ...]
    capacity_rps: float | None
    """The greatest throughput seen; None where it was still growing."""
    knee: float | None
    """Where the two asymptotes cross: no load below it can reach the capacity, and a load above
    it only makes requests wait."""
    bottleneck: Bottleneck | None
    law: Law | None
    sentence: str
    findings: tuple[Finding, ...]
    highest_met: float | None = None
    """The last load that meets the objectives, with none below it that misses them."""
    objective: str = ""
    """The same in a sentence; empty where there are no objectives."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep found: the one thing that its reports are a function of."""

    kind: LoadKind
    steps: tuple[Step, ...]
    ended: str
    """Why there are no more steps."""
    interrupted: bool
    valid: bool
    """Whether every step that was asked for was measured, with numbers that can be trusted; the
    one that told `auto` to end is not counted."""
    scaling: Mapping[str, Scaling]
    slo: str | None = None
    """What each load was held to."""
    schema: str = "tracebench.sweep/1"

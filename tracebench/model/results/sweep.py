"""The result of a sweep: one result per load, and how the target scales across them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tracebench.model.objectives import Met
from tracebench.model.results.result import Finding, Result

LoadKind = Literal["concurrency", "rate"]
Cause = Literal["client", "cap", "path", "waiting", "queue", "compute", "body", "unknown"]


@dataclass(frozen=True, slots=True)
class Step:
    """One run of a sweep; `load` is its concurrency, or its rate in requests per second."""

    load: float
    result: Result


@dataclass(frozen=True, slots=True)
class Point:
    """How one target behaved at one load; components are those that are not split further."""

    load: float
    valid: bool
    """Whether the verdict accepts the numbers; invalid points are left out of all conclusions."""
    throughput_rps: float
    utilisation: float | None
    """Throughput as a fraction of the capacity; None if the capacity was not reached."""
    client_cpu: float
    """Average number of cores that the tool itself kept busy."""
    mean_ms: Mapping[str, float]
    """Mean time in each component; they add up to the mean latency."""
    in_flight: Mapping[str, float]
    """Mean number of requests in each component: throughput × mean time in it (Little's law)."""
    growth: Mapping[str, float]
    """Mean time in each component, divided by that at the lowest load."""
    meets: Met | None = None
    """Whether the load meets the objectives; None where there are none."""


@dataclass(frozen=True, slots=True)
class Law:
    """The Universal Scalability Law, X(N) = λN / (1 + σ(N − 1) + κN(N − 1))."""

    lambda_rps: float
    sigma: float
    """Contention: the fraction of the work that is done one request at a time."""
    kappa: float
    """Coherence: the cost that each pair of requests adds; if it is above 0, throughput eventually
    falls."""
    error: float
    """The greatest deviation from a measured throughput, as a fraction of it."""
    fits: bool


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """What saturates first."""

    component: str
    """The component that accounts for most of the growth in latency."""
    cause: Cause
    load: float
    """The lowest load at which throughput had stopped growing in proportion."""
    growth_ms: float
    """How much longer its mean time is at that load than at the lowest load."""
    at_a_time: float | None
    """How many requests the server processed in parallel at that load; None if unknown."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """How one target scales with load."""

    points: tuple[Point, ...]
    capacity_rps: float | None
    """The greatest throughput seen; None if throughput was still growing."""
    knee: float | None
    """The load at which the two asymptotes cross: below it the capacity cannot be reached, and
    above it requests only wait longer."""
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
    """The result of a sweep, from which all its reports are made."""

    kind: LoadKind
    steps: tuple[Step, ...]
    ended: str
    """Why there are no further steps."""
    interrupted: bool
    valid: bool
    """Whether every requested step was measured with numbers that can be trusted; the step that
    made `auto` stop is not counted."""
    scaling: Mapping[str, Scaling]
    label: str = ""
    """What its user calls it."""
    slo: str | None = None
    """What each load was held to."""
    schema: str = "tracebench.sweep/1"

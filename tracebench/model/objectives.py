"""What people decide by: limits of a request, objectives of a load, and gates of a run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Decision = Literal["passed", "failed", "inconclusive", "broken"]
"""Of a gate: `broken` where the numbers that it asks for are not there, or not valid."""
Met = Literal["met", "missed", "undecided"]
"""Whether an objective is, as far as its 95 % interval tells."""
Unit = Literal["ms", "share", "rps"]
STATUS: Final[Mapping[Decision, int]] = {"passed": 0, "failed": 1, "inconclusive": 3, "broken": 3}
"""The exit status of each decision, where nothing else determines it."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What each request shall stay below."""

    metric: str
    """`latency`, a component, or what is told of a stream."""
    most_ms: float


@dataclass(frozen=True, slots=True)
class Objective:
    """What a load shall meet."""

    expression: str
    """As it is written: `latency.p99 < 50ms`."""
    limits: tuple[Limit, ...]
    share: float | None
    """Of the requests that shall meet all limits; None: the mean of the one metric shall."""


@dataclass(frozen=True, slots=True)
class ObjectiveResult:
    """How far one run met an objective."""

    expression: str
    value: float | None
    """The share of requests that meet the limits, failures among those that do not; of a mean, ms.
    None where no request tells."""
    ci95: tuple[float, float] | None
    bound: float
    """The share that is to be reached, or the mean in ms to stay below."""
    count: int
    effective_count: float
    """How many independent requests would tell as much."""
    decision: Met
    is_share: bool = True
    """Else it is a mean."""


@dataclass(frozen=True, slots=True)
class GateResult:
    """What a gate (`--fail-if`) found at one target."""

    expression: str
    target: str
    value: float | None
    interval: tuple[float, float] | None
    """Of 95 %; None where the samples do not give one."""
    limit: float
    unit: Unit
    decision: Decision
    why: str = ""
    """What kept it from a decision, or what the interval does not cover."""

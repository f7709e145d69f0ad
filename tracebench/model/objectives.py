"""Criteria for decisions: limits of a request, objectives of a load, and gates of a run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Decision = Literal["passed", "failed", "inconclusive", "broken"]
"""The outcome of a gate; `broken` if the numbers that it needs are missing or not valid."""
Met = Literal["met", "missed", "undecided"]
"""Whether an objective is met, judged by its 95 % interval."""
Unit = Literal["ms", "share", "rps"]
STATUS: Final[Mapping[Decision, int]] = {"passed": 0, "failed": 1, "inconclusive": 3, "broken": 3}
"""The exit status of each decision, where nothing else determines it."""


def status_of(decision: Decision | None) -> int:
    """The exit status of a decision; 0 if there is none."""
    return 0 if decision is None else STATUS[decision]


@dataclass(frozen=True, slots=True)
class Limit:
    """An upper limit for each request."""

    metric: str
    """`latency`, a component, or a stream metric."""
    most_ms: float


@dataclass(frozen=True, slots=True)
class Objective:
    """A requirement that a load must meet."""

    expression: str
    """As the user wrote it, e.g. `latency.p99 < 50ms`."""
    limits: tuple[Limit, ...]
    share: float | None
    """Fraction of requests that must meet all limits; None: the mean of the only metric must."""


@dataclass(frozen=True, slots=True)
class ObjectiveResult:
    """How one run compares with an objective."""

    expression: str
    value: float | None
    """Fraction of requests that meet the limits (failures do not), or a mean in ms; None if no
    request has the metric."""
    ci95: tuple[float, float] | None
    bound: float
    """The fraction to reach, or the mean in ms to stay below."""
    count: int
    effective_count: float
    """Number of independent requests that would be equally informative."""
    decision: Met
    is_share: bool = True
    """Whether `value` and `bound` are fractions; otherwise they are means in ms."""


@dataclass(frozen=True, slots=True)
class GateResult:
    """The result of a gate (`--fail-if`) for one target."""

    expression: str
    target: str
    value: float | None
    interval: tuple[float, float] | None
    """95 % interval; None if the samples do not allow one."""
    limit: float
    unit: Unit
    decision: Decision
    why: str = ""
    """Why there is no decision, or what the interval does not cover."""

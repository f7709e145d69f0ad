"""What a search found: the highest load that is shown to meet an objective."""

from collections.abc import Mapping
from dataclasses import dataclass

from tracebench.model.objectives import Met, ObjectiveResult
from tracebench.model.plan import Arrival
from tracebench.model.result import Result
from tracebench.model.sweep import LoadKind, Scaling


@dataclass(frozen=True, slots=True)
class SearchStep:
    """One run of a search."""

    load: float
    seconds: float
    """That it took of the budget."""
    decision: Met
    """By all runs at this load until then."""
    result: Result


@dataclass(frozen=True, slots=True)
class Level:
    """All runs at one load together."""

    load: float
    seconds: float
    requests: int
    objectives: tuple[ObjectiveResult, ...]
    decision: Met


@dataclass(frozen=True, slots=True)
class Highest:
    """The highest load that is shown to meet the objectives."""

    load: float
    requests: int
    throughput_rps: float
    objectives: tuple[ObjectiveResult, ...]


@dataclass(frozen=True, slots=True)
class Search:
    """What a search found: the one thing that its reports are a function of."""

    slo: str
    by: LoadKind
    arrival: Arrival | None
    """How requests were spaced; None in closed loops."""
    highest: Highest | None
    """None where no load is shown to meet the objectives."""
    goodput_rps: float | None
    """Requests a second that meet all limits there; None without a load, or of means."""
    missed: float | None
    """The least load that misses them; None where none was measured."""
    sentence: str
    budget_s: float
    spent_s: float
    ended: str
    """Why there are no more steps."""
    interrupted: bool
    valid: bool
    """Whether it ended by itself."""
    levels: tuple[Level, ...]
    """The least load comes first."""
    steps: tuple[SearchStep, ...]
    scaling: Mapping[str, Scaling]
    label: str = ""
    """What its user calls it."""
    schema: str = "tracebench.search/1"

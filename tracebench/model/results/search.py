"""The result of a search: the highest load shown to meet an objective."""

from collections.abc import Mapping
from dataclasses import dataclass

from tracebench.model.objectives import Met, ObjectiveResult
from tracebench.model.plan import Arrival
from tracebench.model.results.result import Result
from tracebench.model.results.sweep import LoadKind, Scaling


@dataclass(frozen=True, slots=True)
class SearchStep:
    """One run of a search."""

    load: float
    seconds: float
    """Time taken out of the budget."""
    decision: Met
    """The decision from all runs at this load so far, including this one."""
    result: Result


@dataclass(frozen=True, slots=True)
class Level:
    """All runs at one load, combined."""

    load: float
    seconds: float
    requests: int
    objectives: tuple[ObjectiveResult, ...]
    decision: Met


@dataclass(frozen=True, slots=True)
class Highest:
    """The highest load shown to meet the objectives."""

    load: float
    requests: int
    throughput_rps: float
    objectives: tuple[ObjectiveResult, ...]


@dataclass(frozen=True, slots=True)
class Search:
    """The result of a search, from which its reports are made."""

    slo: str
    by: LoadKind
    arrival: Arrival | None
    """How requests were spaced; None for closed loops."""
    highest: Highest | None
    """None if no load is shown to meet the objectives."""
    goodput_rps: float | None
    """Requests per second that meet all limits at the highest load; None if there is no such load,
    or if objectives are means."""
    missed: float | None
    """The lowest load that misses the objectives; None if no measured load does."""
    sentence: str
    budget_s: float
    spent_s: float
    ended: str
    """Why the search ended."""
    interrupted: bool
    valid: bool
    """Whether the search ended normally: it was not interrupted and no step failed."""
    levels: tuple[Level, ...]
    """Sorted by load, ascending."""
    steps: tuple[SearchStep, ...]
    scaling: Mapping[str, Scaling]
    label: str = ""
    """The user's name for the search (`--label`)."""
    schema: str = "tracebench.search/1"

"""The highest load up to which a target meets its objectives (`--slo`)."""

from collections.abc import Mapping, Sequence
from typing import Final

from tracebench.analysis.numbers import rounded
from tracebench.model.objectives import Met, ObjectiveResult
from tracebench.model.plan import Arrival
from tracebench.model.results.result import TargetResult
from tracebench.model.results.search import Level
from tracebench.model.results.sweep import LoadKind

OF_THE_TOOL: Final = frozenset({"client_saturated", "loop_lag"})
"""Findings that invalidate numbers because the tool itself is the limit."""
_OVERLOADED: Final = frozenset({"rate_not_met", "errors", "no_successes"})
"""Findings that invalidate numbers because the load is too high."""


def invalid_for(target: TargetResult) -> set[str]:
    """The codes of the findings that make the numbers of a target invalid."""
    return {one.code for one in target.verdict.findings if one.severity == "invalid"}


def is_overloaded(target: TargetResult) -> bool:
    """Whether the load could not be generated, or too many requests failed."""
    return bool(invalid_for(target) & (_OVERLOADED | OF_THE_TOOL))


def meets(target: TargetResult) -> Met | None:
    """Whether a load meets all objectives; None if there are no objectives."""
    if not target.objectives:
        return None
    decisions = {one.decision for one in target.objectives}
    if is_overloaded(target) or "missed" in decisions:
        return "missed"
    return "met" if decisions == {"met"} and target.verdict.valid else "undecided"


def highest_met(targets: Mapping[float, TargetResult]) -> float | None:
    """The highest load that meets the objectives, with none below missing them; else None."""
    highest = None
    for load in sorted(targets):
        met = meets(targets[load])
        if met == "missed":
            break
        if met == "met":
            highest = load
    return highest


def objective_sentence(kind: LoadKind, slo: str, targets: Mapping[float, TargetResult]) -> str:
    """A sentence on the last load that meets the objectives and on the next one; no full stop."""
    loads, highest = sorted(targets), highest_met(targets)
    if highest is None:
        first = loads[0]
        if meets(targets[first]) == "missed":
            return f"no load meets {slo}: {_load(kind, first)} misses it ({_why(targets[first])})"
        return f"no load is shown to meet {slo}: measure longer (--duration), or try lower loads"
    above = [load for load in loads if load > highest]
    if not above:
        return f"up to {_load(kind, highest)}, the highest load that was measured, {slo} is met"
    following, target = above[0], targets[above[0]]
    word = "misses it" if meets(target) == "missed" else "is undecided"
    last = _load(kind, highest)
    return f"{last} is the last load that meets {slo}; {following:g} {word} ({_why(target)})"


def search_sentence(
    kind: LoadKind,
    slo: str,
    levels: Sequence[Level],
    arrival: Arrival | None,
    *,
    by_tool: bool = False,
) -> str:
    """The result of a search in one sentence; no full stop.

    Args:
        kind: whether a load is a concurrency or an arrival rate.
        slo: the objectives.
        levels: the loads, ascending.
        arrival: how requests were spaced in an open loop; None: closed loop.
        by_tool: the tool was the limit at the lowest load that misses the objectives.
    """
    known = {None: "", "poisson": " (Poisson arrivals)", "constant": " (evenly spaced)"}
    spaced = known.get(arrival, f" ({arrival} arrivals)")
    met = [one for one in levels if one.decision == "met"]
    missed = [one.load for one in levels if one.decision == "missed"]
    open_above = [one.load for one in levels if met and one.load > met[-1].load]
    beyond = f"; {open_above[0]:g} is undecided" if open_above else "; none above was tried"
    if missed:
        beyond = f"; {missed[0]:g} misses it"
    if by_tool:
        beyond = f"; at {missed[0]:g} the tool itself is the limit, so the server may do more"
    if met:
        best = met[-1]
        shown = " and ".join(found(one) for one in best.objectives)
        load = f"{_load(kind, best.load)}{spaced}"
        return f"{load} is the highest load shown to meet {slo}: {shown}{beyond}"
    if missed and missed[0] == levels[0].load:
        return f"no load meets {slo}: even {_load(kind, missed[0])}{spaced} misses it"
    return (
        f"no load is shown to meet {slo}{beyond}: allow more time with --budget, or begin with a "
        "lower --from"
    )


def _why(target: TargetResult) -> str:
    """The strongest reason against a load."""
    if is_overloaded(target):
        return ", ".join(sorted(invalid_for(target)))
    against = sorted(target.objectives, key=lambda one: one.decision == "met")
    return found(against[0])


def found(one: ObjectiveResult) -> str:
    """The measured value of an objective and its bound, in a few words."""
    if one.value is None:
        return "no request tells of it"
    if not one.is_share:
        interval = "" if one.ci95 is None else f", {rounded(one.ci95[0])} … {rounded(one.ci95[1])}"
        return f"mean {rounded(one.value)}{interval} ms"
    interval = "" if one.ci95 is None else f", {_percent(one.ci95[0])} … {_percent(one.ci95[1])}"
    within = f"{_percent(one.value)}{interval} % of the requests are within"
    return f"{within}, {_percent(one.bound)} must be"


def _percent(share: float) -> str:
    """A share in percent, with enough digits to distinguish it from 100 %."""
    return rounded(100 * share, 4) if share > 0.9 else rounded(100 * share)


def _load(kind: LoadKind, load: float) -> str:
    return f"{load:g} in flight" if kind == "concurrency" else f"{load:g}/s"

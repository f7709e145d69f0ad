"""`search(plan, …)` → `Search`: the highest load that meets an objective."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from time import monotonic
from typing import Final

from tracebench.analysis.objectives.levels import Seen, levels
from tracebench.analysis.objectives.limits import objectives_of
from tracebench.analysis.objectives.search import Ask, Bounds, next_step
from tracebench.analysis.scaling.objective import (
    OF_THE_TOOL,
    invalid_for,
    is_overloaded,
    search_sentence,
)
from tracebench.analysis.scaling.scale import scale
from tracebench.benchmark import run
from tracebench.load.progress import SweepWatcher
from tracebench.model.errors import TracebenchError, UsageError
from tracebench.model.plan import Plan
from tracebench.model.results.result import Result, TargetResult
from tracebench.model.results.search import Highest, Level, Search, SearchStep
from tracebench.model.results.sweep import LoadKind
from tracebench.studies.sweep import INTERRUPTED, MOST, at

BUDGET_S: Final = 600.0
GOODPUT: Final = 0.99
_FIRST: Final[dict[LoadKind, float]] = {"concurrency": 1, "rate": 10}
_LEAST: Final[dict[LoadKind, float]] = {"concurrency": 1, "rate": 0.1}
_OVERHEAD_S: Final = 0.5
"""First estimate of what a step takes beyond its load: preflight, warm-up, drain, analysis."""
_WARMUP_S: Final = 0.3
"""Least warm-up before each open-loop step: it opens connections and fills caches."""


@dataclass(frozen=True, slots=True)
class Within:
    """The range of loads to search, and the time allowed."""

    least: float | None = None
    """Lowest load; None: start at 10 a second (or 1 in flight) and go lower if that is too much."""
    most: float | None = None
    budget_s: float = BUDGET_S


def search(
    plan: Plan,
    by: LoadKind = "rate",
    within: Within = Within(),
    watcher: SweepWatcher | None = None,
) -> Search:
    """Find the highest load whose whole 95 % interval meets the plan's objectives.

    An interrupt or a failed step ends the search; the steps measured so far are returned.

    Args:
        plan: what to measure; its `objectives` must give an `slo`.
        by: whether a load is a concurrency or an arrival rate.
        within: the range of loads and the time allowed.
        watcher: receives progress; None: no progress is reported.

    Raises:
        TracebenchError: nothing was measured: the plan or the target is wrong.
    """
    plan = _checked(plan)
    bounds = Bounds(
        least=within.least or _LEAST[by],
        most=within.most or MOST[by],
        first=within.least or min(_FIRST[by], within.most or MOST[by]),
        budget_s=within.budget_s,
        whole=by == "concurrency",
    )
    if bounds.least > bounds.most:
        raise UsageError(f"--from {bounds.least:g} is above --to {bounds.most:g}: give a lower one")
    steps = _Steps(plan, by, watcher or SweepWatcher())
    ended, failed = steps.until_done(bounds)
    return _summed_up(plan, by, bounds, steps, ended, failed=failed)


def _checked(plan: Plan) -> Plan:
    asked = plan.objectives
    if asked.slo is None:
        raise UsageError("a search needs an objective: give --slo, as in 'latency.p99 < 50ms'")
    share = GOODPUT if asked.goodput is None else asked.goodput
    objectives_of(asked.slo, share)
    if len(plan.targets.all) > 1:
        names = ", ".join(one.name for one in plan.targets.all)
        raise UsageError(f"a search is of one target, not of several ({names}): give one of them")
    return replace(plan, objectives=replace(asked, goodput=share))


class _Steps:
    """The steps measured so far, and the loop that adds to them."""

    def __init__(self, plan: Plan, by: LoadKind, watcher: SweepWatcher) -> None:
        self._plan, self._by, self._watcher = plan, by, watcher
        self._began_s = monotonic()
        self._overhead_s = _OVERHEAD_S
        self.seen: list[Seen] = []
        self.done: list[SearchStep] = []

    @property
    def spent_s(self) -> float:
        """Seconds since the search began."""
        return monotonic() - self._began_s

    @property
    def levels(self) -> list[Level]:
        """All runs of each load, pooled."""
        return levels(self.seen)

    def until_done(self, bounds: Bounds) -> tuple[str, bool]:
        """Measure until the search ends; returns the reason, and whether it was a failure."""
        load = bounds.first
        try:
            while isinstance(ask := self._next(bounds), Ask):
                load = ask.load
                self._measure(ask)
                if any("interrupted" in _codes(one) for one in self._last().targets.values()):
                    return INTERRUPTED, True
        except (TracebenchError, OSError, KeyboardInterrupt) as error:
            if not self.done:
                raise
            why = f"the step at {load:g} failed: {error}" if str(error) else INTERRUPTED
            return why, True
        return ask, False

    def _next(self, bounds: Bounds) -> Ask | str:
        """Choose the next step; a step's overhead counts too, so that the budget holds."""
        return next_step(self.seen, bounds, self.spent_s + self._overhead_s)

    def _last(self) -> Result:
        return self.done[-1].result

    def _measure(self, ask: Ask) -> None:
        began_s = self.spent_s
        result = run(_step_plan(self._plan, self._by, ask), self._watcher.begins(ask.load))
        (target,) = result.targets.values()
        self._check(target)
        self.seen.append(_seen(ask.load, self.spent_s - began_s, target))
        (level,) = (one for one in self.levels if one.load == ask.load)
        self.done.append(SearchStep(ask.load, self.spent_s - began_s, level.decision, result))
        self._overhead_s = max(self._overhead_s, self.done[-1].seconds - ask.seconds)
        self._watcher.ends(ask.load, result)

    def _check(self, target: TargetResult) -> None:
        """Refuse, after the first step, objectives on metrics that no request reports."""
        unknown = [one.expression for one in target.objectives if one.value is None]
        if unknown and not self.done and target.requests.succeeded:
            raise UsageError(
                f"--slo {self._plan.objectives.slo!r}: no request tells of {', '.join(unknown)}: "
                f"they tell of latency, {', '.join(target.components)}"
            )


def _codes(target: TargetResult) -> set[str]:
    return {one.code for one in target.verdict.findings}


def _step_plan(plan: Plan, by: LoadKind, ask: Ask) -> Plan:
    step = at(plan, by, ask.load)
    load = replace(step.load, requests=None, duration_s=ask.seconds, until_stable=None)
    if by == "rate" and load.warmup != "auto":
        load = replace(load, warmup=max(load.warmup, ceil(_WARMUP_S * ask.load)))
    return replace(step, load=load)


def _seen(load: float, seconds: float, target: TargetResult) -> Seen:
    counts = target.requests
    ended = counts.succeeded + counts.failed + counts.timed_out
    overloaded = is_overloaded(target)
    return Seen(load, seconds, ended, target.objectives, overloaded, target.verdict.valid)


def _summed_up(
    plan: Plan, by: LoadKind, bounds: Bounds, steps: _Steps, ended: str, *, failed: bool
) -> Search:
    known, slo = steps.levels, plan.objectives.slo or ""
    met = [one for one in known if one.decision == "met"]
    missed = min((one.load for one in known if one.decision == "missed"), default=None)
    highest = _highest(met[-1], steps.done) if met else None
    longest = longest_runs(steps.done)
    names = {name for one in steps.done for name in one.result.targets}
    of_missed = [one.result for one in steps.done if one.load == missed]
    by_tool = any(
        invalid_for(target) & OF_THE_TOOL for one in of_missed for target in one.targets.values()
    )
    arrival = plan.load.arrival if by == "rate" else None
    sentence = search_sentence(by, slo, known, arrival, by_tool=by_tool)
    scaling = {
        name: scale(by, {load: one.targets[name] for load, one in longest.items()})
        for name in names
    }
    return Search(
        slo=slo,
        by=by,
        arrival=arrival,
        highest=highest,
        goodput_rps=_goodput_rps(highest, steps.done),
        missed=missed,
        sentence=sentence,
        budget_s=bounds.budget_s,
        spent_s=steps.spent_s,
        ended=ended,
        interrupted=ended == INTERRUPTED,
        valid=not failed,
        levels=tuple(known),
        label=plan.naming.label,
        steps=tuple(steps.done),
        scaling={
            name: replace(one, highest_met=highest.load if highest else None, sentence=sentence)
            for name, one in scaling.items()
        },
    )


def longest_runs(steps: Sequence[SearchStep]) -> dict[float, Result]:
    """The longest run at each load, as the most informative one, by ascending load."""
    found: dict[float, SearchStep] = {}
    for step in steps:
        if step.load not in found or step.seconds > found[step.load].seconds:
            found[step.load] = step
    return {load: found[load].result for load in sorted(found)}


def _highest(level: Level, steps: Sequence[SearchStep]) -> Highest:
    targets = [t for one in steps if one.load == level.load for t in one.result.targets.values()]
    succeeded, duration_s = (
        sum(one.requests.succeeded for one in targets),
        sum(one.duration_s for one in targets),
    )
    throughput_rps = succeeded / duration_s if duration_s else 0.0
    return Highest(level.load, level.requests, throughput_rps, level.objectives)


def _goodput_rps(highest: Highest | None, steps: Sequence[SearchStep]) -> float | None:
    if highest is None:
        return None
    targets = [t for one in steps if one.load == highest.load for t in one.result.targets.values()]
    known = [(one.goodput.rps, one.duration_s) for one in targets if one.goodput is not None]
    whole_s = sum(duration_s for _, duration_s in known)
    return sum(rps * duration_s for rps, duration_s in known) / whole_s if whole_s else None

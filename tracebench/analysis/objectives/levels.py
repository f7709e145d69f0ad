"""The levels of a search: all runs at one load, pooled."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import exp, inf, log, sqrt

from tracebench.analysis.statistics.rates import wilson
from tracebench.model.objectives import Met, ObjectiveResult
from tracebench.model.results.search import Level


@dataclass(frozen=True, slots=True)
class Seen:
    """One run at one load."""

    load: float
    seconds: float
    """Duration of the run, overhead included."""
    requests: int
    objectives: tuple[ObjectiveResult, ...]
    overloaded: bool = False
    """The load could not be generated, or too many requests failed: it is too high."""
    valid: bool = True
    """Whether the numbers are valid, and so may count as meeting an objective."""


def levels(seen: Sequence[Seen]) -> list[Level]:
    """Pool the runs of each load; ascending by load.

    A quiet moment has few misses, which show little of how misses cluster, so its interval would be
    too narrow. Clustering grows smoothly with the load: if the neighbouring loads were measured at
    least as long, the clustering at a load is taken to be at least that interpolated between them.
    """
    loads = sorted({one.load for one in seen})
    runs = [[one for one in seen if one.load == load] for load in loads]
    pooled = [
        [_pooled(those) for those in zip(*(one.objectives for one in of_load), strict=True)]
        for of_load in runs
    ]
    return [
        _level(
            of_load,
            tuple(
                _not_less_alike(one, loads, [others[which] for others in pooled], at)
                for which, one in enumerate(pooled[at])
            ),
        )
        for at, of_load in enumerate(runs)
    ]


def _not_less_alike(
    one: ObjectiveResult, loads: Sequence[float], all_loads: Sequence[ObjectiveResult], at: int
) -> ObjectiveResult:
    if not one.is_share or one.value is None:
        return one
    known = [place for place, other in enumerate(all_loads) if other.count >= max(one.count, 1)]
    below = max((place for place in known if place < at), default=None)
    above = min((place for place in known if place > at), default=None)
    if below is None:
        return one
    excess = log(all_loads[below].count / all_loads[below].effective_count)
    if above is not None:
        part = log(loads[at] / loads[below]) / log(loads[above] / loads[below])
        higher = log(all_loads[above].count / all_loads[above].effective_count)
        excess += part * max(higher - excess, 0.0)
    worth = one.count / exp(excess)
    if worth >= one.effective_count:
        return one
    interval = wilson(one.value, worth)
    decision = decided(interval, one.bound, is_share=True)
    return replace(one, effective_count=worth, ci95=interval, decision=decision)


def _level(runs: Sequence[Seen], found: tuple[ObjectiveResult, ...]) -> Level:
    decisions = {one.decision for one in found}
    decision: Met = "missed" if "missed" in decisions else "undecided"
    if decisions == {"met"} and all(one.valid for one in runs):
        decision = "met"
    if any(one.overloaded for one in runs):
        decision = "missed"
    seconds, requests = sum(one.seconds for one in runs), sum(one.requests for one in runs)
    return Level(runs[0].load, seconds, requests, found, decision)


def _pooled(runs: Iterable[ObjectiveResult]) -> ObjectiveResult:
    """Pool the results of one objective over all requests of several runs."""
    runs = list(runs)
    known = [one for one in runs if one.value is not None and one.effective_count]
    if len(known) < 2:
        return known[0] if known else runs[0]
    first = known[0]
    count = sum(one.count for one in known)
    # Variances add: a run's share has its own inflation times the variance of as many requests.
    worth = count**2 / sum(one.count**2 / one.effective_count for one in known)
    value = sum((one.value or 0.0) * one.count for one in known) / count
    is_share = first.is_share
    interval = wilson(value, worth) if is_share else _pooled_mean_ci95(value, count, known)
    return ObjectiveResult(
        first.expression,
        value,
        interval,
        first.bound,
        count,
        worth,
        decided(interval, first.bound, is_share=is_share),
        is_share,
    )


def _pooled_mean_ci95(
    value: float, count: int, runs: Sequence[ObjectiveResult]
) -> tuple[float, float] | None:
    if any(one.ci95 is None for one in runs):
        return None
    halves = [(one.ci95[1] - one.ci95[0]) / 2 * one.count for one in runs if one.ci95]
    half = sqrt(sum(one * one for one in halves)) / count
    return value - half, value + half


def decided(interval: tuple[float, float] | None, bound: float, *, is_share: bool) -> Met:
    """Met if the whole interval meets the bound, missed if none of it does, else undecided."""
    low, high = interval or (0.0, inf)
    if is_share:
        return "met" if low >= bound else "missed" if high < bound else "undecided"
    return "met" if high < bound else "missed" if low >= bound else "undecided"

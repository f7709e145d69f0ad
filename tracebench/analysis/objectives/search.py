"""The search for the highest load that meets an objective, in noise and within a budget of time.

Two things are taken for granted, and said in docs/search.md: the more load, the more requests miss
their limits; and near the load that is sought their share is about a power of the load. From all
that was seen a posterior follows for that load and that power. First, loads are doubled until one
misses; then a load near the posterior's median is measured, where a run tells most, until it is
known roughly; then the load that promises most, in the time that is left, to be *shown* to meet the
objective.

What counts in the end is no model: the whole 95 % interval of a load's own requests meets it.

Sources: Waeber, Frazier & Henderson 2013, Bisection search with noisy responses, SIAM Journal on
Control and Optimization 51 (measure at the median); Frazier 2018, arXiv 1807.02811 (expected gain).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import erf, inf, log, sqrt
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tracebench.analysis.objectives.levels import Seen, levels
from tracebench.analysis.statistics.correlation import Z95
from tracebench.model.objectives import ObjectiveResult
from tracebench.model.search import Level

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a search may do."""

    least: float
    most: float
    first: float
    """Where doubling begins."""
    budget_s: float
    whole: bool = False
    """Loads are whole numbers."""


class Ask(NamedTuple):
    """What to measure next."""

    load: float
    seconds: float


# The posterior of the load that is sought.

_POWERS: Final = np.array([2.0, 4.0, 6.0, 9.0, 13.0, 20.0, 40.0])
"""How steeply the share of misses grows: with which power of the load."""
_LOADS: Final = 240
_ROUGH, _ROUGHER = 0.15, 0.3
"""How far the power law may be off, as a fraction: near what is sought, and at a share e times as
great or small."""


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is known of the load at which the objective is just met."""

    loads: Floats
    weight: Floats
    """Load × power; they sum to 1."""

    def quantile(self, share: float) -> float:
        """The load that so much of the weight is below of."""
        below = np.cumsum(self.weight.sum(1))
        return float(self.loads[min(int(np.searchsorted(below, share)), len(self.loads) - 1)])

    @property
    def spread(self) -> float:
        """The standard deviation, as a fraction."""
        logs, weight = np.log(self.loads), self.weight.sum(1)
        mean = float(logs @ weight)
        return sqrt(max(float(weight @ (logs - mean) ** 2), 0.0))


def posterior(known: Sequence[Level], low: float, high: float) -> Posterior:
    """What all runs tell of the load that is sought, if it lies between two loads."""
    loads = np.geomspace(low, high, _LOADS)
    likely = np.zeros((_LOADS, len(_POWERS)))
    for level in known:
        for one in level.objectives:
            if one.value is not None and one.effective_count:
                likely += _log_likelihood(one, _excess(loads, level.load))
    weight = np.exp(likely - likely.max())
    return Posterior(loads, weight / weight.sum())


def _excess(sought: Floats, load: float) -> Floats:
    """By which factor, as a logarithm, misses exceed what is allowed: for each load and power."""
    return np.asarray(np.log(load / sought)[:, None] * _POWERS)


def _log_likelihood(found: ObjectiveResult, excess: Floats) -> Floats:
    value, count = found.value or 0.0, found.effective_count
    if not found.is_share:
        off = log(value / found.bound)
        error = _mean_error(found)
        slack = error**2 + (_ROUGH + _ROUGHER * abs(off)) ** 2
        return np.asarray(-((off - excess) ** 2) / (2 * slack))
    allowed, misses = 1 - found.bound, (1 - value) * count
    off = log((misses + 0.5) / (count + 1) / allowed)
    rough = (_ROUGH + _ROUGHER * abs(off)) ** 2
    told = min(1.0, 1 / (rough * max(misses, 0.5)))  # a power law is not worth more than that
    share = np.minimum(allowed * np.exp(np.minimum(excess, 50.0)), 1 - 1e-9)
    return np.asarray(told * (misses * np.log(share) + (count - misses) * np.log1p(-share)))


def _mean_error(found: ObjectiveResult) -> float:
    """The standard error of a mean, as a fraction of it."""
    if found.ci95 is None or not found.value:
        return 1.0
    return (found.ci95[1] - found.ci95[0]) / (2 * Z95 * found.value)


# What to do next.

_FEWEST: Final = 100
"""Requests of a first look at a load."""
_LOOK: Final = 1 / 40
"""Of the budget: the longest first look."""
_ROUGHLY: Final = 0.04
_EXPLORING: Final = 0.12
"""Of the budget, at most, until what is sought is known so roughly."""
_STEP: Final = 0.04
_AT: Final = 0.35
"""Of the posterior: below the median, where runs may count for what is shown as well."""
_SAFE: Final = 0.3
"""Of what is sought: a load that is met for certain, and worth no more than none."""
_SLICE: Final = 0.2
"""Of the time that is left, before it is decided anew."""
_LEAST_SLICE: Final = 0.04
"""Of the budget: shorter runs decide nothing."""
_SHORTEST_S: Final = 1.0
_CLOSE: Final = 1.02
"""Loads that differ by less are one."""
_HOPELESS: Final = 0.05
"""A lower chance is not taken."""
_WORTHWHILE: Final = 0.01
"""A gain below that, in expectation, is not worth the time."""


def next_step(seen: Sequence[Seen], bounds: Bounds, spent_s: float) -> Ask | str:
    """What to measure next, or why the search ends.

    Args:
        seen: all runs so far.
        bounds: what the search may do.
        spent_s: how much of the budget is gone.
    """
    known, left_s = levels(seen), bounds.budget_s - spent_s
    if left_s < _SHORTEST_S:
        return "the budget is spent"
    if isinstance(opening := _opening(known, bounds, left_s), Ask | str):
        return opening
    low, high = opening
    if bounds.whole and high - low <= 1 and _is_met(known, low):
        return "no load lies between"
    if high / low < _CLOSE and _is_met(known, low):
        return "the load is known within 2 %"
    found = posterior(known, low / _CLOSE, high * _CLOSE)
    rough = found.spread > _ROUGHLY and spent_s < _EXPLORING * bounds.budget_s
    if rough and (middle := _new(found.quantile(_AT), known, bounds, low, high)) is not None:
        return Ask(middle, min(left_s, max(_STEP * bounds.budget_s, _SHORTEST_S)))
    return _confirm(known, found, bounds, left_s)


def _is_met(known: Sequence[Level], load: float) -> bool:
    return any(one.load == load and one.decision == "met" for one in known)


def _opening(
    known: Sequence[Level], bounds: Bounds, left_s: float
) -> Ask | str | tuple[float, float]:
    """Double, or halve, until loads on both sides are known; then these."""
    if not known:
        return _look(bounds.first, bounds, left_s)
    missed = [one.load for one in known if one.decision == "missed"]
    if not missed:
        if (top := known[-1].load) < bounds.most:
            return _look(min(2 * top, bounds.most), bounds, left_s)
        if known[-1].decision == "met":
            return "no higher load is tried"
        return top / 2, top
    low = max((one.load for one in known if one.load < missed[0]), default=None)
    if low is None:
        if missed[0] <= bounds.least:
            return "no lower load is tried"
        return _look(max(missed[0] / 2, bounds.least), bounds, left_s)
    met = [one.load for one in known if one.decision == "met" and one.load < missed[0]]
    return max(met, default=min(low, missed[0] / 2)), missed[0]


def _look(load: float, bounds: Bounds, left_s: float) -> Ask:
    """A first look: enough requests at high loads, not too long at low ones."""
    load = max(round(load), 1) if bounds.whole else load
    wanted_s = _FEWEST / load if not bounds.whole else _LOOK * bounds.budget_s
    return Ask(load, min(left_s, max(_SHORTEST_S, min(wanted_s, _LOOK * bounds.budget_s))))


def _new(
    load: float, known: Sequence[Level], bounds: Bounds, low: float, high: float
) -> float | None:
    """A load near this one that may be measured; None where there is none between."""
    if not bounds.whole:
        return float(f"{load:.3g}")
    return float(min(max(round(load), int(low) + 1), int(high) - 1)) if high - low > 1 else None


def _confirm(known: Sequence[Level], found: Posterior, bounds: Bounds, left_s: float) -> Ask | str:
    """The load whose measurement promises the greatest gain, and half of the time for it."""
    best = max((one.load for one in known if one.decision == "met"), default=None)
    floor = best or _SAFE * found.quantile(0.5)
    lowest, highest = floor, float(found.loads[-1])
    grid = {float(f"{load:.3g}") for load in np.geomspace(lowest, highest, 50)}
    if bounds.whole:
        grid = {float(round(load)) for load in grid}
    tried = {one.load for one in known if one.decision == "undecided"}
    missed = min((one.load for one in known if one.decision == "missed"), default=inf)
    loads = [one for one in sorted(grid | tried) if floor <= one < missed and one != best]
    chances = [_chance(load, left_s, known, found) for load in loads]
    gains = [
        log(load / floor) * chance * (chance > _HOPELESS)
        for load, chance in zip(loads, chances, strict=True)
    ]
    if not gains or max(gains) < _WORTHWHILE:
        return "more time would hardly find a higher load"
    load = loads[int(np.argmax(gains))]
    slice_s = max(left_s * _SLICE, _LEAST_SLICE * bounds.budget_s, _SHORTEST_S)
    return Ask(load, left_s if left_s < 2 * slice_s else slice_s)


def _chance(load: float, left_s: float, known: Sequence[Level], found: Posterior) -> float:
    """How likely a load is shown to meet every objective in the time that is left."""
    nearest = min(known, key=lambda one: abs(log(one.load / load)))
    rate = nearest.requests / max(nearest.seconds, 1e-9)
    rate *= min(load / nearest.load, 1.5)
    excess = _excess(found.loads, load)
    chance = np.ones_like(excess)
    for which, one in enumerate(nearest.objectives):
        if one.count and one.effective_count:
            worth = rate * left_s / _excess_near(load, which, known)
            before = one if nearest.load == load else None
            chance = np.minimum(chance, _meets(one, excess, worth, before))
    return float((chance * found.weight).sum())


_NEAR: Final = 1.3


def _excess_near(load: float, which: int, known: Sequence[Level]) -> float:
    """How many requests near a load are worth as much as an independent one."""
    near = [
        one.objectives[which]
        for one in known
        if max(one.load / load, load / one.load) < _NEAR and one.objectives[which].effective_count
    ]
    if not near:
        return 1.0
    return sum(one.count**2 / one.effective_count for one in near) / sum(one.count for one in near)


def _meets(
    one: ObjectiveResult, excess: Floats, worth: float, before: ObjectiveResult | None
) -> Floats:
    """The probability that the whole interval meets a bound after some more requests.

    Args:
        one: the objective, as a load nearby tells of it.
        excess: by which factor, as a logarithm, misses exceed what is allowed.
        worth: of how many independent requests more.
        before: what is known of that load already.
    """
    count = worth + (before.effective_count if before else 0.0)
    if one.is_share:
        allowed = 1 - one.bound
        share = np.minimum(allowed * np.exp(np.minimum(excess, 50.0)), 1 - 1e-9)
        misses = (1 - (before.value or 0.0)) * before.effective_count if before else 0.0
        most = allowed * count - Z95 * sqrt(allowed * one.bound * count) - misses
        return _normal((most - share * worth) / np.sqrt(share * (1 - share) * worth + 1e-12))
    error = _mean_error(one) * sqrt(max(one.effective_count, 1.0) / count)
    return _normal(-excess / error - Z95)


def _normal(z: Floats) -> Floats:
    """The normal distribution."""
    return np.asarray((1 + np.vectorize(erf)(z / sqrt(2))) / 2)

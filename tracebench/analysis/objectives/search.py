"""The search for the highest load that meets an objective, under noise and within a time budget.

Two assumptions, stated in docs/search.md: more load makes more requests miss their limits; and near
the sought load, the share of misses is roughly a power of the load. All runs together give a
posterior for that load and that power. First, loads are doubled until one misses. Then loads near
the posterior's median are measured, where a run is most informative, until the sought load is known
roughly; then those with the best prospect, in the time left, of being *shown* to meet the
objective.

The final answer does not depend on the model: the whole 95 % interval of a load's own requests must
meet the objective.

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
from tracebench.model.results.search import Level

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits of a search."""

    least: float
    most: float
    first: float
    """The load at which doubling begins."""
    budget_s: float
    whole: bool = False
    """Whether loads are whole numbers."""


class Ask(NamedTuple):
    """The next load to measure, and for how long."""

    load: float
    seconds: float


# The posterior of the sought load.

_POWERS: Final = np.array([2.0, 4.0, 6.0, 9.0, 13.0, 20.0, 40.0])
"""Candidate powers of the load with which the share of misses grows."""
_LOADS: Final = 240
_ROUGH, _ROUGHER = 0.15, 0.3
"""How far the power law may be off, as a fraction: near the sought load, and where the share of
misses is e times greater or smaller."""


@dataclass(frozen=True, slots=True)
class Posterior:
    """The distribution of the load at which the objective is just met."""

    loads: Floats
    weight: Floats
    """Shape (loads, powers); the weights sum to 1."""

    def quantile(self, share: float) -> float:
        """The load below which this share of the weight lies."""
        below = np.cumsum(self.weight.sum(1))
        return float(self.loads[min(int(np.searchsorted(below, share)), len(self.loads) - 1)])

    @property
    def spread(self) -> float:
        """The standard deviation of the load, as a fraction of it."""
        logs, weight = np.log(self.loads), self.weight.sum(1)
        mean = float(logs @ weight)
        return sqrt(max(float(weight @ (logs - mean) ** 2), 0.0))


def posterior(known: Sequence[Level], low: float, high: float) -> Posterior:
    """The posterior of the sought load given all runs, if it lies between `low` and `high`."""
    loads = np.geomspace(low, high, _LOADS)
    likely = np.zeros((_LOADS, len(_POWERS)))
    for level in known:
        for one in level.objectives:
            if one.value is not None and one.effective_count:
                likely += _log_likelihood(one, _excess(loads, level.load))
    weight = np.exp(likely - likely.max())
    return Posterior(loads, weight / weight.sum())


def _excess(sought: Floats, load: float) -> Floats:
    """Log of the factor by which misses exceed the allowed share; shape (loads, powers)."""
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
    told = min(1.0, 1 / (rough * max(misses, 0.5)))  # limits the trust in the power law
    share = np.minimum(allowed * np.exp(np.minimum(excess, 50.0)), 1 - 1e-9)
    return np.asarray(told * (misses * np.log(share) + (count - misses) * np.log1p(-share)))


def _mean_error(found: ObjectiveResult) -> float:
    """The standard error of a mean, as a fraction of it."""
    if found.ci95 is None or not found.value:
        return 1.0
    return (found.ci95[1] - found.ci95[0]) / (2 * Z95 * found.value)


# Choosing the next step.

_FEWEST: Final = 100
"""Least requests of a first look at a load."""
_LOOK: Final = 1 / 40
"""The longest first look, as a fraction of the budget."""
_ROUGHLY: Final = 0.04
_EXPLORING: Final = 0.12
"""Most of the budget, as a fraction, to spend until the spread is within `_ROUGHLY`."""
_STEP: Final = 0.04
_AT: Final = 0.35
"""Quantile of the posterior to measure: below the median, so that runs may also count towards
showing that the objective is met."""
_SAFE: Final = 0.3
"""Fraction of the sought load that stands in for the best met load while there is none."""
_SLICE: Final = 0.2
"""Part of the remaining time to measure before deciding again."""
_LEAST_SLICE: Final = 0.04
"""The shortest run, as a fraction of the budget; shorter ones decide nothing."""
_SHORTEST_S: Final = 1.0
_CLOSE: Final = 1.02
"""Ratio below which two loads count as the same."""
_HOPELESS: Final = 0.05
"""Loads with a lower chance of being shown to meet the objective are not tried."""
_WORTHWHILE: Final = 0.01
"""Least expected gain that is worth the time."""


def next_step(seen: Sequence[Seen], bounds: Bounds, spent_s: float) -> Ask | str:
    """The next step to measure, or the reason why the search ends.

    Args:
        seen: all runs so far.
        bounds: what the search may do.
        spent_s: how much of the budget is used up.
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
    """Double or halve until the sought load is bracketed; then return the bracket."""
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
    """A first look at a load: long enough for some requests, but not too long at low loads."""
    load = max(round(load), 1) if bounds.whole else load
    wanted_s = _FEWEST / load if not bounds.whole else _LOOK * bounds.budget_s
    return Ask(load, min(left_s, max(_SHORTEST_S, min(wanted_s, _LOOK * bounds.budget_s))))


def _new(
    load: float, known: Sequence[Level], bounds: Bounds, low: float, high: float
) -> float | None:
    """A load near this one that may be measured; None if there is none within the bracket."""
    if not bounds.whole:
        return float(f"{load:.3g}")
    return float(min(max(round(load), int(low) + 1), int(high) - 1)) if high - low > 1 else None


def _confirm(known: Sequence[Level], found: Posterior, bounds: Bounds, left_s: float) -> Ask | str:
    """Measure the load with the greatest expected gain, for a part of the remaining time."""
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
    """The probability that a load is shown to meet every objective in the time left."""
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
    """How many requests near a load are worth one independent request."""
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
    """The probability that the whole interval meets the bound after more requests.

    Args:
        one: the objective's result at a load nearby.
        excess: log of the factor by which misses exceed the allowed share.
        worth: the number of additional requests, as independent ones.
        before: the objective's result at that load so far; None: not measured yet.
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
    """The distribution function of the standard normal distribution."""
    return np.asarray((1 + np.vectorize(erf)(z / sqrt(2))) / 2)

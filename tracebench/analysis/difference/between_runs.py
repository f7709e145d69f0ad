"""Differences between runs that were measured at different times.

The interval within a run says how well that run's own statistic is known. It does not cover changes
from one run to the next: the machine's temperature and clock, memory layout, neighbours. Only
several runs a side reveal those; with three or more on both sides, the runs are the sample. With
fewer, the change within each run stands in for them. That is roughly a lower bound, so a comparison
of single runs is weaker, and says so.
"""

from collections.abc import Mapping, Sequence
from math import hypot, inf, sqrt
from statistics import fmean, variance
from typing import Final, NamedTuple, TypeAlias

from tracebench.analysis.difference.holm import shown, word
from tracebench.analysis.statistics.correlation import Z95
from tracebench.analysis.statistics.student_t import critical_t, two_sided_p
from tracebench.model.components import LATENCY
from tracebench.model.results.result import Difference, TargetResult
from tracebench.model.results.statistics import Statistics

ENOUGH_RUNS: Final = 3
"""Runs needed on each side for the runs to be the sample."""
COMPARED: Final = ("mean_ms", "p50_ms", "p95_ms", "p99_ms")
STREAM: Final = "stream."
_OF_STREAMS: Final = (
    *("ttft", "ttft_service", "first_text", "itl", "tpot", "generation", "ending"),
)

Runs: TypeAlias = Sequence[TargetResult]
"""The runs of one target on one side."""


class _Judged(NamedTuple):
    """A difference and its p-value."""

    difference: Difference
    p: float | None
    """None if unknown, or if there is nothing to judge."""


class _Key(NamedTuple):
    target: str
    component: str
    statistic: str


def differences(
    sides: Mapping[str, tuple[Runs, Runs]],
) -> dict[str, dict[str, dict[str, Difference]]]:
    """Compare each target's runs in the components that all of them have.

    Args:
        sides: target → its runs on side A and on side B, at least one each; with fewer than three
            on either side, they must have blocks.

    Returns:
        Target → component → statistic → difference; p99 only if all runs support it. Verdicts of
        all of them are corrected together by Holm's rule.
    """
    judged = {
        _Key(target, component, statistic): one
        for target, (a, b) in sides.items()
        for component, of_a, of_b in _in_all(a, b)
        for statistic in COMPARED
        if (one := _judge(component, statistic, _Side(a, of_a), _Side(b, of_b))) is not None
    }
    found = shown({key: one.p for key, one in judged.items() if one.p is not None})
    result: dict[str, dict[str, dict[str, Difference]]] = {target: {} for target in sides}
    for key, (known, _) in judged.items():
        verdict = word(known.delta, is_shown=key in found)
        told = Difference(known.a, known.b, known.delta, known.ci95, verdict)
        result[key.target].setdefault(key.component, {})[key.statistic] = told
    return result


def described(target: TargetResult) -> dict[str, Statistics]:
    """All statistics of a target: components, stream metrics, and `latency`."""
    found = dict(target.components)
    if target.blocks is not None and LATENCY in target.blocks.components and target.latency:
        found[LATENCY] = target.latency
    if target.stream is not None:
        told = {name: getattr(target.stream, name) for name in _OF_STREAMS}
        found |= {STREAM + name: one for name, one in told.items() if one is not None}
    return found


class _Side(NamedTuple):
    runs: Runs
    statistics: Sequence[Statistics]
    """The statistics of one component, one a run."""


def _in_all(a: Runs, b: Runs) -> list[tuple[str, list[Statistics], list[Statistics]]]:
    """Each component that all runs have, with its statistics in A's runs and in B's."""
    of_a, of_b = [described(one) for one in a], [described(one) for one in b]
    names = [name for name in of_a[0] if all(name in one for one in (*of_a, *of_b))]
    return [(name, [one[name] for one in of_a], [one[name] for one in of_b]) for name in names]


def _judge(component: str, statistic: str, a: _Side, b: _Side) -> _Judged | None:
    """Judge the difference of one statistic; None for an unsupported p99."""
    values_a, values_b = (
        [float(getattr(one, statistic)) for one in side.statistics] for side in (a, b)
    )
    mean_a, mean_b = fmean(values_a), fmean(values_b)
    supported = all(statistic in one.ci95 for side in (a, b) for one in side.statistics)
    if not supported:
        bare = Difference(mean_a, mean_b, mean_b - mean_a, None)
        return None if statistic == "p99_ms" else _Judged(bare, None)
    if mean_a == mean_b == 0:  # `connect` on kept connections: nothing to judge
        return _Judged(Difference(0.0, 0.0, 0.0, (0.0, 0.0)), None)
    if min(len(values_a), len(values_b)) >= ENOUGH_RUNS:
        varies = variance(values_a) / len(values_a) + variance(values_b) / len(values_b)
        if varies:
            return _by_welch(values_a, values_b)
    wander = _wander(component, statistic, a, b)
    if wander is None:
        return _Judged(Difference(mean_a, mean_b, mean_b - mean_a, None), None)
    return _within_runs(statistic, a, b, wander)


def _by_welch(a: Sequence[float], b: Sequence[float]) -> _Judged:
    """Judge with runs as the sample, by Welch's t-test (Welch 1947, Biometrika 34)."""
    of_a, of_b = variance(a) / len(a), variance(b) / len(b)
    degrees = (of_a + of_b) ** 2 / (of_a**2 / (len(a) - 1) + of_b**2 / (len(b) - 1))
    error, delta = sqrt(of_a + of_b), fmean(b) - fmean(a)
    half = critical_t(degrees) * error
    told = Difference(fmean(a), fmean(b), delta, (delta - half, delta + half))
    return _Judged(told, two_sided_p(delta / error, degrees))


def _within_runs(statistic: str, a: _Side, b: _Side, wander: float) -> _Judged:
    """Judge by MOVER's interval (see comparison.py) of the sides' means, widened by `wander`.

    For the p-value, the end nearest 0 is taken as that of a normal distribution.
    """
    mean_a, below_a, above_a = _mean(statistic, a.statistics)
    mean_b, below_b, above_b = _mean(statistic, b.statistics)
    delta = mean_b - mean_a
    below, above = hypot(below_b, above_a), hypot(above_b, below_a)
    towards_0 = below if delta > 0 else above
    beyond = max(abs(delta) - wander, 0.0)
    deviations = beyond * Z95 / towards_0 if towards_0 else inf
    p = two_sided_p(deviations, inf) if beyond else 1.0
    interval = (delta - below - wander, delta + above + wander)
    return _Judged(Difference(mean_a, mean_b, delta, interval), p)


def _mean(statistic: str, runs: Sequence[Statistics]) -> tuple[float, float, float]:
    """The mean over a side's runs, and how far its interval reaches below and above."""
    values = [float(getattr(one, statistic)) for one in runs]
    ends = [one.ci95[statistic] for one in runs]
    below = hypot(*(value - low for value, (low, _) in zip(values, ends, strict=True)))
    above = hypot(*(high - value for value, (_, high) in zip(values, ends, strict=True)))
    return fmean(values), below / len(runs), above / len(runs)


def _wander(component: str, statistic: str, a: _Side, b: _Side) -> float | None:
    """The largest difference between the halves of a run, or between the runs of a side, in ms.

    None if a run does not have this statistic for its halves.
    """
    found = []
    for side in (a, b):
        values = [float(getattr(one, statistic)) for one in side.statistics]
        found.append(max(values) - min(values))
        for run in side.runs:
            blocks = run.blocks.components if run.blocks is not None else {}
            halves = blocks[component].halves if component in blocks else {}
            if statistic not in halves:
                return None
            first, second = halves[statistic]
            found.append(abs(second - first))
    return max(found)

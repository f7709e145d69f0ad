"""Differences between two sides: two targets, or requests with and without tracing."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from math import ceil, hypot, inf
from statistics import fmean
from typing import Final

from tracebench.analysis.closure.decomposition import latency, successes
from tracebench.analysis.difference import holm
from tracebench.analysis.difference.paired import (
    LEAST_PAIRS,
    Estimate,
    Rounds,
    estimates,
    pair_count,
    rounds_a_block,
)
from tracebench.analysis.statistics.correlation import Z95
from tracebench.analysis.statistics.distribution import describe
from tracebench.analysis.statistics.student_t import two_sided_p
from tracebench.model.components import BODY
from tracebench.model.record.requests import VARIANT, Requests
from tracebench.model.results.result import (
    Comparison,
    Difference,
    ObserverEffect,
    Result,
    TargetResult,
)
from tracebench.model.results.statistics import COMPARED, Statistics

# Targets side by side.

_CHANGED: Final = {"not_stationary", "warmup_too_short", "noisy_neighbour"}
"""Findings which show that the machine or the server changed during the run."""


_NO_TIME: Final = Statistics(
    count=0,
    mean_ms=0.0,
    std_ms=0.0,
    min_ms=0.0,
    p50_ms=0.0,
    p90_ms=0.0,
    p95_ms=0.0,
    p99_ms=0.0,
    p999_ms=0.0,
    max_ms=0.0,
    ci95=dict.fromkeys(COMPARED, (0.0, 0.0)),
)
"""The statistics of what takes no time in any request."""
IN_TURN: Final = "measured one after the other"
UNKNOWN_ROUNDS: Final = "compared without rounds, of which the archive does not tell"


def compare(
    a_name: str, a: TargetResult, b_name: str, b: TargetResult, how: str = IN_TURN
) -> Comparison:
    """Compare two targets whose blocks cannot be paired.

    It covers the components that both have; their verdicts are corrected together (Holm).

    Args:
        a_name: name of the first target.
        a: result of the first target.
        b_name: name of the second target.
        b: result of the second target.
        how: how they were measured, for the caveat.
    """
    of_a, of_b = _comparable(a, b), _comparable(b, a)
    found = {
        (component, name): difference(name, of_a[component], of_b[component])
        for component in _common(of_a, of_b)
        for name in COMPARED
    }
    shown = holm.shown({key: _p_value(one) for key, one in found.items()})
    return Comparison(
        a_name,
        b_name,
        _by_component(found, shown),
        caveat=_not_by_turns({a_name: a, b_name: b}, how),
    )


def compared(result: Result, rounds: Mapping[str, Rounds], how: str = IN_TURN) -> Result:
    """Add the comparisons of its targets to a result; see `compare_all`."""
    found = compare_all(result.targets, rounds, how)
    if len(result.targets) == 2:
        return replace(result, comparison=found[0] if found else None)
    return replace(result, comparisons=found)


def compare_all(
    targets: Mapping[str, TargetResult], rounds: Mapping[str, Rounds], how: str = IN_TURN
) -> tuple[Comparison, ...]:
    """Compare each target with the first; targets without a success are left out.

    Args:
        targets: the results, by name.
        rounds: the rounds of each target that was measured in alternating blocks.
        how: how the targets that are not in `rounds` were measured.
    """
    (a, *others) = targets
    known = [b for b in others if targets[a].components and targets[b].components]
    by_turns = [b for b in known if a in rounds and b in rounds]
    paired = dict(zip(by_turns, _compare_paired(a, by_turns, targets, rounds), strict=True))
    return tuple(paired.get(b) or compare(a, targets[a], b, targets[b], how) for b in known)


def _compare_paired(
    a: str, others: Sequence[str], targets: Mapping[str, TargetResult], rounds: Mapping[str, Rounds]
) -> Iterator[Comparison]:
    """Compare targets by pairs of blocks; all verdicts are corrected together (Holm)."""
    sides = {
        b: (_comparable(targets[a], targets[b]), _comparable(targets[b], targets[a]))
        for b in others
    }
    found = {b: estimates(rounds[a], rounds[b], _common(*sides[b])) for b in others}
    shown = holm.shown({(b, *key): one.p for b, of_b in found.items() for key, one in of_b.items()})
    for b, of_b in found.items():
        before, after = sides[b]
        differences = {
            (component, name): Difference(
                getattr(before[component], name),
                getattr(after[component], name),
                one.delta,
                one.ci95,
            )
            for (component, name), one in of_b.items()
        }
        pairs = pair_count(rounds[a], rounds[b])
        blocks_s = [*rounds[a].blocks_s[:pairs], *rounds[b].blocks_s[:pairs]]
        block_s = fmean(blocks_s) if blocks_s else 0.0
        yield Comparison(
            a,
            b,
            _by_component(
                differences, {(component, name) for of, component, name in shown if of == b}
            ),
            caveat=_too_few(rounds[a], rounds[b], of_b),
            pairs=pairs,
            block_s=block_s,
        )


def _comparable(one: TargetResult, other: TargetResult) -> Mapping[str, Statistics]:
    """The components of a target, with a `body` of 0 where only the other one has any.

    A result leaves `body` out if no reply had one; without it the differences would not add up.
    """
    if BODY not in other.components or BODY in one.components or not one.decomposed:
        return one.components
    return {**one.components, BODY: replace(_NO_TIME, count=one.decomposed)}


def _common(a: Mapping[str, Statistics], b: Mapping[str, Statistics]) -> list[str]:
    return [component for component in a if component in b]


def _by_component(
    found: Mapping[tuple[str, str], Difference], shown: Collection[tuple[str, str]]
) -> dict[str, dict[str, Difference]]:
    """Regroup differences by component and statistic, each with its verdict."""
    components: dict[str, dict[str, Difference]] = {}
    for (component, name), one in found.items():
        verdict = holm.word(one.delta, is_shown=(component, name) in shown)
        components.setdefault(component, {})[name] = replace(one, verdict=verdict)
    return components


def _too_few(a: Rounds, b: Rounds, found: Mapping[tuple[str, str], Estimate]) -> str:
    """The caveat naming what has no interval, and the duration that would give it one."""
    known = {name for (_, name), one in found.items() if one.ci95 is not None}
    lacking = [name for name in COMPARED if name not in known]
    if not lacking:
        return ""
    pairs = pair_count(a, b)
    block_s = max((*a.blocks_s[:pairs], *b.blocks_s[:pairs]), default=0.0)
    least_s = LEAST_PAIRS * block_s * max(rounds_a_block(a, b, name) for name in lacking)
    names = ", ".join(name.removesuffix("_ms") for name in lacking)
    return f"too few pairs of blocks for an interval of {names}: give --duration {ceil(least_s)}"


def _not_by_turns(targets: Mapping[str, TargetResult], how: str) -> str:
    """The caveat naming what the intervals of unpaired targets do not cover."""
    known = f"{how}: the intervals do not cover what changed in between"
    changed = [
        name
        for name, target in targets.items()
        if any(one.code in _CHANGED for one in target.verdict.findings)
    ]
    if changed:
        known += f", and {' and '.join(changed)} changed within the run (see the verdict)"
    return known + "; without --sequential, targets alternate, and it is no part of the difference"


def difference(name: str, a: Statistics, b: Statistics) -> Difference:
    """The difference of one statistic, with a 95 % interval if both sides have one.

    The interval is MOVER's, which only needs the two intervals and keeps their asymmetry (Zou &
    Donner 2008, Construction of confidence limits about effect measures, Statistics in Medicine
    27). It assumes that the two samples are independent.
    """
    of_a: float = getattr(a, name)
    of_b: float = getattr(b, name)
    delta = of_b - of_a
    if name not in a.ci95 or name not in b.ci95:
        return Difference(of_a, of_b, delta, None)
    low_a, high_a = a.ci95[name]
    low_b, high_b = b.ci95[name]
    low = delta - hypot(of_b - low_b, high_a - of_a)
    high = delta + hypot(high_b - of_b, of_a - low_a)
    return Difference(of_a, of_b, delta, (low, high))


def _p_value(one: Difference) -> float:
    """The two-sided p-value of a difference, derived from its 95 % interval.

    The half of the interval towards 0 is taken as 1.96 standard errors.
    """
    if one.ci95 is None:
        return 1.0
    half = one.delta - one.ci95[0] if one.delta > 0 else one.ci95[1] - one.delta
    return two_sided_p(one.delta / half * Z95, inf) if half else float(one.delta == 0)


# The observer effect: the cost of tracing for the server.


def observer_effect(requests: Requests, untraced_from: int) -> ObserverEffect | None:
    """Compare the requests of a run that asked for tracing with those that did not.

    Untraced requests are those whose variant is `untraced_from` or higher.

    Tracing is drawn at random for each request, so drift and bursts affect both kinds alike, and
    each kind is a random sample of the same moments. Intervals therefore treat the values as
    independent even if the series is correlated (Neyman 1923; Imbens & Rubin 2015, Causal
    Inference, chapter 6). Effects of a traced request on the next one are not detected.

    Returns:
        Differences of `end_to_end` between successes; None if either kind has no success.
    """
    chosen = successes(requests)
    latency_ns = chosen.column(latency)
    traced = chosen.column(lambda part: part.request(VARIANT)) < untraced_from
    traced_ns, untraced_ns = latency_ns[traced], latency_ns[~traced]
    if not len(traced_ns) or not len(untraced_ns):
        return None
    without = describe(untraced_ns, independent=True)
    within = describe(traced_ns, independent=True)
    return ObserverEffect(
        traced=within.count,
        untraced=without.count,
        mean_ms=difference("mean_ms", without, within),
        p50_ms=difference("p50_ms", without, within),
        p95_ms=difference("p95_ms", without, within),
    )

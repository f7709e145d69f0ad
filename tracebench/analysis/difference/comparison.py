"""What differs between two sides: two targets, or requests with and without tracing."""

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
from tracebench.model.requests import VARIANT, Requests
from tracebench.model.result import Comparison, Difference, ObserverEffect, Result, TargetResult
from tracebench.model.statistics import COMPARED, Statistics

# Targets side by side.

_CHANGED: Final = {"not_stationary", "warmup_too_short", "noisy_neighbour"}
"""What tells that a machine, or a server, was not the same throughout."""


IN_TURN: Final = "measured one after the other"
UNKNOWN_ROUNDS: Final = "compared without rounds, of which the archive does not tell"


def compare(
    a_name: str, a: TargetResult, b_name: str, b: TargetResult, how: str = IN_TURN
) -> Comparison:
    """Set two targets side by side whose blocks are not known to pair.

    It tells of the components that both have; the verdicts of all of them are judged together.

    Args:
        a_name: what the first is called.
        a: its result.
        b_name: what the second is called.
        b: its result.
        how: it came about, for the caveat.
    """
    found = {
        (component, name): difference(name, a.components[component], b.components[component])
        for component in _common(a, b)
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
    """A result with the comparisons of its targets; see `compare_all`."""
    found = compare_all(result.targets, rounds, how)
    if len(result.targets) == 2:
        return replace(result, comparison=found[0] if found else None)
    return replace(result, comparisons=found)


def compare_all(
    targets: Mapping[str, TargetResult], rounds: Mapping[str, Rounds], how: str = IN_TURN
) -> tuple[Comparison, ...]:
    """Compare each target with the first; of those without any success nothing is told.

    Args:
        targets: as they are told of.
        rounds: what was measured of each by turns.
        how: those came about that are not there.
    """
    (a, *others) = targets
    known = [b for b in others if targets[a].components and targets[b].components]
    by_turns = [b for b in known if a in rounds and b in rounds]
    paired = dict(zip(by_turns, _compare_paired(a, by_turns, targets, rounds), strict=True))
    return tuple(paired.get(b) or compare(a, targets[a], b, targets[b], how) for b in known)


def _compare_paired(
    a: str, others: Sequence[str], targets: Mapping[str, TargetResult], rounds: Mapping[str, Rounds]
) -> Iterator[Comparison]:
    """Compare from pairs of blocks; the verdicts of all comparisons are judged together."""
    found = {b: estimates(rounds[a], rounds[b], _common(targets[a], targets[b])) for b in others}
    shown = holm.shown({(b, *key): one.p for b, of_b in found.items() for key, one in of_b.items()})
    for b, of_b in found.items():
        differences = {
            (component, name): Difference(
                getattr(targets[a].components[component], name),
                getattr(targets[b].components[component], name),
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


def _common(a: TargetResult, b: TargetResult) -> list[str]:
    return [component for component in a.components if component in b.components]


def _by_component(
    found: Mapping[tuple[str, str], Difference], shown: Collection[tuple[str, str]]
) -> dict[str, dict[str, Difference]]:
    """Differences by component and statistic, each with its verdict."""
    components: dict[str, dict[str, Difference]] = {}
    for (component, name), one in found.items():
        verdict = holm.word(one.delta, is_shown=(component, name) in shown)
        components.setdefault(component, {})[name] = replace(one, verdict=verdict)
    return components


def _too_few(a: Rounds, b: Rounds, found: Mapping[tuple[str, str], Estimate]) -> str:
    """What has no interval, and how long a run would give it one."""
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
    """What is not in the intervals of targets whose blocks do not pair."""
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
    """One statistic's difference, with its 95 % interval where both have one of their own.

    The interval is MOVER's, which needs nothing but the two intervals and keeps their asymmetry
    (Zou & Donner 2008, Construction of confidence limits about effect measures, Statistics in
    Medicine 27). The two samples are taken as independent.
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
    """How often chance alone makes such a difference: what its 95 % interval tells of that.

    The side towards 0 counts, as 1.96 standard errors.
    """
    if one.ci95 is None:
        return 1.0
    half = one.delta - one.ci95[0] if one.delta > 0 else one.ci95[1] - one.delta
    return two_sided_p(one.delta / half * Z95, inf) if half else float(one.delta == 0)


# The observer effect: what a server pays for being traced.


def observer_effect(requests: Requests, untraced_from: int) -> ObserverEffect | None:
    """Compare requests that asked for tracing with those of the same run that did not.

    The latter are the variants from `untraced_from` on.

    Because it was drawn at random for each request, whatever drifts or comes in bursts meets both
    alike, and each is a random sample of the same moments: their intervals take the values as
    independent even where the series is correlated (Neyman 1923; Imbens & Rubin 2015, Causal
    Inference, chapter 6). What a traced request leaves behind for the next one is not seen.

    Returns:
        Differences of `end_to_end` between successes; None where either kind has none.
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

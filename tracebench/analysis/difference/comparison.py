"""What differs between two sides: two targets, or requests with and without tracing."""

from collections.abc import Mapping
from math import hypot
from typing import Final

from tracebench.analysis.closure.decomposition import latency, successes
from tracebench.analysis.statistics.distribution import describe
from tracebench.model.requests import VARIANT, Requests
from tracebench.model.result import (
    COMPARED,
    Comparison,
    Difference,
    ObserverEffect,
    Statistics,
    TargetResult,
)

# Two targets side by side.

_CHANGED: Final = {"not_stationary", "warmup_too_short", "noisy_neighbour"}
"""What tells that a machine, or a server, was not the same throughout."""


def compare(a_name: str, a: TargetResult, b_name: str, b: TargetResult) -> Comparison:
    """Set two targets side by side, in the components that both have."""
    return Comparison(
        a=a_name,
        b=b_name,
        components={
            component: {name: difference(name, of_a, b.components[component]) for name in COMPARED}
            for component, of_a in a.components.items()
            if component in b.components
        },
        caveat=_caveat({a_name: a, b_name: b}),
    )


def _caveat(targets: Mapping[str, TargetResult]) -> str:
    """What is not in the intervals of targets that were measured one after the other."""
    known = "measured one after the other: the intervals do not cover what changed in between"
    changed = [
        name
        for name, target in targets.items()
        if any(one.code in _CHANGED for one in target.verdict.findings)
    ]
    if changed:
        known += f", and {' and '.join(changed)} changed within the run (see the verdict)"
    return known + "; run both several times to see how much that is"


def compare_two(targets: Mapping[str, TargetResult]) -> Comparison | None:
    """Compare the second target with the first; None where there are not two with successes."""
    if len(targets) != 2 or not all(target.components for target in targets.values()):
        return None
    (a, of_a), (b, of_b) = targets.items()
    return compare(a, of_a, b, of_b)


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

"""How a target scales: Little's law for each component, the knee, and what saturates first.

Source of the laws: D. A. Menascé and others, Performance by Design (2004), chapter 3: Little's
law, and the two asymptotes of throughput, which cross at the knee.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import log
from typing import Final

from tracebench.analysis.advice import Advice
from tracebench.analysis.findings.finding import WARNING, FindingKind, weigh
from tracebench.analysis.scaling import scalability_law
from tracebench.analysis.scaling.bottleneck import bottleneck, sentence
from tracebench.analysis.scaling.objective import (
    OF_THE_TOOL,
    highest_met,
    invalid_for,
    meets,
    objective_sentence,
)
from tracebench.model.components import END_TO_END
from tracebench.model.results.result import Finding, TargetResult
from tracebench.model.results.sweep import Bottleneck, LoadKind, Point, Scaling

_GROWN: Final = 1.05
"""Factor that throughput must exceed in a step to count as grown."""
_SATURATED: Final[dict[LoadKind, frozenset[str]]] = {
    "concurrency": frozenset(),
    "rate": frozenset({"rate_not_met", "not_stationary"}),
}
"""Findings that make a run past the capacity invalid, yet are what a sweep looks for."""
_EFFICIENT: Final = {"concurrency": 0.75, "rate": 0.95}
"""Share of the throughput without any waiting below which a load is past the knee."""
_FLAT: Final = 0.5
"""Elasticity of throughput (1: proportional to load) below which it counts as saturated."""
_NEGLIGIBLE_MS: Final = 0.01
"""Time at the lowest load below which a component's relative growth is meaningless."""

Targets = Mapping[float, TargetResult]

_STEPS_NOT_VALID: Final = FindingKind(
    "steps_not_valid",
    WARNING,
    "not valid: {value} of {steps:#step} ({loads})",
    (
        Advice(
            "see the verdict of each in --output-json; the scaling counts only those that the tool "
            "itself limited",
            short="see --output-json",
        ),
    ),
    "not valid: {value} of {steps:#step} ({loads})",
)
_LITTLES_LAW: Final = FindingKind(
    "littles_law",
    ((0.05, "warning"),),
    "at {load:g} in flight, throughput × mean time in each component sums to {found:.3g}: "
    "{off:%} off, and the ends of the run explain less",
    (
        Advice(
            "look at that step's errors and undecomposed requests, and measure longer (--duration)",
            short="longer --duration",
        ),
    ),
    "at {load:g} in flight, Little's law is {off:%} off",
)
KINDS: Final = (_STEPS_NOT_VALID, _LITTLES_LAW)


def scale(kind: LoadKind, targets: Targets, slo: str | None = None) -> Scaling:
    """Describe how a target scales.

    Args:
        kind: whether a load is a concurrency or an arrival rate.
        targets: load → the target's result at that load; not empty.
        slo: the objectives that each load was judged by; None: none.
    """
    targets = dict(sorted(targets.items()))
    usable = {load: target for load, target in targets.items() if _usable(kind, target)}
    points = _points(kind, targets, next(iter(usable.values()), None))
    known = [one for one in points if one.load in usable]
    found = _first_bottleneck(kind, known, usable)
    capacity_rps = None
    if found is not None and found.cause not in ("client", "cap"):
        capacity_rps = max(one.throughput_rps for one in known)
        points = [replace(one, utilisation=one.throughput_rps / capacity_rps) for one in points]
    law = None
    if kind == "concurrency" and known:
        law = scalability_law.fit([p.load for p in known], [p.throughput_rps for p in known])
    bare = Scaling(
        points=tuple(points),
        capacity_rps=capacity_rps,
        knee=capacity_rps / _slope(kind, known) if capacity_rps else None,
        bottleneck=found,
        law=law,
        sentence="",
        findings=_findings(kind, points, usable),
        highest_met=highest_met(targets),
        objective=objective_sentence(kind, slo, targets) if slo else "",
    )
    return replace(bare, sentence=sentence(kind, bare, usable, targets))


def has_stopped_growing(throughputs_rps: Sequence[float]) -> bool:
    """Whether neither of the last two steps raised throughput by more than 5 %."""
    return len(throughputs_rps) > 2 and all(
        throughputs_rps[at] <= _GROWN * max(throughputs_rps[:at]) for at in (-2, -1)
    )


def _usable(kind: LoadKind, target: TargetResult) -> bool:
    measured = bool(target.share) and target.throughput_rps > 0
    return measured and invalid_for(target) <= _SATURATED[kind] | OF_THE_TOOL


def _client_cpu(target: TargetResult) -> float:
    """How busy the tool's processes were, as a fraction of a core each."""
    cores_s = target.duration_s * max(len(target.workers), 1)
    return target.client_cpu_s / cores_s if cores_s else 0.0


def _points(kind: LoadKind, targets: Targets, base: TargetResult | None) -> list[Point]:
    base_ms = _mean_ms(base) if base is not None else {}
    points = []
    for load, target in targets.items():
        mean_ms = _mean_ms(target)
        points.append(
            Point(
                load=load,
                valid=invalid_for(target) <= _SATURATED[kind],
                throughput_rps=target.throughput_rps,
                utilisation=None,
                client_cpu=_client_cpu(target),
                mean_ms=mean_ms,
                in_flight={n: target.throughput_rps * ms / 1e3 for n, ms in mean_ms.items()},
                growth={
                    name: ms / base_ms[name]
                    for name, ms in mean_ms.items()
                    if base_ms.get(name, 0.0) > _NEGLIGIBLE_MS
                },
                meets=meets(target),
            )
        )
    return points


def _mean_ms(target: TargetResult) -> dict[str, float]:
    """Each component's mean over all decomposed requests, with or without it: means add up."""
    if not target.share:
        return {}
    whole_ms = target.components[END_TO_END].mean_ms
    return {name: share * whole_ms for name, share in target.share.items()}


def _slope(kind: LoadKind, known: Sequence[Point]) -> float:
    """Throughput per unit of load if nothing waits."""
    return 1.0 if kind == "rate" else known[0].throughput_rps / known[0].load


def _first_bottleneck(
    kind: LoadKind, known: Sequence[Point], targets: Targets
) -> Bottleneck | None:
    """The cause of the growth in latency at the first load past the knee."""
    if len(known) < 2 or not _is_flat(kind, known):
        return None
    slope = _slope(kind, known)
    past = (p for p in known[1:] if p.throughput_rps < _EFFICIENT[kind] * slope * p.load)
    there = next(past, known[-1])
    return bottleneck(known[0], there, targets[known[0].load].tcp, targets[there.load].tcp)


def _is_flat(kind: LoadKind, known: Sequence[Point]) -> bool:
    if kind == "rate":
        return any(one.throughput_rps < _EFFICIENT[kind] * one.load for one in known)
    best_rps = max(one.throughput_rps for one in known[:-1])  # one low step is no growth
    gained = log(max(known[-1].throughput_rps / best_rps, 1.0))
    return gained < _FLAT * log(known[-1].load / known[-2].load)


def _findings(kind: LoadKind, points: Sequence[Point], usable: Targets) -> tuple[Finding, ...]:
    invalid = [f"{one.load:g}" for one in points if not one.valid]
    found = [weigh(_STEPS_NOT_VALID, len(invalid), steps=len(points), loads=", ".join(invalid))]
    if kind == "concurrency":
        found += [_little(load, target) for load, target in usable.items()]
    return tuple(one for one in found if one is not None)


def _little(concurrency: float, target: TargetResult) -> Finding | None:
    """Check Little's law: the mean numbers of requests in the components sum to the concurrency.

    Slots are idle at both ends of the window, each for no longer than the slowest request took.
    """
    found = target.throughput_rps * target.components[END_TO_END].mean_ms / 1e3
    edges = target.components[END_TO_END].max_ms / 1e3 / target.duration_s
    off = abs(found / concurrency - 1)
    allowed = edges if found < concurrency else 0.0
    return weigh(_LITTLES_LAW, max(off - allowed, 0.0), off=off, found=found, load=concurrency)

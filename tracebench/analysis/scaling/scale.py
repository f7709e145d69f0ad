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
from tracebench.model.components import END_TO_END
from tracebench.model.result import Finding, TargetResult
from tracebench.model.sweep import Bottleneck, LoadKind, Point, Scaling

_GROWN: Final = 1.05
"""Throughput that gains less in a step has not grown."""
_SATURATED: Final[dict[LoadKind, frozenset[str]]] = {
    "concurrency": frozenset(),
    "rate": frozenset({"rate_not_met", "not_stationary"}),
}
"""What a run past the capacity is invalid for, and a sweep looks for."""
_TOOL: Final = frozenset({"client_saturated", "loop_lag"})
"""What is the tool's fault, and tells that it is the limit."""
_EFFICIENT: Final = {"concurrency": 0.75, "rate": 0.95}
"""The share of the throughput of a server without waiting below which a load is past the knee."""
_FLAT: Final = 0.5
"""Elasticity of throughput (1: it grows as load does) below which it counts as saturated."""
_NEGLIGIBLE_MS: Final = 0.01
"""A component that takes less at the least load has no growth that would mean anything."""

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


def scale(kind: LoadKind, targets: Targets) -> Scaling:
    """Say how a target scales.

    Args:
        kind: what the loads are.
        targets: load → what was measured of the target there; at least one.
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
    )
    return replace(bare, sentence=sentence(kind, bare, usable))


def has_stopped_growing(throughputs_rps: Sequence[float]) -> bool:
    """Whether throughput gained at most 5 % in each of the last two steps."""
    return len(throughputs_rps) > 2 and all(
        throughputs_rps[at] <= _GROWN * max(throughputs_rps[:at]) for at in (-2, -1)
    )


def _invalid(target: TargetResult) -> set[str]:
    return {one.code for one in target.verdict.findings if one.severity == "invalid"}


def _usable(kind: LoadKind, target: TargetResult) -> bool:
    measured = bool(target.share) and target.throughput_rps > 0
    return measured and _invalid(target) <= _SATURATED[kind] | _TOOL


def _points(kind: LoadKind, targets: Targets, base: TargetResult | None) -> list[Point]:
    base_ms = _mean_ms(base) if base is not None else {}
    points = []
    for load, target in targets.items():
        mean_ms = _mean_ms(target)
        points.append(
            Point(
                load=load,
                valid=_invalid(target) <= _SATURATED[kind],
                throughput_rps=target.throughput_rps,
                utilisation=None,
                client_cpu=target.client_cpu_s / target.duration_s if target.duration_s else 0.0,
                mean_ms=mean_ms,
                in_flight={n: target.throughput_rps * ms / 1e3 for n, ms in mean_ms.items()},
                growth={
                    name: ms / base_ms[name]
                    for name, ms in mean_ms.items()
                    if base_ms.get(name, 0.0) > _NEGLIGIBLE_MS
                },
            )
        )
    return points


def _mean_ms(target: TargetResult) -> dict[str, float]:
    """Over all decomposed requests, those that do not have the component as well: a true sum."""
    if not target.share:
        return {}
    whole_ms = target.components[END_TO_END].mean_ms
    return {name: share * whole_ms for name, share in target.share.items()}


def _slope(kind: LoadKind, known: Sequence[Point]) -> float:
    """Throughput for each unit of load where nothing waits."""
    return 1.0 if kind == "rate" else known[0].throughput_rps / known[0].load


def _first_bottleneck(
    kind: LoadKind, known: Sequence[Point], targets: Targets
) -> Bottleneck | None:
    """What takes the time by which latency has grown, at the first load past the knee."""
    if len(known) < 2 or not _is_flat(kind, known):
        return None
    slope = _slope(kind, known)
    past = (p for p in known[1:] if p.throughput_rps < _EFFICIENT[kind] * slope * p.load)
    there = next(past, known[-1])
    return bottleneck(known[0], there, targets[known[0].load].tcp, targets[there.load].tcp)


def _is_flat(kind: LoadKind, known: Sequence[Point]) -> bool:
    if kind == "rate":
        return any(one.throughput_rps < _EFFICIENT[kind] * one.load for one in known)
    best_rps = max(one.throughput_rps for one in known[:-1])  # one noisy step is no growth
    gained = log(max(known[-1].throughput_rps / best_rps, 1.0))
    return gained < _FLAT * log(known[-1].load / known[-2].load)


def _findings(kind: LoadKind, points: Sequence[Point], usable: Targets) -> tuple[Finding, ...]:
    invalid = [f"{one.load:g}" for one in points if not one.valid]
    found = [weigh(_STEPS_NOT_VALID, len(invalid), steps=len(points), loads=", ".join(invalid))]
    if kind == "concurrency":
        found += [_little(load, target) for load, target in usable.items()]
    return tuple(one for one in found if one is not None)


def _little(concurrency: float, target: TargetResult) -> Finding | None:
    """Little's law: the mean numbers in the components sum to the concurrency.

    At both ends of the window slots idle, each for no longer than the slowest request took.
    """
    found = target.throughput_rps * target.components[END_TO_END].mean_ms / 1e3
    edges = target.components[END_TO_END].max_ms / 1e3 / target.duration_s
    off = abs(found / concurrency - 1)
    allowed = edges if found < concurrency else 0.0
    return weigh(_LITTLES_LAW, max(off - allowed, 0.0), off=off, found=found, load=concurrency)

"""`sweep(plan, …)` → `Sweep`: the same plan measured at a list of loads."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Final

from tracebench.analysis.scaling.scale import has_stopped_growing, scale
from tracebench.benchmark import run
from tracebench.load.progress import SweepWatcher
from tracebench.model.errors import TracebenchError
from tracebench.model.plan import Plan, Segment
from tracebench.model.results.result import TargetResult
from tracebench.model.results.sweep import LoadKind, Scaling, Step, Sweep

INTERRUPTED = "it was interrupted"
MOST: Final = {"concurrency": 1024, "rate": 100_000}
"""The highest load that doubling reaches."""
_LEAST: Final[dict[LoadKind, float]] = {"concurrency": 1, "rate": 10}
_WARMUP_A_SLOT = 2


def sweep(
    plan: Plan, kind: LoadKind, loads: Sequence[float] | None, watcher: SweepWatcher | None = None
) -> Sweep:
    """Measure a plan at each load, in ascending order.

    An interrupt or a failed step ends the sweep; the steps measured so far are returned.

    Args:
        plan: what to measure at each load; in a closed loop, `warmup` is raised to at least two
            requests a slot.
        kind: whether a load is a concurrency or an arrival rate.
        loads: the loads; None: double from 1 in flight (or 10 a second) until throughput has grown
            by at most 5 % in two steps running, or the numbers of a step are not valid.
        watcher: receives progress; None: no progress is reported.

    Raises:
        TracebenchError: nothing was measured: the plan or a target is wrong.
    """
    watcher = watcher or SweepWatcher()
    steps: list[Step] = []
    ended, failed = "all loads were measured", False
    try:
        for load in _doubling(kind) if loads is None else sorted(set(loads)):
            told = watcher.begins(load)
            steps.append(Step(load, run(at(plan, kind, load), told)))
            watcher.ends(load, steps[-1].result)
            if why := _enough(kind, steps, auto=loads is None):
                ended = why
                break
    except (TracebenchError, OSError, KeyboardInterrupt) as error:
        if not steps:
            raise
        ended = f"the step at {load:g} failed: {error}" if str(error) else INTERRUPTED
        failed = True
    scaling = _scaling(kind, steps, plan.objectives.slo)
    last = steps[-1].load if loads is None and len(steps) > 2 else inf
    return Sweep(
        kind=kind,
        steps=tuple(steps),
        ended=ended,
        interrupted=ended == INTERRUPTED,
        valid=not failed
        and ended != INTERRUPTED
        and all(p.valid or p.load == last for one in scaling.values() for p in one.points),
        scaling=scaling,
        label=plan.naming.label,
        slo=plan.objectives.slo,
    )


def at(plan: Plan, kind: LoadKind, load: float) -> Plan:
    """The plan for one load of a sweep."""
    file, asked = plan.traces.output_traces, plan.load
    if file is not None:  # each step writes its own file
        file = str(Path(file).with_stem(f"{Path(file).stem}-{load:g}"))
        plan = replace(plan, traces=replace(plan.traces, output_traces=file))
    if kind == "rate":
        return replace(plan, load=replace(asked, rate=(Segment(load, load, inf),)))
    slots, warmup = int(load), asked.warmup
    if warmup != "auto":
        warmup = max(warmup, _WARMUP_A_SLOT * slots)
    return replace(plan, load=replace(asked, concurrency=slots, warmup=warmup))


def _doubling(kind: LoadKind) -> Iterator[float]:
    load = _LEAST[kind]
    while load <= MOST[kind]:
        yield load
        load *= 2


def _enough(kind: LoadKind, steps: Sequence[Step], *, auto: bool) -> str | None:
    """Why the sweep should end here; None: it should go on."""
    load, targets = steps[-1].load, list(_targets(steps[-1:]))
    found = {one.code: one.severity for target in targets for one in target.verdict.findings}
    if "interrupted" in found:
        return INTERRUPTED
    if not any(target.requests.succeeded or target.requests.abandoned for target in targets):
        return f"no request succeeded at {load:g}"
    if not auto:
        return None
    if found.get("rate_not_met") == "invalid":
        return f"{load:g}/s was not reached"
    if not all(target.verdict.valid for target in targets):
        return f"the numbers at {load:g} are not valid"
    if all(has_stopped_growing(_throughputs(steps, name)) for name in steps[-1].result.targets):
        return "throughput stopped growing"
    return "no higher load is tried" if 2 * load > MOST[kind] else None


def _targets(steps: Sequence[Step]) -> Iterator[TargetResult]:
    return (target for step in steps for target in step.result.targets.values())


def _throughputs(steps: Sequence[Step], name: str) -> list[float]:
    return [step.result.targets[name].throughput_rps for step in steps]


def _scaling(kind: LoadKind, steps: Sequence[Step], slo: str | None) -> dict[str, Scaling]:
    names = list(steps[0].result.targets)
    return {
        name: scale(
            kind,
            {s.load: s.result.targets[name] for s in steps if name in s.result.targets},
            slo,
        )
        for name in names
    }

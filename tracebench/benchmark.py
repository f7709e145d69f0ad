"""The public Python door: `run(plan)` → `Result`; where load, tracing and analysis meet."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from secrets import token_hex
from threading import Event
from typing import Any, NamedTuple

from tracebench import __version__
from tracebench.analysis.closure.decomposition import decompose
from tracebench.analysis.difference.client_cost import client_cost
from tracebench.analysis.difference.comparison import compare_two, observer_effect
from tracebench.analysis.findings.finding import with_findings
from tracebench.analysis.findings.near_floor import beside_floor, clients_cut_short, describe_floor
from tracebench.analysis.findings.otlp_spans import unfit_rules
from tracebench.analysis.findings.outcome import interrupted
from tracebench.analysis.goodput import limits_of
from tracebench.analysis.statistics.steady_state import settled
from tracebench.analysis.streams import summarise_streams
from tracebench.analysis.summary import summarise
from tracebench.analysis.verdict import advised
from tracebench.load.engine.progress import Watcher
from tracebench.load.engine.target import PreparedTarget
from tracebench.load.measure import measure, once
from tracebench.load.peers import clients
from tracebench.load.peers.floor import measure_floor
from tracebench.load.peers.interleaved import Interleaved, interleaved
from tracebench.load.prepare.targets import prepare
from tracebench.model.errors import TargetError
from tracebench.model.exchange import Decomposition, Exchange
from tracebench.model.measurement import Measurement
from tracebench.model.plan import Plan, Workload
from tracebench.model.requests import VARIANT, Requests
from tracebench.model.result import Finding, Floor, Result, StreamResult, TargetResult
from tracebench.model.server_times import ServerTimes
from tracebench.system.environment import environment, plan_facts
from tracebench.system.interrupt import interruptible
from tracebench.system.redaction import Secrets
from tracebench.tracing.join.join import renamed
from tracebench.tracing.mapping.mapper import mapper_of
from tracebench.tracing.otlp.destination import exporter_headers
from tracebench.tracing.roots import export, run_facts
from tracebench.tracing.traces import Traces


class Trial(NamedTuple):
    """One exchange of a dry run."""

    prepared: PreparedTarget
    exchange: Exchange
    decomposition: Decomposition
    stream: StreamResult | None
    """None where the reply did not stream."""


def run(plan: Plan, watcher: Watcher | None = None) -> Result:
    """Measure the targets of a plan, one after the other.

    Args:
        plan: what to measure, and how.
        watcher: is told how it goes; None: nobody.

    Raises:
        TracebenchError: nothing was measured, because the plan or a target is wrong.
    """
    secrets = Secrets.of(plan).and_headers(exporter_headers())
    with secrets.guard():
        return _run(plan, watcher or Watcher(), secrets)


def _run(plan: Plan, watcher: Watcher, secrets: Secrets) -> Result:
    traces = Traces(plan.traces, plan.mapping, secrets=secrets)
    if plan.streamed.slo is not None:
        limits_of(plan.streamed.slo)  # what cannot be read is told before the load
    prepared = {
        target: replace(one, secrets=one.secrets | secrets) for target, one in prepare(plan).items()
    }
    session: dict[str, Any] = {
        "tool": {"name": "tracebench", "version": __version__, "run_id": token_hex(8)},
        "environment": environment(),
        "plan": plan_facts(plan, {target: one.sizes() for target, one in prepared.items()}),
        "started_at": datetime.now(timezone.utc).isoformat(),
    }
    with traces:
        targets = _measured(plan, prepared, session, traces, watcher)
    unfit = traces.unfit()
    targets = {
        name: _with(one, unfit_rules(unfit, one.decomposed)) for name, one in targets.items()
    }
    targets = advised(targets, session["plan"], session["environment"])
    return Result(**session, targets=targets, comparison=compare_two(targets))


def try_once(plan: Plan) -> dict[str, Trial]:
    """Make one exchange with each target, and decompose it.

    Raises:
        TracebenchError: the plan or a target is wrong.
    """
    mapper = mapper_of(plan.mapping.maps, plan.mapping.mapping)
    trials = {}
    with Secrets.of(plan).guard():
        for target, prepared in prepare(plan).items():
            exchange, times, streams, _ = once(replace(prepared, variants=None))
            requests = Requests.of([exchange])
            decomposition = decompose(requests, renamed(times, mapper))
            told = Measurement(requests, times, 0.0, 0.0, None, streams=streams)
            stream = summarise_streams(told, decomposition.streams) if len(streams) else None
            trials[target] = Trial(prepared, exchange, decomposition, stream)
    return trials


def _measured(
    plan: Plan,
    prepared: dict[str, PreparedTarget],
    session: Mapping[str, Any],
    traces: Traces,
    watcher: Watcher,
) -> dict[str, TargetResult]:
    targets: dict[str, TargetResult] = {}
    libraries = clients.load_libraries(plan)
    floored = prepared if plan.influence.floor else {}
    floors = {target: _floor(ready, plan.load) for target, ready in floored.items()}
    left = len(prepared)
    for target, ready in prepared.items():
        left -= 1
        one_run = export.Run(session["tool"]["run_id"], export.Anchor.now(), plan.load.concurrency)
        watcher.begins(target, ready.address, ready.answer)
        load, late = _loaded(ready, plan.load, watcher, may_fail=bool(targets)), Event()
        load = replace(load, slo=plan.streamed.slo or "")
        with interruptible(late.set):  # what is measured must not be lost
            load = settled(load, plan.load.warmup)
            one_run = replace(one_run, facts=run_facts.written(ready.address, load, session))
            floor = floors.get(target)
            analysed = _analysed(ready, load, one_run, traces, watcher, floor)
            result = beside_floor(analysed, floor)
        cut_short = load.interrupted
        if late.is_set() and left and not cut_short:
            cut_short = True
            result = _with(result, interrupted(result.requests, " before the other targets' turn"))
        if libraries[target] and len(load.requests) and not cut_short:
            by_turns = interleaved(ready, plan.load, libraries[target], watcher.waits)
            result, cut_short = _beside_libraries(result, by_turns), by_turns.interrupted
        watcher.ends()
        targets[target] = _cleared(result, ready.secrets)
        if cut_short:
            break
    return targets


def _loaded(
    prepared: PreparedTarget, asked: Workload, watcher: Watcher, *, may_fail: bool
) -> Measurement:
    """What the engine measured: nothing where the target has gone, if that may be."""
    try:
        return measure(prepared, asked, watcher)
    except TargetError as error:
        if not may_fail:
            raise
        nothing, gone = (Requests.of(()), ServerTimes.of(())), prepared.secrets.hide(str(error))
        return Measurement(*nothing, duration_s=0.0, cpu_s=0.0, tcp=None, gave_up=gone)


def _floor(prepared: PreparedTarget, load: Workload) -> Floor:
    secure = prepared.endpoint.tls is not None
    return describe_floor(measure_floor(prepared, load), in_the_clear=secure)


def _beside_libraries(result: TargetResult, by_turns: Interleaved) -> TargetResult:
    costs = {
        name: client_cost(by_turns.engine, blocks) for name, blocks in by_turns.libraries.items()
    }
    result, finding = replace(result, clients=costs), None
    if by_turns.interrupted:
        finding = interrupted(result.requests, " while client libraries were compared")
    elif by_turns.fault:
        finding = clients_cut_short(len(by_turns.engine), by_turns.fault)
    return _with(result, finding)


def _cleared(result: TargetResult, secrets: Secrets) -> TargetResult:
    """The result without credentials in its findings, which quote libraries and servers."""
    findings = [replace(one, message=secrets.hide(one.message)) for one in result.verdict.findings]
    return replace(result, verdict=replace(result.verdict, findings=tuple(findings)))


def _with(result: TargetResult, *findings: Finding | None) -> TargetResult:
    return replace(result, verdict=with_findings(result.verdict, *findings))


def _analysed(
    prepared: PreparedTarget,
    load: Measurement,
    one_run: export.Run,
    traces: Traces,
    watcher: Watcher,
    floor: Floor | None,
) -> TargetResult:
    requests, times = _asked(load, prepared.untraced_from)
    joining = traces.joining()
    joining.add(requests, times)
    told = (prepared.described, one_run, watcher.waits, load.streams)
    findings = traces.export(requests, times, *told)
    findings += traces.receive(requests, times, joining, watcher.waits)
    findings += traces.read_back(requests, joining, one_run, watcher.waits)
    epoch_ns = one_run.anchor.offset_ns
    decomposition = joining.decomposition(watcher.waits)
    watcher.waits(f"summing up {len(requests):,} requests")
    result = summarise(prepared.address, load, decomposition, epoch_ns, floor, requests)
    if len(requests) < len(load.requests):
        effect = observer_effect(load.requests, prepared.untraced_from)
        result = replace(result, observer_effect=effect)
    result = _with(result, *findings)
    return traces.linked(result, requests, prepared.described, one_run)


def _asked(load: Measurement, untraced_from: int) -> tuple[Requests, ServerTimes]:
    """The requests that asked for tracing, and what their mirrors said."""
    places = load.requests.places(lambda rows: rows[VARIANT] < untraced_from)
    if len(places) == len(load.requests):
        return load.requests, load.times
    return load.requests.take(places), load.times.take(places)

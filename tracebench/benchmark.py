"""`run(plan)` → `Result`: joins load, tracing and analysis; `tracebench.run` is built on it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from secrets import token_hex
from threading import Event
from typing import Any, NamedTuple

from tracebench import __version__
from tracebench.analysis.closure.decomposition import decompose
from tracebench.analysis.difference.client_cost import client_cost
from tracebench.analysis.difference.comparison import compared, observer_effect
from tracebench.analysis.difference.paired import Rounds, rounds_of
from tracebench.analysis.findings.client.near_floor import (
    beside_floor,
    clients_cut_short,
    describe_floor,
)
from tracebench.analysis.findings.finding import with_findings
from tracebench.analysis.findings.outcome import interrupted
from tracebench.analysis.findings.server.otlp_spans import unfit_rules
from tracebench.analysis.objectives.limits import limits_of, objectives_of
from tracebench.analysis.statistics.steady_state import ramped_up, settled, settled_together
from tracebench.analysis.streams.streams import summarise_streams
from tracebench.analysis.summary.summary import summarise
from tracebench.analysis.verdict import advised
from tracebench.gauges import reader as gauge_reader
from tracebench.gauges.reader import Gauges
from tracebench.load.engine.target import PreparedTarget
from tracebench.load.fleet.fleet import measure, measure_by_turns
from tracebench.load.measuring.once import once
from tracebench.load.metered import Metered, metered
from tracebench.load.peers import clients
from tracebench.load.peers.floor import measure_floor
from tracebench.load.peers.interleaved import interleaved
from tracebench.load.prepare.targets import prepare
from tracebench.load.progress import Watcher
from tracebench.model.errors import TargetError
from tracebench.model.measurement import Measurement, Record
from tracebench.model.plan import Plan, Workload
from tracebench.model.record.exchange import Decomposition, Exchange
from tracebench.model.record.requests import VARIANT, Requests
from tracebench.model.record.server_times import ServerTimes
from tracebench.model.record.streams import Streams
from tracebench.model.results.result import Finding, Floor, Result, TargetResult
from tracebench.model.results.stream_result import StreamResult
from tracebench.system.environment import environment, plan_facts
from tracebench.system.interrupt import interruptible
from tracebench.system.redaction import Secrets
from tracebench.tracing.join.exporter import JoiningExporter
from tracebench.tracing.join.join import renamed
from tracebench.tracing.mapping.mapper import mapper_of
from tracebench.tracing.otlp.destination import exporter_headers
from tracebench.tracing.receiver.client import Received
from tracebench.tracing.roots import export, run_facts
from tracebench.tracing.traces import Traces


class Trial(NamedTuple):
    """One exchange of a dry run, decomposed."""

    prepared: PreparedTarget
    exchange: Exchange
    decomposition: Decomposition
    stream: StreamResult | None
    """None if the reply did not stream."""


def run(plan: Plan, watcher: Watcher | None = None) -> Result:
    """Measure a plan's targets, in alternating blocks unless the plan says one after the other.

    Args:
        plan: what to measure, and how.
        watcher: receives progress; None: no progress is reported.

    Raises:
        TracebenchError: nothing was measured: the plan or a target is wrong.
    """
    secrets = Secrets.of(plan).and_headers(exporter_headers())
    with secrets.guard():
        return _run(plan, watcher or Watcher(), secrets)


def _run(plan: Plan, watcher: Watcher, secrets: Secrets) -> Result:
    traces = Traces(plan.traces, plan.mapping, secrets=secrets)
    asked = plan.objectives
    if asked.slo is not None:  # fail on a malformed objective before any load is sent
        limits_of(asked.slo) if asked.goodput is None else objectives_of(asked.slo, asked.goodput)
    gauge_reader.check(plan.gauges)
    prepared = {
        target: replace(one, secrets=one.secrets | secrets) for target, one in prepare(plan).items()
    }
    agreed = {target: one.agreement for target, one in prepared.items()}
    session: dict[str, Any] = {
        "tool": {"name": "tracebench", "version": __version__, "run_id": token_hex(8)},
        "environment": environment(),
        "plan": plan_facts(plan, {target: one.sizes() for target, one in prepared.items()})
        | {"language": {name: one.facts() for name, one in agreed.items() if one is not None}},
        "started_at": datetime.now(timezone.utc).isoformat(),
    }
    rounds: Mapping[str, Rounds] = {}
    run_id = session["tool"]["run_id"]
    with (
        traces,
        gauge_reader.watching(plan.gauges, plan.tls) as gauges,
        metered(watcher, plan, prepared, run_id) as watching,
    ):
        analysing = _Analysing(plan, prepared, session, traces, gauges, watching)
        analysing.measure_floors()
        if len(prepared) > 1 and not plan.targets.sequential:
            targets, rounds = _by_turns(plan, prepared, analysing, watching)
        else:
            targets = _one_by_one(plan, prepared, analysing, watching)
        lost = watching.finish()
    unfit = traces.unfit()
    targets = {
        name: _with(one, unfit_rules(unfit, one.decomposed)) for name, one in targets.items()
    }
    if lost is not None:
        first = next(iter(targets))
        targets[first] = _with(targets[first], _hidden(lost, secrets))
    targets = advised(targets, session["plan"], session["environment"])
    return compared(Result(**session, targets=targets, label=plan.naming.label), rounds)


def try_once(plan: Plan) -> dict[str, Trial]:
    """Make one exchange with each target and decompose it; keyed by target name.

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


def _one_by_one(
    plan: Plan, prepared: Mapping[str, PreparedTarget], analysing: "_Analysing", watcher: Watcher
) -> dict[str, TargetResult]:
    """Measure and analyse the targets one after the other."""
    targets: dict[str, TargetResult] = {}
    left = len(prepared)
    for name, ready in prepared.items():
        left -= 1
        anchor = export.Anchor.now()
        watcher.begins(name, ready.address, ready.answer)
        load, late = _loaded(ready, plan.load, watcher, may_fail=bool(targets)), Event()
        with interruptible(late.set):  # what is measured must not be lost
            load = ramped_up(settled(load, plan.load.warmup), plan.load.ramp_up_s)
            result, _ = analysing(name, load, anchor)
        cut_short = load.interrupted
        if late.is_set() and left and not cut_short:
            cut_short = True
            result = _with(result, interrupted(result.requests, " before the other targets' turn"))
        if not cut_short:
            result, cut_short = analysing.beside_libraries(name, result)
        watcher.ends()
        targets[name] = _cleared(result, ready.secrets)
        if cut_short:
            break
    return targets


def _by_turns(
    plan: Plan, prepared: Mapping[str, PreparedTarget], analysing: "_Analysing", watcher: Watcher
) -> tuple[dict[str, TargetResult], dict[str, Rounds]]:
    """Measure the targets in alternating blocks; analyse them once all are done."""
    anchor, late = export.Anchor.now(), Event()
    for name, ready in prepared.items():
        watcher.begins(name, ready.address, ready.answer)
    loads = measure_by_turns(prepared, plan.load, watcher)
    targets, rounds = dict[str, TargetResult](), dict[str, Rounds]()
    with interruptible(late.set):  # what is measured must not be lost
        loads = settled_together(loads, plan.load.warmup)
        analysing.collect(loads)
        for name, load in loads.items():
            targets[name], decomposition = analysing(name, load, anchor)
            rounds[name] = rounds_of(load, decomposition)
    cut_short = late.is_set() or any(load.interrupted for load in loads.values())
    for name, ready in prepared.items():
        result = targets[name]
        if not cut_short:
            result, cut_short = analysing.beside_libraries(name, result)
        targets[name] = _cleared(result, ready.secrets)
    watcher.ends()
    return targets, rounds


def _loaded(
    prepared: PreparedTarget, asked: Workload, watcher: Watcher, *, may_fail: bool
) -> Measurement:
    """Measure one target; if it has gone away and `may_fail`, return an empty measurement."""
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


def _cleared(result: TargetResult, secrets: Secrets) -> TargetResult:
    """Hide credentials in the findings of a result: they quote libraries and servers."""
    findings = [_hidden(one, secrets) for one in result.verdict.findings]
    return replace(result, verdict=replace(result.verdict, findings=tuple(findings)))


def _hidden(finding: Finding, secrets: Secrets) -> Finding:
    return replace(finding, message=secrets.hide(finding.message))


def _with(result: TargetResult, *findings: Finding | None) -> TargetResult:
    return replace(result, verdict=with_findings(result.verdict, *findings))


class _Analysing:
    """Turns the measurement of each target into its result."""

    def __init__(
        self,
        plan: Plan,
        prepared: Mapping[str, PreparedTarget],
        session: Mapping[str, Any],
        traces: Traces,
        gauges: Gauges,
        watcher: Metered,
    ) -> None:
        self._plan, self._prepared, self._session = plan, prepared, session
        self._traces, self._gauges, self._watcher = traces, gauges, watcher
        self._libraries = clients.load_libraries(plan)
        self._floors: Mapping[str, Floor] = {}
        self._received: dict[str, Received | None] = {}

    def measure_floors(self) -> None:
        """If the plan asks for it, measure a server that does nothing under each target's load."""
        if self._plan.influence.floor:
            load = self._plan.load
            self._floors = {name: _floor(one, load) for name, one in self._prepared.items()}

    def collect(self, loads: Mapping[str, Measurement]) -> None:
        """Wait for the spans of all these targets at once, since their requests alternated."""
        each = [_asked(load, self._prepared[name]) for name, load in loads.items()]
        asked = [_traced(*one)[0] for one in each]
        received = self._traces.collect(asked, self._watcher.waits)
        self._received = dict(zip(loads, received, strict=True))

    def __call__(
        self, name: str, load: Measurement, anchor: export.Anchor
    ) -> tuple[TargetResult, Decomposition]:
        """Analyse the measurement of one target."""
        plan, prepared, waits = self._plan, self._prepared[name], self._watcher.waits
        load = replace(load, slo=plan.objectives.slo or "", goodput=plan.objectives.goodput)
        self._watcher.loaded(name, load)
        gauges, doubts = self._gauges.during(load.requests)
        facts = run_facts.written(prepared.address, load, self._session, gauges)
        run_id = self._session["tool"]["run_id"]
        one_run = export.Run(run_id, anchor, plan.load.concurrency, facts, name)
        requests, times = _asked(load, prepared)
        traced = _traced(requests, times)
        joining = self._traces.joining()
        joining.add(requests, times)
        findings = self._of_traces(name, *traced, load.streams, one_run, joining)
        joined = joining.joined(waits)
        for record in _records(load, *joined, prepared.untraced_from, anchor.offset_ns):
            self._watcher.measured(name, record)
        decomposition = decompose(*joined)
        waits(f"summing up {len(requests):,} requests")
        floor, epoch_ns = self._floors.get(name), anchor.offset_ns
        result = summarise(
            prepared.address, load, decomposition, epoch_ns, floor, traced[0], gauges
        )
        if len(requests) < len(load.requests):
            effect = observer_effect(load.requests, prepared.untraced_from)
            result = replace(result, observer_effect=effect)
        result = _with(result, *findings, *doubts)
        result = self._traces.linked(result, requests, prepared.described, one_run)
        return beside_floor(result, floor), decomposition

    def _of_traces(
        self,
        name: str,
        requests: Requests,
        times: ServerTimes,
        streams: Streams | None,
        one_run: export.Run,
        joining: JoiningExporter,
    ) -> list[Finding]:
        """Export the client's spans of the requests, and collect the server's."""
        described, traces, waits = self._prepared[name].described, self._traces, self._watcher.waits
        findings = traces.export(requests, times, described, one_run, waits, streams)
        if name not in self._received:
            (self._received[name],) = traces.collect([requests], waits)
        findings += traces.receive(self._received.pop(name), requests, times, joining, waits)
        return findings + traces.read_back(requests, joining, one_run, waits)

    def beside_libraries(self, name: str, result: TargetResult) -> tuple[TargetResult, bool]:
        """Add the cost of client libraries; also returns whether the user interrupted that."""
        prepared = self._prepared[name]
        libraries = self._libraries[prepared.described.protocol]
        if not libraries or not result.requests.started:
            return result, False
        by_turns = interleaved(prepared, self._plan.load, libraries, self._watcher.waits)
        costs = {
            library: client_cost(by_turns.engine, blocks)
            for library, blocks in by_turns.libraries.items()
        }
        result, finding = replace(result, clients=costs), None
        if by_turns.interrupted:
            finding = interrupted(result.requests, " while client libraries were compared")
        elif by_turns.fault:
            finding = clients_cut_short(len(by_turns.engine), by_turns.fault)
        return _with(result, finding), by_turns.interrupted


def _records(
    load: Measurement, requests: Requests, times: ServerTimes, untraced_from: int, epoch_ns: int
) -> Iterator[Record]:
    """All requests: first those that asked for tracing, then the others, if any."""
    yield Record(requests, times, load.streams, epoch_ns)
    if len(requests) < len(load.requests):
        others = load.requests.places(lambda rows: rows[VARIANT] >= untraced_from)
        untraced = load.requests.take(others), load.times.take(others)
        yield Record(*untraced, load.streams, epoch_ns)


def _asked(load: Measurement, prepared: PreparedTarget) -> tuple[Requests, ServerTimes]:
    """The requests that asked for tracing, and the server times in their replies."""
    places = load.requests.places(lambda rows: rows[VARIANT] < prepared.untraced_from)
    if len(places) == len(load.requests):
        return load.requests, load.times
    return load.requests.take(places), load.times.take(places)


def _traced(requests: Requests, times: ServerTimes) -> tuple[Requests, ServerTimes]:
    """The requests whose trace was asked for (`--trace-share`), and their times."""
    if not requests.partly_traced:
        return requests, times
    places = requests.traced()
    return requests.take(places), times.take(places)

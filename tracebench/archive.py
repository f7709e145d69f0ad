"""`analyze(paths)` → `Result`: the result of a run, computed again from its archived spans."""

import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from tracebench import __version__
from tracebench.analysis.closure.decomposition import decompose
from tracebench.analysis.closure.missing_spans import other_spans
from tracebench.analysis.difference.comparison import IN_TURN, UNKNOWN_ROUNDS, compared
from tracebench.analysis.difference.paired import Rounds, rounds_of
from tracebench.analysis.findings.archived_run import (
    facts_lost,
    other_client,
    rules_missing,
    unreadable,
    untraced_missing,
)
from tracebench.analysis.findings.client.near_floor import beside_floor
from tracebench.analysis.findings.finding import with_findings
from tracebench.analysis.findings.server.otlp_spans import low_join_share, unfit_rules
from tracebench.analysis.summary.summary import summarise
from tracebench.analysis.verdict import advised
from tracebench.model.errors import UsageError
from tracebench.model.measurement import Measurement, Record
from tracebench.model.record.columns import ABSENT
from tracebench.model.record.exchange import Decomposition, Undecomposed
from tracebench.model.record.requests import Requests
from tracebench.model.record.server_times import PROBLEM, SOURCE, SOURCES, ServerTimes
from tracebench.model.results.inventory import Inventory
from tracebench.model.results.result import Finding, Result, TargetResult
from tracebench.tracing.archives.span_files import Archives
from tracebench.tracing.join import other_clients
from tracebench.tracing.join.join import Source, join
from tracebench.tracing.join.server_spans import KeptSpans, entry_of
from tracebench.tracing.mapping.mapper import Mapper, mapper_of
from tracebench.tracing.roots import read_back, run_facts
from tracebench.tracing.roots.attributes import PROTOCOL, RUN_FACTS, RUN_ID, TARGET
from tracebench.tracing.roots.generated import streams_of
from tracebench.tracing.span_inventory import take_stock

_NS_PER_S: Final = 1e9
_UNKNOWN: Final[Mapping[str, Any]] = {"tool": {}, "environment": {}, "plan": {}, "started_at": ""}

_Requests: TypeAlias = dict[str, read_back.Root]


class _Key(NamedTuple):
    """Identifies a group of requests: one target in one run."""

    name: str
    """The target's name in its run."""
    run: str
    """The run's id; for another client, its name and the address it called."""


@dataclass(slots=True)
class _Group:
    """The requests of one run to one target, in archive order."""

    requests: _Requests
    facts: run_facts.RunFacts | None = None
    address: str = "unknown"
    is_ours: bool = True

    def load(self) -> Measurement:
        """The run's measurement, or as much of it as the requests alone reveal."""
        roots = list(self.requests.values())
        if self.facts is not None and self.facts.load["block_ends"]:
            roots.sort(key=lambda one: one.exchange.done_ns)  # storage may have reordered them
        exchanges, mirrors, texts = zip(*roots, strict=True)
        requests, times = Requests.of(exchanges), ServerTimes.of(mirrors)
        sent_ns = (one.sent_ns for one in exchanges)
        streams = streams_of(zip(sent_ns, texts, strict=True))
        if self.facts is not None:
            load = replace(self.facts.load_of(requests, times), streams=streams)
            whole = not load.block_ends or load.block_ends[-1] == len(requests)
            return load if whole else replace(load, block_ends=(), blocks_s=())
        duration_s = requests.duration_ns / _NS_PER_S
        return Measurement(requests, times, duration_s, cpu_s=0.0, tcp=None, streams=streams)


class _Joined(NamedTuple):
    """A group's measurement, with the server times of its requests and their decomposition."""

    load: Measurement
    times: ServerTimes
    decomposition: Decomposition


def analyze(
    paths: Sequence[str],
    maps: Sequence[str] = (),
    mapping: str | None = None,
    measured: Callable[[str, Record], object] = lambda target, record: None,
) -> Result:
    """Analyse archived spans of tracebench, a collector's file exporter, or another client.

    Args:
        paths: files of OTLP JSON lines, read in this order as one archive.
        maps: rules `component=span`, which take precedence over all others.
        mapping: a TOML file of rules (docs/mapping.md). If neither `maps` nor `mapping` is given,
            the run's own rules apply.
        measured: called with each target's name and the record of all its requests.

    Raises:
        UsageError: a file cannot be read, none holds a request, or a rule is invalid.
    """
    given = mapper_of(maps, mapping) if maps or mapping else None
    archives = Archives(paths)
    groups, kept = _read(archives)
    _add_other_clients(groups, kept)
    if not groups:
        raise _no_requests(archives, kept, paths)
    damage = unreadable(archives.bad, archives.spans, archives.problem)
    made = cache(mapper_of)  # shared by a run's targets: a rule may be meant for only one of them
    targets, mappers, rounds = {}, dict[str, Mapper](), dict[str, Rounds]()
    by_turns = _were_by_turns(groups)
    for name, group in _named(groups).items():
        mapper, missing = (given, None) if given is not None else _mapper_of_run(group.facts, made)
        mappers[name] = mapper
        load = group.load()
        joined = _joined(load, kept, mapper)
        measured(name, Record(load.requests, joined.times, load.streams, 0))
        targets[name] = _analysed(group, kept, joined, damage, missing)
        if by_turns:
            rounds[name] = rounds_of(load, joined.decomposition)
    targets = {
        name: _with(one, unfit_rules(mappers[name].unfit(), one.decomposed))
        for name, one in targets.items()
    }
    session = _session(list(groups.values()))
    targets = advised(targets, session["plan"], session["environment"])
    label = session["plan"].get("label")
    told = label if isinstance(label, str) else ""
    return compared(Result(**session, targets=targets, label=told), rounds, _how(groups))


def inventory(
    paths: Sequence[str], maps: Sequence[str] = (), mapping: str | None = None
) -> Inventory:
    """List the spans that servers emit, as found in archives, and how each is mapped.

    Args:
        paths: files of OTLP JSON lines, read in this order as one archive.
        maps: rules `component=span`, which take precedence over all others.
        mapping: a TOML file of rules (docs/mapping.md).

    Raises:
        UsageError: a file cannot be read, none holds a span, or a rule is invalid.
    """
    archives = Archives(paths)
    services = take_stock(archives, mapper_of(maps, mapping))
    return Inventory(services, archives.bad, archives.problem)


def _no_requests(archives: Archives, kept: KeptSpans, paths: Sequence[str]) -> UsageError:
    """The error for archives without requests: it names the spans to add, client's or server's."""
    files, kinds = " ".join(map(repr, paths)), {span.kind for span in kept}
    unusable = f" ({archives.bad} more cannot be used: {archives.problem})" if archives.bad else ""
    lacking = (
        "give the server's spans too: the SERVER children of these"
        if "CLIENT" in kinds and "SERVER" not in kinds
        else (
            "give the client's spans too (tracebench's own, or CLIENT spans with SERVER children); "
            f"`tracebench spans {shlex.join(paths)}` shows what a server's alone tell"
        )
    )
    return UsageError(f"no requests among {archives.spans} spans in {files}{unusable}: {lacking}")


def _read(archives: Archives) -> tuple[dict[_Key, _Group], KeptSpans]:
    """Separate tracebench's root spans, grouped as requests, from all other spans."""
    groups: dict[_Key, _Group] = {}
    kept = KeptSpans()
    for span in archives:
        if not read_back.is_root(span):
            kept.add(span)
            continue
        if (root := read_back.read(span)) is None:
            archives.refuse(
                span, "claims to be from tracebench, but tracebench does not write such spans"
            )
            continue
        called = span.attributes.get(TARGET) or span.attributes.get(PROTOCOL, "")
        key = _Key(str(called), str(span.attributes.get(RUN_ID, "")))
        group = groups.setdefault(key, _Group({}))
        group.requests[span.trace_id] = root
        if group.facts is None and RUN_FACTS in span.resource:
            group.facts = run_facts.read(span.resource[RUN_FACTS])
            group.address = group.facts.address if group.facts else group.address
    return groups, kept


def _add_other_clients(groups: dict[_Key, _Group], kept: KeptSpans) -> None:
    for target, exchanges in other_clients.other_requests(kept):
        key = _Key(target.protocol, f"{target.client} {target.address}")
        requests: _Requests = {
            one.trace_id: read_back.Root(one, Undecomposed.NO_TIMING) for one in exchanges
        }
        groups[key] = _Group(requests, address=target.address, is_ours=False)


def _named(groups: Mapping[_Key, _Group]) -> dict[str, _Group]:
    """Key the groups by target name, with the run appended if the name is not unique."""
    counts = Counter(key.name for key in groups)
    return {
        key.name if counts[key.name] == 1 else f"{key.name} {key.run}": group
        for key, group in groups.items()
    }


def _how(groups: Mapping[_Key, _Group]) -> str:
    """How the targets were measured, for groups whose rounds are unknown."""
    told = [group.facts.plan for group in groups.values() if group.facts is not None]
    in_turn = len(told) == len(groups) and all(plan.get("sequential", True) for plan in told)
    return IN_TURN if in_turn else UNKNOWN_ROUNDS


def _were_by_turns(groups: Mapping[_Key, _Group]) -> bool:
    """Whether all groups are of one run that alternated between them, and all are complete."""
    told = [group.facts for group in groups.values() if group.facts is not None]
    if len(told) < len(groups) or len({key.run for key in groups}) > 1:
        return False
    return all(one.plan.get("sequential") is False for one in told) and all(
        not (ends := group.facts.load["block_ends"]) or ends[-1] == len(group.requests)
        for group in groups.values()
        if group.facts is not None
    )


def _joined(load: Measurement, kept: KeptSpans, mapper: Mapper) -> _Joined:
    sources: Mapping[Source, KeptSpans] = {"otlp": kept}
    times = join(load.requests, load.times, sources, mapper)
    return _Joined(load, times, decompose(load.requests, times))


def _analysed(
    group: _Group, kept: KeptSpans, joined: _Joined, *of_archive: Finding | None
) -> TargetResult:
    load, times, decomposition = joined
    gauges = {} if group.facts is None else group.facts.gauges
    result = summarise(group.address, load, decomposition, gauges=gauges)
    if group.facts is None:
        about = facts_lost() if group.is_ours else other_client()
    else:
        about = untraced_missing() if _was_partly_traced(group.facts.plan) else None
        if not group.facts.plan.get("floor"):
            result = beside_floor(result, None)
    verdict = result.verdict
    if not group.is_ours:  # `other_client` covers its lack of kernel stamps
        others = (one for one in verdict.findings if one.code != "no_kernel_stamps")
        verdict = replace(verdict, findings=tuple(others))
    lost = _without_spans(group, load.requests, times, kept)
    return replace(result, verdict=with_findings(verdict, about, *of_archive, lost))


def _was_partly_traced(plan: Mapping[str, Any]) -> bool:
    share = plan.get("trace_share")
    return bool(plan.get("observer_effect")) or (isinstance(share, float) and share < 1)


def _with(result: TargetResult, finding: Finding | None) -> TargetResult:
    return replace(result, verdict=with_findings(result.verdict, finding))


def _without_spans(
    group: _Group, requests: Requests, times: ServerTimes, kept: KeptSpans
) -> Finding | None:
    """The finding for requests that lack an expected server span; None if there are none."""
    if not group.is_ours:
        return None
    wanted = requests.places(lambda rows: rows.succeeded)
    problem, source = (times.columns.whole(name)[wanted] for name in (PROBLEM, SOURCE))
    untold = dict(requests.ids_at(wanted[problem != ABSENT].tolist()))
    spans = kept.of_traces(untold)
    uncovered = [one for one, root_id in untold.items() if entry_of(spans.of(one), root_id) is None]
    mirrored = wanted[(problem == ABSENT) & (source == SOURCES.index("mirror"))]
    missing = {*uncovered, *(one for one, _ in requests.ids_at(mirrored.tolist()))}
    if not missing:
        return None
    found = other_spans(kept, group.requests.keys(), missing)
    plan = group.facts.plan if group.facts is not None else {}
    asked = plan.get("receive_otlp") or plan.get("jaeger")
    if not (asked or found.own_traces or len(missing) < len(wanted)):
        return None
    reason = "the archive ends there"
    return low_join_share(len(missing), len(uncovered), len(wanted), reason, found)


def _mapper_of_run(
    facts: run_facts.RunFacts | None, made: Callable[[Sequence[str], str | None], Mapper]
) -> tuple[Mapper, Finding | None]:
    """The run's own mapper, and a finding if its mapping file is missing here."""
    maps, mapping = facts.rules if facts is not None else ((), None)
    if mapping is not None and not Path(mapping).is_file():
        return made(maps, None), rules_missing(mapping)
    return made(maps, mapping), None


def _session(groups: Sequence[_Group]) -> Mapping[str, Any]:
    """Tool, environment, plan and start time: the run's own if recorded, else what is known."""
    told = {id(group.facts): group.facts for group in groups}.values()
    sessions = [facts.session for facts in told if facts is not None]
    if len(sessions) == len(groups) and all(one == sessions[0] for one in sessions):
        return {name: sessions[0].get(name, unknown) for name, unknown in _UNKNOWN.items()}
    first_ns = min(one.scheduled_ns for group in groups for one, *_ in group.requests.values())
    started_at = datetime.fromtimestamp(first_ns / _NS_PER_S, timezone.utc).isoformat()
    tool = {"name": "tracebench", "version": __version__}
    return {**_UNKNOWN, "tool": tool, "started_at": started_at}

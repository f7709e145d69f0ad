"""From the measurement of one target to its result."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from server_middleware.vocabulary import INFERENCE, SERVER_OTHER
from tracebench.analysis.closure.decomposition import (
    client_view,
    due,
    ranked,
    reported,
    successes,
)
from tracebench.analysis.closure.decomposition import latency as latency_of
from tracebench.analysis.closure.selection import Selection, Without
from tracebench.analysis.findings.finding import Evidence, part_of
from tracebench.analysis.objectives.goodput import Judged, goodput, objectives
from tracebench.analysis.statistics.blocks import among
from tracebench.analysis.statistics.distribution import (
    NS_PER_MS,
    curve,
    describe,
    in_order,
)
from tracebench.analysis.statistics.rates import (
    Interval,
    rate_ci95,
    rate_of_blocks_ci95,
    share_of,
    wilson,
)
from tracebench.analysis.statistics.tail import attribute_tail
from tracebench.analysis.statistics.timeline import timeline
from tracebench.analysis.streams.hung_up import with_hung_up
from tracebench.analysis.streams.streams import summarise_streams
from tracebench.analysis.summary.comparable import Comparable
from tracebench.analysis.summary.exemplars import Ranked, exemplars
from tracebench.analysis.summary.failures import count_errors
from tracebench.analysis.summary.workers import of_workers
from tracebench.analysis.verdict import judge
from tracebench.model.components import (
    BODY,
    END_TO_END,
    LATENCY,
    LEAVES,
    SERVER_AND_NETWORK,
    SERVICE_TIME,
)
from tracebench.model.measurement import Measurement
from tracebench.model.record.columns import ABSENT
from tracebench.model.record.exchange import (
    ClockOffset,
    Decomposition,
    Nanoseconds,
    Outcome,
)
from tracebench.model.record.requests import (
    CUT_SHORT,
    DONE,
    LOST,
    OUTCOME,
    OUTCOME_CODES,
    OUTCOMES,
    SCHEDULED,
    STAMP,
    STAMP_KINDS,
    Requests,
)
from tracebench.model.record.server_times import SOURCES
from tracebench.model.results.blocks import Timeline
from tracebench.model.results.result import Floor, Gauge, RequestCounts, TargetResult
from tracebench.model.results.statistics import Statistics


def summarise(
    address: str,
    load: Measurement,
    decomposition: Decomposition,
    epoch_ns: int = 0,
    floor: Floor | None = None,
    traced: Requests | None = None,
    gauges: Mapping[str, Gauge] = MappingProxyType({}),
) -> TargetResult:
    """Summarise the measurement of one target.

    `components` and `share` cover the decomposed requests or, if there are none, the client's view
    of all successes. `latency`, `exemplars` and `cdf` cover successes, and time-outs as they are.

    Args:
        address: the target's address, for display.
        load: what the engine recorded.
        decomposition: the decomposition of the same exchanges.
        epoch_ns: offset from the exchanges' times to ns since the epoch.
        floor: the measurement of a server that does nothing, if there is one.
        traced: the requests that asked for tracing, the only ones decomposed; None: all requests.
        gauges: the server's own gauges.
    """
    columns, known = _columns(load, decomposition), ranked(load.requests)
    latency_ns = known.column(latency_of)
    kept = Comparable(load, known.column(due)) if len(known) else None
    evidence = Evidence(
        load=load,
        decomposition=decomposition,
        requests=_requests(load.requests),
        stamps=_stamps(load.requests),
        latency_ns=latency_ns,
        latency=describe(latency_ns) if len(known) else None,
        components=_components(columns, _due_ns(load, decomposition), kept),
        floor=floor,
        stream=with_hung_up(summarise_streams(load, decomposition.streams), load),
        errors=count_errors(load.requests),
        judged=Judged(load, decomposition) if load.slo else None,
        gauges=gauges,
        workers=of_workers(load, known, latency_ns),
    )
    found = replace(
        _beside_limits(_found(address, evidence, columns), evidence.judged),
        exemplars=exemplars(_asked(load, traced, known, latency_ns), decomposition),
        timeline=_timeline(load, known, latency_ns) if len(known) else None,
        clock_offset_ms=_clock_offset_ms(decomposition.clock, epoch_ns),
    )
    if kept is None:
        return found
    if END_TO_END not in found.components or found.components[END_TO_END].count != len(known):
        kept.add(LATENCY, latency_ns, in_order(latency_ns), kept.bounds(known.column(due)))
    kept.add_streams(load)
    return replace(found, blocks=kept.blocks, histograms=kept.histograms(decomposition.own))


def _asked(
    load: Measurement, traced: Requests | None, known: Selection, latency_ns: Nanoseconds
) -> Ranked:
    """The requests that asked for tracing, ranked again only if they are not all."""
    part = load.requests if traced is None else traced
    return Ranked.of(part) if len(part) < len(load.requests) else Ranked(part, known, latency_ns)


def _found(address: str, run: Evidence, columns: Mapping[str, Nanoseconds]) -> TargetResult:
    """The parts of the result that need neither single requests nor the time of day."""
    load, decomposition = run.load, run.decomposition
    return TargetResult(
        address=address,
        requests=run.requests,
        errors=tuple(run.errors),
        duration_s=load.duration_s,
        throughput_rps=part_of(run.requests.succeeded, load.duration_s),
        client_cpu_s=load.cpu_s,
        decomposed=decomposition.count,
        undecomposed={reason.value: n for reason, n in decomposition.undecomposed.items()},
        server_timing_source=_sources(decomposition),
        stamps=run.stamps,
        tcp=load.tcp,
        latency=run.latency,
        components=run.components,
        share=_share(columns),
        exemplars=(),
        cdf=curve(run.latency_ns) if len(run.latency_ns) else None,
        verdict=judge(run),
        warmup=load.warmup,
        interrupted_at=load.done_share if load.interrupted else None,
        tail=attribute_tail(columns),
        stream=run.stream,
        gauges=run.gauges,
        workers=tuple(run.workers),
        parts_of=_parts_of(decomposition),
        ci95=_ci95(load, decomposition.count),
    )


def _beside_limits(found: TargetResult, judged: Judged | None) -> TargetResult:
    """Add goodput and objectives to a result, if the run has limits."""
    if judged is None:
        return found
    met = goodput(judged)
    stream = found.stream and replace(found.stream, goodput=met)
    return replace(found, stream=stream, goodput=met, objectives=objectives(judged, found))


def _columns(load: Measurement, decomposition: Decomposition) -> Mapping[str, Nanoseconds]:
    """The component columns to report, without `body` if no request has one."""
    if not decomposition.count:
        return client_view(load.requests)
    if decomposition.bodies:
        return decomposition.columns
    return Without(decomposition.columns, BODY)


def _parts_of(decomposition: Decomposition) -> dict[str, tuple[str, ...]]:
    parts = {INFERENCE: decomposition.of_inference, SERVER_OTHER: decomposition.own}
    return {name: those for name, those in parts.items() if those}


def _ci95(load: Measurement, decomposed: int) -> dict[str, Interval]:
    """The 95 % intervals of values derived from counts: shares and throughput."""
    requests, found = load.requests, {}
    ended = requests.whole(lambda rows: rows[OUTCOME])
    ended = ended[~np.isin(ended, CUT_SHORT)]
    if not len(ended):
        return {}
    succeeded = ended == OUTCOME_CODES[Outcome.SUCCEEDED]
    found["errors.share"] = share_of(~succeeded).ci95
    if count := int(np.count_nonzero(succeeded)):
        found["decomposed.share"] = wilson(decomposed / count, count)
    if rate := _rate_ci95(load):
        found["throughput_rps"] = rate
    return found


def _rate_ci95(load: Measurement) -> Interval | None:
    """The interval of the throughput; between the blocks of a run nothing is sent."""
    requests = load.requests
    places = requests.places(lambda rows: rows.succeeded)
    if load.block_ends:
        blocks = np.searchsorted(load.block_ends, places, "right")
        counts = np.bincount(blocks, minlength=len(load.block_ends))
        return rate_of_blocks_ci95(counts, np.array(load.blocks_s))
    done_ns = requests.whole(lambda rows: rows.at(DONE))[places]
    return rate_ci95(done_ns, requests.due_ns[0], load.duration_s)


def _clock_offset_ms(clock: ClockOffset | None, epoch_ns: int) -> tuple[float, float] | None:
    if clock is None:
        return None
    return (clock.low_ns - epoch_ns) / NS_PER_MS, (clock.high_ns - epoch_ns) / NS_PER_MS


def _requests(requests: Requests) -> RequestCounts:
    counts, sent_again = np.zeros(len(OUTCOMES), np.int64), 0
    for rows in requests.pages():
        counts += np.bincount(rows[OUTCOME], minlength=len(counts))
        sent_again += int(np.count_nonzero(rows[LOST] != ABSENT))
    told = {one.value: int(counts[at]) for at, one in enumerate(OUTCOMES)}
    return RequestCounts(started=len(requests), **told, sent_again=sent_again)


def _stamps(requests: Requests) -> dict[str, int]:
    counts = np.zeros(len(STAMP_KINDS), np.int64)
    for rows in requests.pages():
        counts += np.bincount(rows[STAMP][rows.succeeded], minlength=len(counts))
    return {one.value: int(counts[at]) for at, one in enumerate(STAMP_KINDS)}


def _sources(decomposition: Decomposition) -> dict[str, int]:
    sources: dict[str, int] = {source: decomposition.sources.get(source, 0) for source in SOURCES}
    return {**sources, "none": sum(decomposition.undecomposed.values())}


def _due_ns(load: Measurement, decomposition: Decomposition) -> Nanoseconds:
    """When the requests in `_columns` were scheduled, in ns, ascending."""
    return (
        decomposition.scheduled() if decomposition.count else successes(load.requests).column(due)
    )


def _components(
    columns: Mapping[str, Nanoseconds], due_ns: Nanoseconds, kept: Comparable | None
) -> dict[str, Statistics]:
    """Describe each component over the requests that have it.

    `service_time` is left out if it equals `end_to_end` for every request.
    """
    bounds = np.zeros(0, np.int64) if kept is None else kept.bounds(due_ns)
    found = {}
    for name in columns:
        values_ns = columns[name]
        if name == SERVICE_TIME and np.array_equal(values_ns, columns[END_TO_END]):
            continue
        sample_ns = reported(values_ns)
        if not len(sample_ns):
            continue
        ordered_ns = in_order(sample_ns)
        found[name] = describe(sample_ns, ordered_ns=ordered_ns)
        if kept is not None:
            told = sample_ns is values_ns
            within = bounds if told else among(np.flatnonzero(values_ns >= 0), bounds)
            kept.add(name, sample_ns, ordered_ns, within)
    return found


def _share(columns: Mapping[str, Nanoseconds]) -> dict[str, float]:
    """Each leaf component's fraction of the total latency; unreported values count as 0."""
    total_ns = int(columns[END_TO_END].sum())
    shares = {}
    for name in (*LEAVES, SERVER_AND_NETWORK):
        if name in columns and total_ns:
            sample_ns = reported(columns[name])
            if len(sample_ns):
                shares[name] = int(sample_ns.sum()) / total_ns
    return shares


def _timeline(load: Measurement, known: Selection, latency_ns: Nanoseconds) -> Timeline:
    """Latency over time, including the warm-up that was removed from the record."""
    begin_ns, due_ns, failed_ns = load.requests.due_ns[0], known.column(due), _failed_ns(load)
    if load.left_out is not None:
        before = ranked(load.left_out)
        due_ns = np.concatenate((before.column(due), due_ns))
        latency_ns = np.concatenate((before.column(latency_of), latency_ns))
    return timeline(due_ns, latency_ns, failed_ns, begin_ns)


def _failed_ns(load: Measurement) -> Nanoseconds:
    """When failed and timed-out requests were scheduled, in ns, warm-up included."""
    bad = [OUTCOME_CODES[one] for one in (Outcome.FAILED, Outcome.TIMED_OUT)]
    return np.concatenate(
        [
            rows[SCHEDULED][np.isin(rows[OUTCOME], bad)]
            for requests in (load.left_out, load.requests)
            if requests is not None
            for rows in requests.pages()
        ]
    )

"""From what was measured of one target to what is reported of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from tracebench.analysis.closure import client_view, ranked, reported
from tracebench.analysis.evidence import Evidence, part_of
from tracebench.analysis.failures import count_errors
from tracebench.analysis.statistics import NS_PER_MS, PERMILLE, curve, describe, rank
from tracebench.analysis.tail import attribute_tail
from tracebench.analysis.verdict import judge
from tracebench.model.exchange import (
    ClockOffset,
    Decomposition,
    Exchange,
    Load,
    Nanoseconds,
    Outcome,
    Stamp,
)
from tracebench.model.result import Exemplar, Floor, RequestCounts, Statistics, TargetResult
from tracebench.vocabulary import (
    BODY,
    END_TO_END,
    LEAVES,
    SERVER_AND_NETWORK,
    SERVER_OTHER,
    SERVICE_TIME,
)

_EXEMPLARS: Final = ("p50_ms", "p90_ms", "p95_ms", "p99_ms")
_SOURCES: Final = ("otlp", "mirror", "backend")


def summarise(
    address: str,
    load: Load,
    decomposition: Decomposition,
    epoch_ns: int = 0,
    floor: Floor | None = None,
) -> TargetResult:
    """Summarise what was measured of one target.

    `components` and `share` are those of the decomposed requests; where there are none, what the
    client alone can tell of all successes. `latency`, `exemplars` and `cdf` cover every success
    and every time-out, the latter at the latency that it had reached.

    Args:
        address: the target, as people write it.
        load: what the engine recorded.
        decomposition: of the same exchanges.
        epoch_ns: what to add to the exchanges' times to have ns since the epoch.
        floor: of a server that does nothing, where that was measured.
    """
    columns = _columns(load, decomposition)
    known = ranked(load.exchanges)
    latency_ns = np.fromiter(map(_latency_ns, known), np.int64)
    evidence = Evidence(
        load=load,
        decomposition=decomposition,
        requests=_requests(load.exchanges),
        stamps=_stamps(load.exchanges),
        latency_ns=latency_ns,
        latency=describe(latency_ns) if known else None,
        components=_components(columns),
        floor=floor,
    )
    found = _found(address, evidence, columns)
    clock = _clock_offset_ms(decomposition.clock, epoch_ns)
    return replace(found, exemplars=exemplars(known), clock_offset_ms=clock)


def _found(address: str, run: Evidence, columns: Mapping[str, Nanoseconds]) -> TargetResult:
    """What does not depend on single requests, or on the time of day."""
    load, decomposition = run.load, run.decomposition
    return TargetResult(
        address=address,
        requests=run.requests,
        errors=count_errors(load.exchanges),
        duration_s=load.duration_s,
        throughput_rps=part_of(run.requests.succeeded, load.duration_s),
        client_cpu_s=load.cpu_s,
        decomposed=len(decomposition.trace_ids),
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
        parts_of={SERVER_OTHER: decomposition.own} if decomposition.own else {},
    )


def _columns(load: Load, decomposition: Decomposition) -> Mapping[str, Nanoseconds]:
    """What is told of the requests: no `body` where none stands apart from the network."""
    if not decomposition.trace_ids:
        return client_view(load.exchanges)
    columns = decomposition.columns
    return {name: column for name, column in columns.items() if name != BODY or column.any()}


def _clock_offset_ms(clock: ClockOffset | None, epoch_ns: int) -> tuple[float, float] | None:
    if clock is None:
        return None
    return (clock.low_ns - epoch_ns) / NS_PER_MS, (clock.high_ns - epoch_ns) / NS_PER_MS


def _requests(exchanges: Sequence[Exchange]) -> RequestCounts:
    outcomes = Counter(one.outcome for one in exchanges)
    return RequestCounts(
        started=len(exchanges),
        **{outcome.value: outcomes[outcome] for outcome in Outcome},
        sent_again=sum(one.lost is not None for one in exchanges),
    )


def _stamps(exchanges: Sequence[Exchange]) -> dict[str, int]:
    stamps = Counter(one.stamp for one in exchanges if one.outcome is Outcome.SUCCEEDED)
    return {stamp.value: stamps[stamp] for stamp in Stamp}


def _sources(decomposition: Decomposition) -> dict[str, int]:
    sources = {source: decomposition.sources.get(source, 0) for source in _SOURCES}
    return {**sources, "none": sum(decomposition.undecomposed.values())}


def _components(columns: Mapping[str, Nanoseconds]) -> dict[str, Statistics]:
    """Describe each component over the requests that have it; `service_time` where it says more."""
    told = dict(columns)
    if np.array_equal(told[SERVICE_TIME], told[END_TO_END]):
        del told[SERVICE_TIME]
    samples = {name: reported(values_ns) for name, values_ns in told.items()}
    return {name: describe(sample_ns) for name, sample_ns in samples.items() if len(sample_ns)}


def _share(columns: Mapping[str, Nanoseconds]) -> dict[str, float]:
    """The leaves' fractions of all latency; what a request does not report counts as 0."""
    total_ns = int(columns[END_TO_END].sum())
    leaves = [name for name in (*LEAVES, SERVER_AND_NETWORK) if name in columns]
    samples = {name: reported(columns[name]) for name in leaves}
    return {
        name: int(sample_ns.sum()) / total_ns
        for name, sample_ns in samples.items()
        if len(sample_ns) and total_ns
    }


def exemplars(known: Sequence[Exchange]) -> tuple[Exemplar, ...]:
    """The requests whose latencies the percentiles are, of what `ranked` gave.

    Where only some were traced, they are those to give, for an exemplar is to be looked up.
    """
    if not known:
        return ()
    order = np.argsort(np.fromiter(map(_latency_ns, known), np.int64), kind="stable")
    found = {name: known[order[rank(len(order), PERMILLE[name]) - 1]] for name in _EXEMPLARS}
    return tuple(
        Exemplar(PERMILLE[name] / 10, one.trace_id, _latency_ns(one) / NS_PER_MS)
        for name, one in found.items()
    )


def _latency_ns(exchange: Exchange) -> int:
    return exchange.done_ns - exchange.scheduled_ns

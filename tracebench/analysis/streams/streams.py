"""Metrics of streamed replies: time to the first token, gaps between tokens, and rates.

docs/streams.md defines each number. Every sum holds for each request to the nanosecond.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from server_middleware.vocabulary import DECODE, PREFILL
from tracebench.analysis.closure.first_token import (
    BEFORE_FIRST,
    FirstTokens,
    divide,
    server_first,
)
from tracebench.analysis.statistics.clusters import Clustered, describe_clustered
from tracebench.analysis.statistics.distribution import NS_PER_MS, describe, describe_present, rank
from tracebench.analysis.streams.asked import by_turn, with_asked
from tracebench.model.components import (
    BACKLOG,
    CLIENT,
    CONNECT,
    END_TO_END,
    NETWORK_FIRST,
    SERVER_BEFORE_FIRST,
)
from tracebench.model.components import SERVER_AND_NETWORK as REST
from tracebench.model.measurement import Measurement
from tracebench.model.record import requests as stamps
from tracebench.model.record.columns import ABSENT, Int64
from tracebench.model.record.exchange import StreamTimes
from tracebench.model.record.requests import Flags, Requests
from tracebench.model.record.requests import Rows as OfPage
from tracebench.model.record.streams import TOKEN_SOURCES, UNTOLD, Rows, Streams, gaps_ns, places_of
from tracebench.model.results.statistics import PERMILLE, Statistics
from tracebench.model.results.stream_result import Gaps, StreamResult, Tokens

_MOST_SHARED: Final = 0.05
"""Share of gaps within one read above which percentiles of gaps are marked as doubtful."""
MOSTLY: Final = 0.5
"""Share of buffered streams above which gaps between tokens are not reported."""
_ENOUGH_TOKENS: Final = 8
_FEW_READS: Final = 2
_MOST_POSITIONS: Final = 200


@dataclass(frozen=True, slots=True)
class Answered:
    """The successful requests whose reply streamed at least one token, in the order of scheduling.

    Arrays have one value a request unless stated otherwise; times are in ns.
    """

    rows: Rows
    """Their streams, one row a request."""
    first_reads: Int64
    reads: Rows
    """The reads of all streams."""
    scheduled: Int64
    backlog: Int64
    connect: Int64
    sent: Int64
    arrived: Int64
    done: Int64
    without_tokens: int
    variant: Int64
    """Index of the target's request that was sent."""
    block: Int64
    """Block of the run in which each was sent; never decreasing."""

    @property
    def waited_ns(self) -> Int64:
        """Time from `sent` to the first token."""
        return np.asarray(self.rows["first_token"] - self.sent)


def summarise_streams(
    load: Measurement, times: Callable[[], StreamTimes | None] = lambda: None
) -> StreamResult | None:
    """Summarise the streams of one target; None if there are none.

    Args:
        load: what the engine recorded.
        times: returns the server times of the decomposed requests; None: there are none.
    """
    if load.streams is None:
        return None
    them = answered(load.requests, load.streams, load.block_ends)
    said = told_of(them, times())
    first = divide(them.waited_ns, said.before_ns, said.first_ns)
    between = None if buffered_share(load.streams) > MOSTLY else gaps(them)
    values_ns = by_request(them)
    alone = _by_the_client_alone(them, values_ns, between)
    return replace(
        alone,
        tokens=with_asked(alone.tokens, them.variant, load.agreement),
        turns=by_turn(them.rows, them.variant, values_ns, load.agreement),
        parts={
            "ttft": _parts(to_first_token(them, said, first)),
            "generation": _parts(generation(them, said.decode_ns)),
        },
        first_token_splits={
            "apart": int(first.apart.sum()),
            "scaled": int(first.scaled.sum()),
            "left_out": int(first.left_out.sum()),
        },
        waited=describe_present(said.waited_ns[said.waited_ns > 0]),
    )


def _by_the_client_alone(
    them: Answered, values_ns: Mapping[str, Int64], between: Clustered | None
) -> StreamResult:
    rows = them.rows
    shared = 0.0 if between is None else float((between.times - 1).sum() / between.times.sum())
    carrying, exact = int(rows["carrying"].sum()), int(rows["exact"].sum())
    output = int(rows["output"].sum())
    return StreamResult(
        count=len(rows),
        without_tokens=them.without_tokens,
        ttft=describe_present(values_ns["ttft"]),
        ttft_service=describe_present(values_ns["ttft_service"]),
        first_text=describe_present(values_ns["first_text"]),
        tpot=None if between is None else describe_present(values_ns["tpot"]),
        generation=describe_present(values_ns["generation"]),
        ending=describe_present(values_ns["ending"]),
        itl=None if between is None else _described_gaps(between, shared),
        parts={},
        tokens=_tokens(rows),
        output_tokens_per_s=_rate(them),
        events_per_token=carrying / output if output else None,
        stamps={"exact": exact, "shared": carrying - exact},
        shared_gaps=shared,
        gaps=None if between is None else by_position(them, between),
        one_token=int(np.count_nonzero(values_ns["tpot"] == ABSENT)),
    )


def answered(
    requests: Requests,
    streams: Streams,
    block_ends: Sequence[int] = (),
    which: Callable[[OfPage], Flags] = lambda rows: rows.succeeded,
) -> Answered:
    """Join requests with their streams.

    Args:
        requests: the requests.
        streams: the streams of those replies that streamed.
        block_ends: as in `Measurement`.
        which: selects the requests on a page.
    """
    places = requests.places(which)
    draws = requests.columns.whole(stamps.DRAW)[places]
    at = streams.places(draws)
    streamed = at != ABSENT
    spoke = streamed.copy()
    spoke[streamed] = streams.rows["carrying"][at[streamed]] > 0
    scheduled = requests.whole(lambda rows: rows[stamps.SCHEDULED])[places]
    chosen = np.flatnonzero(spoke)
    chosen = chosen[np.argsort(scheduled[chosen], kind="stable")]
    where = places[chosen]
    connect = requests.whole(lambda rows: rows[stamps.CONNECT])[where]

    def at_stamp(name: str) -> Int64:
        return requests.whole(lambda rows: rows.at(name))[where]

    return Answered(
        rows=streams.rows[at[chosen]],
        first_reads=streams.first_reads[at[chosen]],
        reads=streams.reads,
        scheduled=scheduled[chosen],
        backlog=at_stamp(stamps.READY) - scheduled[chosen] - connect,
        connect=connect,
        sent=at_stamp(stamps.SENT),
        arrived=at_stamp(stamps.ARRIVED),
        done=at_stamp(stamps.DONE),
        without_tokens=int(np.count_nonzero(streamed)) - len(chosen),
        variant=requests.whole(lambda rows: rows[stamps.VARIANT])[where],
        block=np.searchsorted(block_ends, where, "right"),
    )


def buffered_share(streams: Streams) -> float:
    """The share of streams that came in too few reads to show the server's pace.

    Short streams are not counted, since a few reads are normal for them.
    """
    rows = streams.rows
    long = rows["carrying"] >= _ENOUGH_TOKENS
    return float(np.mean(rows["reads"][long] <= _FEW_READS)) if long.any() else 0.0


@dataclass(frozen=True, slots=True)
class Said:
    """Server times of streams, in ns, one value a stream; `ABSENT` where not reported."""

    before_ns: Mapping[str, Int64]
    """Component → its part of the time to the first token."""
    decode_ns: Int64
    first_ns: Int64
    """The time to the first token by the server's own clock."""
    waited_ns: Int64


def told_of(them: Answered, times: StreamTimes | None) -> Said:
    """Join streams with the server times reported at a stream's end or within its events.

    A server that reports prefill and decoding in events gives no total: only these two are known.
    """
    in_events = {name: them.rows[name] for name in (PREFILL, DECODE)}
    known = {name: np.where(ns == UNTOLD, ABSENT, ns) for name, ns in in_events.items()}
    absent = np.full(len(them.rows), ABSENT)
    if times is None:
        return Said({PREFILL: known[PREFILL]}, known[DECODE], absent, absent)
    at = places_of(them.rows["draw"].astype(np.int64), times.draws)
    found = at != ABSENT

    def aligned(values: Int64) -> Int64:
        gathered = np.full((len(at), *values.shape[1:]), ABSENT)
        gathered[found] = values[at[found]]
        return gathered

    parts_ns = {name: aligned(ns) for name, ns in times.parts_ns.items()}
    for name, ns in known.items():
        parts_ns[name] = np.where(parts_ns[name] == ABSENT, ns, parts_ns[name])
    ours = StreamTimes(
        draws=aligned(times.draws),
        parts_ns=parts_ns,
        first_ns=aligned(times.first_ns),
        waited_ns=aligned(times.waited_ns),
        sizes=aligned(times.sizes),
        at_ns=aligned(times.at_ns),
    )
    first_ns = server_first(ours, them.rows["first_size"].astype(np.int64))
    before_ns = {name: parts_ns[name] for name in BEFORE_FIRST}
    return Said(before_ns, parts_ns[DECODE], first_ns, ours.waited_ns)


def to_first_token(them: Answered, said: Said, first: FirstTokens) -> dict[str, Int64]:
    """The parts that sum to the time to the first token, in ns; without parts no request has."""
    client_ns = them.sent - them.scheduled - them.backlog - them.connect
    begin = {BACKLOG: them.backlog, CONNECT: them.connect, CLIENT: client_ns}
    has = {name: (ns != ABSENT).any() for name, ns in said.before_ns.items()}
    has |= {NETWORK_FIRST: first.apart.any(), SERVER_BEFORE_FIRST: first.apart.any()}
    has[REST] = not first.apart.all()
    return begin | {name: ns for name, ns in first.parts_ns.items() if has[name]}


def generation(them: Answered, decode_ns: Int64) -> dict[str, Int64]:
    """The parts that sum to the time from the first token to the last, in ns.

    The server decodes while the network delivers, so decoding is capped at that time.
    """
    whole_ns = them.rows["last_token"] - them.rows["first_token"]
    part_ns = np.where(decode_ns == ABSENT, 0, np.minimum(decode_ns, whole_ns))
    known = {DECODE: part_ns} if (decode_ns != ABSENT).any() else {}
    return {**known, REST: whole_ns - part_ns}


def time_per_output_token(them: Answered) -> Int64:
    """Time per output token of each request, in ns; `ABSENT` if all its tokens came in one read.

    All tokens of the first read that brought any count as present at the first token's stamp. If
    only the total number of tokens is known, they are spread evenly over the events.
    """
    rows = them.rows
    in_first = them.reads["tokens"][them.first_reads].astype(np.int64)
    counted = (rows["told_each"] != 0) | (rows["output"] == rows["carrying"])
    scaled = rows["output"].astype(np.int64) * in_first / np.maximum(rows["carrying"], 1)
    after = rows["output"] - np.where(counted, in_first, scaled)
    some = after > 0
    each_ns = (rows["last_token"] - rows["first_token"]) / np.where(some, after, 1)
    return np.where(some, each_ns.round().astype(np.int64), ABSENT)


def by_request(them: Answered) -> dict[str, Int64]:
    """The metrics with one value a request, in ns; `ABSENT` where a request has none."""
    rows = them.rows
    text = rows["first_text"] != 0
    return {
        "ttft": rows["first_token"] - them.scheduled,
        "ttft_service": them.waited_ns,
        "first_text": np.where(text, rows["first_text"] - them.scheduled, ABSENT),
        "tpot": time_per_output_token(them),
        "generation": rows["last_token"] - rows["first_token"],
        "ending": them.arrived - rows["last_token"],
        END_TO_END: them.done - them.scheduled,
    }


def gaps(them: Answered) -> Clustered | None:
    """The gaps between tokens: a read of k tokens after a gap g counts as k gaps of g/k.

    The gaps of a request thus sum to the time from its first token to its last.
    """
    reads, owner, first = _reads_of(them)
    later = np.ones(len(reads), np.bool_)
    later[first] = False
    reads, owner = reads[later], owner[later]
    if not len(owner):
        return None
    tokens = reads["tokens"].astype(np.int64)
    return Clustered(gaps_ns(reads) / tokens, tokens, owner, len(first))


def _reads_of(them: Answered) -> tuple[Rows, Int64, Int64]:
    """The reads of these requests, each read's request, and the index of each request's first."""
    counts = them.rows["reads"].astype(np.int64)
    owner = np.repeat(np.arange(len(counts)), counts)
    first = np.cumsum(counts) - counts
    at = np.arange(len(owner)) - first[owner] + them.first_reads[owner]
    return them.reads[at], owner, first


def by_position(them: Answered, between: Clustered) -> Gaps:
    """Gaps by token position, in a limited number of stretches of equal length."""
    before = np.cumsum(between.times) - between.times
    began = np.zeros(between.clusters, np.int64)
    first = np.flatnonzero(np.diff(between.cluster, prepend=-1))
    began[between.cluster[first]] = before[first]
    in_first = them.reads["tokens"][them.first_reads].astype(np.int64)
    position = before - began[between.cluster] + in_first[between.cluster]
    width = int(position.max()) // _MOST_POSITIONS + 1
    stretch = position // width
    order = np.argsort(stretch, kind="stable")
    starts = np.flatnonzero(np.diff(stretch[order], prepend=-1))
    found = [np.sort(one) / NS_PER_MS for one in np.split(between.ns[order], starts[1:])]
    return Gaps(
        tuple((stretch[order][starts] * width).tolist()),
        tuple(float(one[rank(len(one), 500) - 1]) for one in found),
        tuple(float(one[rank(len(one), 950) - 1]) for one in found),
    )


def _described_gaps(found: Clustered, shared: float) -> Statistics:
    statistics = describe_clustered(found)
    marked = tuple(PERMILLE) if shared > _MOST_SHARED else statistics.unsupported
    return replace(statistics, unsupported=marked)


def _parts(columns: Mapping[str, Int64]) -> dict[str, Statistics]:
    return {name: describe(values_ns) for name, values_ns in columns.items() if len(values_ns)}


def _tokens(rows: Rows) -> Tokens:
    def total(name: str) -> int | None:
        known = rows[name][rows[name] != UNTOLD]
        return int(known.sum()) if len(known) else None

    worst = int(rows["source"].min()) if len(rows) else 0
    return Tokens(
        total("input"),
        total("output"),
        total("reasoning"),
        total("cached"),
        TOKEN_SOURCES[worst],
    )


def _rate(them: Answered) -> float | None:
    """Output tokens a second, from the first end of a request to the last start of one.

    Outside that period, fewer requests are in flight than allowed. If it is less than half of the
    run, there is no steady part and the whole run counts. In a run of several blocks, this applies
    to each block.
    """
    rows = them.rows
    if not len(rows):
        return None
    later = np.flatnonzero(np.diff(them.block)) + 1
    blocks = np.split(np.arange(len(rows)), later)
    begins, ends = np.array([_steady(them, places) for places in blocks]).T
    lasted_ns = int((ends - begins).sum())
    if lasted_ns <= 0:
        return None
    reads, owner, first = _reads_of(them)
    passed = np.cumsum(gaps_ns(reads))
    before = np.concatenate(([0], passed))[first]
    came = passed - before[owner] + them.sent[owner]
    tokens = reads["tokens"].astype(np.float64)
    in_reads = np.bincount(owner, weights=tokens, minlength=len(rows))
    each = tokens * (rows["output"] / np.maximum(in_reads, 1))[owner]
    stretch = np.maximum(np.searchsorted(begins, came, "right") - 1, 0)
    counts = (came >= begins[stretch]) & (came < ends[stretch])
    return float(each[counts].sum() / lasted_ns * 1e9)


def _steady(them: Answered, within: Int64) -> tuple[int, int]:
    """Start and end of the period in which as many requests were in flight as allowed, in ns."""
    begin, end = int(them.sent[within].min()), int(them.rows["last_token"][within].max())
    steady = int(them.done[within].min()), int(them.scheduled[within].max())
    if 2 * (steady[1] - steady[0]) > end - begin:
        begin, end = steady
    return begin, max(begin, end)

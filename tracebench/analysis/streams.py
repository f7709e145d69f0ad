"""What streamed replies tell: the time to the first token, the gaps between tokens, and rates.

docs/streams.md defines each number. Every sum holds for each request, to the nanosecond.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from server_middleware.vocabulary import DECODE, PREFILL
from tracebench.analysis.statistics.clusters import Clustered, describe_clustered
from tracebench.analysis.statistics.distribution import NS_PER_MS, describe, rank
from tracebench.model import requests as stamps
from tracebench.model.columns import ABSENT, Int64
from tracebench.model.components import BACKLOG, CLIENT, CONNECT
from tracebench.model.components import SERVER_AND_NETWORK as REST
from tracebench.model.measurement import Load
from tracebench.model.result import PERMILLE, Gaps, Statistics, StreamResult, Tokens
from tracebench.model.streams import TOKEN_SOURCES, UNTOLD, Rows, Streams

_MOST_SHARED: Final = 0.05
"""Where more gaps lie within one read, their percentiles are marked."""
MOSTLY: Final = 0.5
"""Where more of the streams are buffered, gaps between tokens are not told at all."""
_ENOUGH_TOKENS: Final = 8
_FEW_READS: Final = 2
_MOST_POSITIONS: Final = 200


@dataclass(frozen=True, slots=True)
class Answered:
    """The successes that streamed and had a token, in the order of scheduling."""

    rows: Rows
    """Of their streams."""
    first_reads: Int64
    reads: Rows
    """Of all streams."""
    scheduled: Int64
    backlog: Int64
    connect: Int64
    sent: Int64
    arrived: Int64
    done: Int64
    without_tokens: int


def summarise_streams(load: Load) -> StreamResult | None:
    """Summarise the streams of one target; None where there are none."""
    if load.streams is None:
        return None
    them = answered(load, load.streams)
    rows = them.rows
    text = rows["first_text"] != 0
    tpot_ns, one_token = time_per_output_token(them)
    between = None if buffered_share(load.streams) > MOSTLY else gaps(them)
    shared = 0.0 if between is None else float((between.times - 1).sum() / between.times.sum())
    carrying, exact = int(rows["carrying"].sum()), int(rows["exact"].sum())
    output = int(rows["output"].sum())
    return StreamResult(
        count=len(rows),
        without_tokens=them.without_tokens,
        ttft=_described(rows["first_token"] - them.scheduled),
        ttft_service=_described(rows["first_token"] - them.sent),
        first_text=_described((rows["first_text"] - them.scheduled)[text]),
        itl=None if between is None else _described_gaps(between, shared),
        tpot=None if between is None else _described(tpot_ns),
        generation=_described(rows["last_token"] - rows["first_token"]),
        ending=_described(them.arrived - rows["last_token"]),
        parts={name: _parts(columns) for name, columns in parts(them).items()},
        tokens=_tokens(rows),
        output_tokens_per_s=_rate(them),
        events_per_token=carrying / output if output else None,
        stamps={"exact": exact, "shared": carrying - exact},
        shared_gaps=shared,
        gaps=None if between is None else by_position(them, between),
        one_token=one_token,
    )


def answered(load: Load, streams: Streams) -> Answered:
    """Bring requests and their streams together."""
    requests = load.requests
    places = requests.places(lambda rows: rows.succeeded)
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
    )


def buffered_share(streams: Streams) -> float:
    """The share of streams that came in so few reads that these tell nothing of the server's pace.

    Short ones may: they do not count.
    """
    rows = streams.rows
    long = rows["carrying"] >= _ENOUGH_TOKENS
    return float(np.mean(rows["reads"][long] <= _FEW_READS)) if long.any() else 0.0


def parts(them: Answered) -> dict[str, dict[str, Int64]]:
    """What the time to the first token, and that from there to the last, is the sum of.

    A server that tells how long prefill and decoding took tells no total: what is left beside
    them was the server's or the network's. What exceeds the time that there was is cut.
    """
    rows = them.rows
    waited, generated = rows["first_token"] - them.sent, rows["last_token"] - rows["first_token"]
    ttft = {
        BACKLOG: them.backlog,
        CONNECT: them.connect,
        CLIENT: them.sent - them.scheduled - them.backlog - them.connect,
    }
    generation: dict[str, Int64] = {}
    for told, name, whole, columns in (
        (rows["prefill"], PREFILL, waited, ttft),
        (rows["decode"], DECODE, generated, generation),
    ):
        part = np.where(told == UNTOLD, 0, np.minimum(told, whole))
        if (told != UNTOLD).any():
            columns[name] = part
        columns[REST] = whole - part
    return {"ttft": ttft, "generation": generation}


def time_per_output_token(them: Answered) -> tuple[Int64, int]:
    """Of each request that has one, in ns; and how many have none.

    The tokens of the first read that brought some were there at the first token's stamp. Where
    only their total is known, each event counts as many as the others.
    """
    rows = them.rows
    in_first = them.reads["tokens"][them.first_reads].astype(np.int64)
    counted = (rows["told_each"] != 0) | (rows["output"] == rows["carrying"])
    scaled = rows["output"].astype(np.int64) * in_first / np.maximum(rows["carrying"], 1)
    after = rows["output"] - np.where(counted, in_first, scaled)
    some = after > 0
    generated = (rows["last_token"] - rows["first_token"])[some]
    return np.asarray(generated / after[some]).round().astype(np.int64), int(
        np.count_nonzero(~some)
    )


def gaps(them: Answered) -> Clustered | None:
    """The gaps between tokens: a read with k tokens after a gap g has k of g/k.

    So those of a request sum to the time from its first token to its last.
    """
    counts = them.rows["reads"].astype(np.int64) - 1
    owner = np.repeat(np.arange(len(counts)), counts)
    if not len(owner):
        return None
    began = np.cumsum(counts) - counts
    at = np.arange(len(owner)) - began[owner] + them.first_reads[owner] + 1
    came, tokens = them.reads["came"], them.reads["tokens"][at].astype(np.int64)
    return Clustered((came[at] - came[at - 1]) / tokens, tokens, owner, len(counts))


def by_position(them: Answered, between: Clustered) -> Gaps:
    """Gaps over the position of their tokens, in at most so many stretches of equal length."""
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


def _described(values_ns: Int64) -> Statistics | None:
    return describe(values_ns) if len(values_ns) else None


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
    """Output tokens a second, from the first end of a request to the last begin of one.

    Before, and after, fewer are under way than there may be. A run in which that is less than half
    of the time has no steady part: its whole is taken.
    """
    rows = them.rows
    if not len(rows):
        return None
    begin, end = int(them.sent.min()), int(rows["last_token"].max())
    steady = int(them.done.min()), int(them.scheduled.max())
    if 2 * (steady[1] - steady[0]) > end - begin:
        begin, end = steady
    if end <= begin:
        return None
    counts = rows["reads"].astype(np.int64)
    owner = np.repeat(np.arange(len(counts)), counts)
    began = np.cumsum(counts) - counts
    at = np.arange(len(owner)) - began[owner] + them.first_reads[owner]
    came, tokens = them.reads["came"][at], them.reads["tokens"][at].astype(np.float64)
    in_reads = np.bincount(owner, weights=tokens, minlength=len(counts))
    each = tokens * (rows["output"] / np.maximum(in_reads, 1))[owner]
    return float(each[(came >= begin) & (came < end)].sum() / (end - begin) * 1e9)

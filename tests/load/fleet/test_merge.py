"""Merging: the merged record of any number of shards equals one record of the same requests."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest

from tests.records import record
from tracebench.analysis.closure.decomposition import decompose
from tracebench.analysis.summary.summary import summarise
from tracebench.load.fleet.merge import Piece, Whole, merged
from tracebench.model.measurement import Measurement
from tracebench.model.record.columns import Columns
from tracebench.model.record.exchange import (
    Exchange,
    Lost,
    Outcome,
    Reply,
    Stamp,
    Timing,
    Undecomposed,
)
from tracebench.model.record.requests import Requests
from tracebench.model.record.server_times import ServerTimes
from tracebench.model.record.streams import READ, STREAM, Streams
from tracebench.model.results.result import TargetResult
from tracebench.model.shards import Shard

MS = 1_000_000
Row = tuple[Exchange, Timing | Undecomposed]


def rows(count: int, seed: int) -> list[Row]:
    """Requests of all kinds, in the order in which they ended."""
    random = Random(seed)
    made = [_row(random, at) for at in range(count)]
    return sorted(made, key=lambda row: row[0].done_ns)


def _row(random: Random, at: int) -> Row:
    due = 1_000_000_000 + at * MS + random.randrange(MS)
    ready = due + random.choice((0, 0, 20_000))
    sent = ready + random.randrange(1, 50_000)
    arrived = sent + random.randrange(5 * MS, 9 * MS)
    outcome = random.choices(list(Outcome), (90, 5, 3, 1, 1))[0]
    good = outcome is Outcome.SUCCEEDED
    reason = "" if good else random.choice((f"HTTP 503 at {at}", "HTTP 500", "reset"))
    exchange = Exchange(
        trace_id=f"{random.getrandbits(128):032x}",
        span_id=f"{random.getrandbits(64):016x}",
        scheduled_ns=due,
        connect_ns=random.choice((0, 0, 0, 10_000)),
        ready_ns=ready,
        sent_ns=sent,
        first_byte_ns=arrived - random.choice((0, MS)) if good else 0,
        arrived_ns=arrived if good else 0,
        done_ns=arrived + random.randrange(1, 90_000),
        write_lag_ns=0,
        outcome=outcome,
        stamp=random.choice(list(Stamp)),
        reply=Reply(random.choice(("200", "201")) if good else "", {}, b""),
        reason=reason,
        variant=random.randrange(4),
        slot=at % 8,
        lost=random.choice((None, None, None, *Lost)),
    )
    return exchange, _timing(random, arrived - sent) if good else Undecomposed.NO_TIMING


def _timing(random: Random, most_ns: int) -> Timing | Undecomposed:
    if random.random() < 0.1:
        return random.choice(list(Undecomposed))
    total = random.randrange(2 * MS, most_ns)
    parts = {"inference": total // 2, "queue": random.randrange(total // 4)}
    if random.random() < 0.2:
        parts[random.choice(("tokenize", "resize"))] = random.randrange(total // 8)
    return Timing(total, parts, random.choice(("mirror", "otlp")), started_ns=5 * total)


def streams(exchanges: Sequence[Exchange], draws: Sequence[int]) -> Streams:
    """What streams the successes were; all of it follows from the request."""
    told, reads = [], []
    for one, draw in zip(exchanges, draws, strict=True):
        if one.outcome is not Outcome.SUCCEEDED:
            continue
        tokens = 2 + one.variant
        told.append(np.zeros((), STREAM))
        row = told[-1]
        row["draw"], row["events"], row["carrying"], row["exact"] = draw, tokens, tokens, tokens
        row["reads"], row["sent"], row["output"], row["input"] = tokens, one.sent_ns, tokens, 7
        row["first_event"] = row["first_token"] = row["first_token_after"] = one.sent_ns + MS
        row["first_text"] = row["first_token"]
        row["last_token"] = row["last_token_after"] = one.sent_ns + tokens * MS
        row["prefill"] = row["decode"] = row["reasoning"] = row["cached"] = -1
        row["source"] = 3
        reads += [(MS, 0, 1)] * tokens
    return Streams(np.array(told, STREAM), np.array(reads, READ))


def paged(columns: Columns, size: int) -> Columns:
    """The same rows on smaller pages, as records of several windows have them."""
    found = Columns()
    for at in range(0, len(columns), size):
        some = columns.take(np.arange(at, min(at + size, len(columns))))
        found.adopt(*some.stored(0))
    return found


def piece(given: Sequence[Row], shard: Shard, page: int = 1_000, **facts: Any) -> Piece:
    requests, times = record(*zip(*given, strict=True)) if given else record(())
    draws = range(len(given))
    return Piece(
        replace(requests, columns=paged(requests.columns, page)),
        ServerTimes(paged(times.columns, page), times.unlisted),
        streams([one for one, _ in given], draws),
        shard,
        **facts,
    )


def result(requests: Requests, times: ServerTimes, told: Streams | None) -> TargetResult:
    lasted_s = requests.duration_ns / 1e9
    slo = "latency < 8ms, ttft < 2ms"
    load = Measurement(requests, times, lasted_s, 1.0, None, streams=told, slo=slo)
    return summarise("a", load, decompose(requests, times))


@pytest.mark.parametrize("of", [1, 2, 3, 4, 5, 6, 7])
@pytest.mark.parametrize("seed", [1])
def test_every_statistic_is_that_of_one_record(of: int, seed: int) -> None:
    random, all_rows = Random(seed), rows(2_000, seed)
    owner = [random.randrange(of) for _ in all_rows]
    pieces = [
        piece([row for row, own in zip(all_rows, owner, strict=True) if own == at], Shard(at, of))
        for at in range(of)
    ]
    random.shuffle(pieces)
    found = merged(pieces)
    renumbered = [
        (one._replace(slot=one.slot * of + own), timing)
        for (one, timing), own in zip(all_rows, owner, strict=True)
    ]
    expected = piece(renumbered, Shard())
    assert list(found.requests) == list(expected.requests)
    for name in expected.times.columns.names:
        assert (found.times.columns.whole(name) == expected.times.columns.whole(name)).all()
    assert found.requests.reasons == expected.requests.reasons
    assert found.requests.statuses == expected.requests.statuses
    whole = (expected.requests, expected.times, expected.streams)
    assert result(found.requests, found.times, found.streams) == result(*whole)


def test_ids_are_those_that_each_shard_sent() -> None:
    given = rows(200, 1)
    found = merged([piece(given[at::2], Shard(at, 2)) for at in (0, 1)])
    high, low, span = found.requests.words()
    for at, one in enumerate(found.requests):
        assert f"{high[at]:016x}{low[at]:016x}{span[at]:016x}" == one.trace_id + one.span_id


def test_a_clock_ahead_of_the_heads_is_moved_as_a_whole() -> None:
    given = rows(100, 2)
    ahead = [
        (one._replace(**{f: getattr(one, f) and getattr(one, f) + 77 for f in STAMPED}), timing)
        for one, timing in given[1::2]
    ]
    pieces = [piece(given[::2], Shard(0, 2)), piece(ahead, Shard(1, 2), offset_ns=77)]
    found, expected = merged(pieces), merged([piece(given[at::2], Shard(at, 2)) for at in (0, 1)])
    assert list(found.requests) == list(expected.requests)
    assert found.streams is not None
    assert expected.streams is not None
    assert (found.streams.rows == expected.streams.rows).all()


STAMPED = (
    *("scheduled_ns", "ready_ns", "sent_ns"),
    *("first_byte_ns", "arrived_ns", "done_ns"),
)


def test_blocks_stay_together() -> None:
    """Within a block rows are sorted; a shard that lost its last block has none of it."""
    given = rows(90, 3)
    blocks = [given[:30], given[30:60], given[60:]]
    first = [row for block in blocks for row in block[::2]]
    second = [row for block in blocks[:2] for row in block[1::2]]
    found: Whole = merged(
        [
            piece(first, Shard(0, 2), block_ends=(15, 30, 45)),
            piece(second, Shard(1, 2), block_ends=(15, 30)),
        ]
    )
    assert found.block_ends == (30, 60, 75)
    assert [one.trace_id for one in found.requests][:60] == [one.trace_id for one, _ in given[:60]]


def test_a_lost_shard_leaves_the_numbers_of_the_others() -> None:
    given = rows(40, 4)
    found = merged([piece(given[at::3], Shard(at, 3)) for at in (0, 2)])
    assert len(found.requests) == 14 + 13
    assert {draw % 3 for draw in found.requests.columns.whole("draw").tolist()} == {0, 2}
    assert {one.trace_id for one in found.requests} == {
        one.trace_id for at in (0, 2) for one, _ in given[at::3]
    }

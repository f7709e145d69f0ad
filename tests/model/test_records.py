"""Requests and what servers said of them: a row of the columns is what was known one by one."""

from collections.abc import Sequence
from typing import get_args

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tracebench.model.record.columns import ABSENT, Int64
from tracebench.model.record.exchange import (
    CameWith,
    Exchange,
    HandedOver,
    Lost,
    Outcome,
    Reply,
    Stamp,
    StreamTiming,
    Timing,
    Undecomposed,
)
from tracebench.model.record.requests import DONE, FIRST_BYTE, SENT, STAMPS, Requests
from tracebench.model.record.server_times import MOST_PARTS, SOURCES, ServerTimes

WAITS_NS = st.sampled_from([-7, 0, 1, 255, 256, 65_535, 2**32 - 1, 2**32, 2**32 + 1, 2**40])
NAMES = st.sampled_from(["queue", "inference", "part ", "left out x", "a", ""])
TIMES_NS = st.integers(0, 2**62)


@st.composite
def exchanges(draw: st.DrawFn) -> Exchange:
    """One whose stamps were reached or not, each any time after, or before, the last."""
    now_ns = scheduled_ns = draw(st.integers(10**15, 10**15 + 10))
    at_ns = {}
    for name in STAMPS:
        now_ns += draw(WAITS_NS)
        at_ns[f"{name}_ns"] = now_ns if name == DONE or draw(st.booleans()) else 0
        now_ns = at_ns[f"{name}_ns"] or now_ns
    return Exchange(
        trace_id=draw(st.text("0123456789abcdef", min_size=32, max_size=32)),
        span_id="ab",
        scheduled_ns=scheduled_ns,
        connect_ns=draw(st.sampled_from([0, 3, 2**33])),
        write_lag_ns=draw(st.sampled_from([0, 70_000])),
        outcome=draw(st.sampled_from(Outcome)),
        stamp=draw(st.sampled_from(Stamp)),
        reply=Reply(draw(st.sampled_from(["", "200", "OK", "503"])), {}, b""),
        reason=draw(st.sampled_from(["", "reset", "HTTP 503"])),
        variant=draw(st.sampled_from([0, 255, 70_000])),
        slot=draw(st.integers(0, 300)),
        lost=draw(st.sampled_from([None, *Lost])),
        **at_ns,
    )


def stream_timings() -> st.SearchStrategy[StreamTiming]:
    chunks = st.lists(st.builds(HandedOver, TIMES_NS, TIMES_NS), max_size=8).map(tuple)
    return st.builds(StreamTiming, chunks, st.one_of(st.none(), TIMES_NS), TIMES_NS)


@st.composite
def timings(draw: st.DrawFn) -> Timing | Undecomposed:
    if draw(st.booleans()):
        return draw(st.sampled_from(list(Undecomposed)))
    parts = st.dictionaries(NAMES, TIMES_NS, max_size=3)
    return Timing(
        total_ns=draw(TIMES_NS),
        parts_ns=draw(parts),
        source=draw(st.sampled_from(SOURCES)),
        scaled=draw(st.booleans()),
        started_ns=draw(st.one_of(st.none(), st.integers(-(2**62), 2**62))),
        left_out=tuple(sorted(draw(st.sets(NAMES, max_size=2)))),
        unlisted=draw(st.integers(0, 300)),
        came_with=draw(st.sampled_from(get_args(CameWith))),
        strays=draw(st.integers(0, 300)),
        differs_ns=draw(st.one_of(st.none(), st.dictionaries(NAMES, WAITS_NS, max_size=2))),
        stream=draw(st.one_of(st.none(), stream_timings())),
    )


def comparable(told: Timing | Undecomposed) -> Timing | Undecomposed:
    if isinstance(told, Undecomposed):
        return told
    return told._replace(left_out=tuple(sorted(told.left_out)))


@given(st.lists(exchanges(), max_size=6))
def test_a_row_is_the_exchange_that_was_recorded(ended: list[Exchange]) -> None:
    requests = Requests.of(ended)
    assert list(requests) == ended
    places = np.arange(len(ended))[::-1]
    assert list(requests.take(places)) == ended[::-1]
    assert requests.successes() == {
        one.trace_id: one.span_id for one in ended if one.outcome is Outcome.SUCCEEDED
    }


@given(st.lists(exchanges(), min_size=1, max_size=6))
def test_stamps_are_read_in_bulk_as_one_by_one(ended: list[Exchange]) -> None:
    requests = Requests.of(ended)
    for name in (SENT, FIRST_BYTE, DONE):
        reached = [getattr(one, f"{name}_ns") for one in ended]
        assert _listed(requests, name) == [at or ABSENT for at in reached]
    due_ns = [one.scheduled_ns for one in ended]
    assert requests.due_ns == (min(due_ns), max(due_ns))
    assert requests.duration_ns == max(one.done_ns for one in ended) - min(due_ns)


def _listed(requests: Requests, name: str) -> list[int]:
    values: Int64 = requests.whole(lambda rows: rows.at(name))
    return [int(value) for value in values]


@given(st.lists(timings(), max_size=6))
def test_a_row_is_the_timing_that_was_told(told: list[Timing | Undecomposed]) -> None:
    times = ServerTimes.of(told)
    assert list(map(comparable, times)) == list(map(comparable, told))
    taken = times.take(np.arange(len(told))[::-1])
    assert list(map(comparable, taken)) == list(map(comparable, told[::-1]))


def laid_over(low: Timing | Undecomposed, high: Timing | Undecomposed) -> Timing | Undecomposed:
    """Of streams the lower one may tell more: then that stays."""
    if high is Undecomposed.NO_TIMING:
        return low
    if isinstance(low, Undecomposed) or isinstance(high, Undecomposed) or low.stream is None:
        return high
    if high.stream is None:
        return high._replace(stream=low.stream)
    waited_ns = max(low.stream.waited_ns, high.stream.waited_ns)
    return high._replace(stream=high.stream._replace(waited_ns=waited_ns))


@settings(max_examples=50)
@given(st.lists(st.tuples(timings(), timings()), max_size=5))
def test_what_lies_over_it_wins_where_it_says_anything(
    pairs: Sequence[tuple[Timing | Undecomposed, Timing | Undecomposed]],
) -> None:
    below, over = (ServerTimes.of([pair[at] for pair in pairs]) for at in (0, 1))
    expected = [laid_over(low, high) for low, high in pairs]
    assert list(map(comparable, below.overlaid(over))) == list(map(comparable, expected))


def test_names_without_end_get_no_column_each() -> None:
    told = [Timing(9, {"queue": 1, f"id {n}": 2}, "mirror") for n in range(500)]
    times = ServerTimes.of([*told, Timing(9, {"inference": 3}, "mirror")])
    assert len(times.parts) == MOST_PARTS + 1
    assert times.unlisted == 500 - (MOST_PARTS - 1)
    last = times.timing(500)
    assert isinstance(last, Timing)
    assert last.parts_ns == {"inference": 3}


def test_a_record_of_nothing() -> None:
    requests = Requests.of([])
    assert (len(requests), requests.duration_ns, list(requests)) == (0, 0, [])
    assert requests.places(lambda rows: rows.all).tolist() == []

"""Servers behind a server, on clocks of their own: durations stay, whatever their clocks say."""

from collections.abc import Sequence

import pytest

from tests.tracing.mapping.samples import MS, span, split
from tracebench.model.record.span import Span
from tracebench.tracing.mapping.mapper import Mapper
from tracebench.tracing.mapping.server_clocks import on_one_clock

GATEWAY, MODEL = {"service.name": "gateway"}, {"service.name": "model"}


def asked(skew_ms: float) -> list[Span]:
    """A gateway that asks a model server for 20 of its 30 ms."""
    return [
        span("POST /", 0, 30, kind="SERVER", resource=GATEWAY),
        span("call", 5, 25, "POST /", kind="CLIENT", resource=GATEWAY),
        span("infer", 7 + skew_ms, 23 + skew_ms, "call", kind="SERVER", resource=MODEL),
        span("queue", 8 + skew_ms, 11 + skew_ms, "infer", resource=MODEL),
        span("inference", 11 + skew_ms, 21 + skew_ms, "infer", resource=MODEL),
    ]


@pytest.mark.parametrize("skew_ms", [0, 1.5, 250, -250, 3_600_000, 15, -15, 3, -3])
def test_a_skewed_clock_changes_no_component(skew_ms: float) -> None:
    expected = {"server_processing": 30, "queue": 3, "inference": 10}
    assert split(Mapper(), *asked(skew_ms)) == expected


def middle(spans: Sequence[Span]) -> list[tuple[int, int]]:
    first_ns = spans[0].start_ns
    return [
        ((one.start_ns - first_ns) // MS, (one.end_ns - first_ns) // MS)
        for one in on_one_clock(spans)
    ]


def test_what_is_moved_is_moved_whole_to_the_middle_of_the_asking() -> None:
    expected = [(0, 30), (5, 25), (7, 23), (8, 11), (11, 21)]
    assert middle(asked(250)) == middle(asked(0)) == expected
    events = span("infer", 307, 323, "call", kind="SERVER", resource=MODEL, events={"e": 308})
    [*_, moved] = on_one_clock([*asked(250)[:2], events])
    assert (moved.events[0].time_ns - moved.start_ns) == MS


def test_a_third_server_is_placed_within_the_second() -> None:
    lookup = span("lookup", 262, 268, "inference", kind="CLIENT", resource=MODEL)
    get = span("get", -50, -48, "lookup", kind="SERVER", resource={"service.name": "store"})
    assert middle([*asked(250), lookup, get])[-2:] == [(12, 18), (14, 16)]


def test_what_goes_on_after_the_asking_is_left_where_it_is() -> None:
    spans = asked(0)
    background = span("task", 24, 60, "call", resource=MODEL)
    late = span("late", 20, 28, "call", resource=MODEL)
    assert list(on_one_clock([*spans, background, late])) == [*spans, background, late]


def test_one_process_is_never_corrected() -> None:
    spans = [
        span("entry", 0, 10, resource=MODEL),
        span("inference", -5, 2, "entry", resource=MODEL),
    ]
    assert on_one_clock(spans) is spans

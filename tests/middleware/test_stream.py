"""The stamps of a stream, by a clock that stands still."""

import json
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind

from server_middleware.recording.recorder import RequestRecorder
from server_middleware.recording.stream import Stream
from server_middleware.request import Request
from server_middleware.vocabulary import STREAM_CHUNKS
from tests.middleware.clock import Clock
from tests.middleware.lean import begun_both, lean, provider_of
from tests.middleware.span_samples import Spans


def told(stream: Stream) -> dict[str, Any]:
    ((name, value),) = stream.mirrored()
    assert name == "X-Stream-Timing"
    known: dict[str, Any] = json.loads(value)
    return known


def streamed(clock: Clock, sizes: list[int], *, slow_ms: int = 0) -> Stream:
    """A chunk of each size, 10 ms apart; the reader is slow at each."""
    stream = Stream(RequestRecorder(), "bytes")
    for size in sizes:
        clock.go(10)
        stream.hand_over(size)
        clock.go(slow_ms)
        stream.come_back()
    return stream


def test_the_first_chunks_and_the_last_have_stamps(clock: Clock) -> None:
    assert told(streamed(clock, [120, 120, 60], slow_ms=2)) == {
        "chunks": [[120, 0.010], [240, 0.022], [300, 0.034]],
        "last": 0.034,
        "waited": 0.006,
    }


def test_the_form_is_that_of_the_wire(clock: Clock) -> None:
    ((_, value),) = streamed(clock, [120, 120]).mirrored()
    assert value == (
        '{"chunks": [[120, 0.010000000], [240, 0.020000000]], '
        '"last": 0.020000000, "waited": 0.000000000}'
    )


def test_of_a_long_stream_no_more_is_kept(clock: Clock) -> None:
    known = told(streamed(clock, [1] * 1_000))
    assert known["chunks"] == [[n, n / 100] for n in range(1, STREAM_CHUNKS + 1)]
    assert known["last"] == 10.0


def test_what_is_empty_is_no_chunk_but_may_take_its_time(clock: Clock) -> None:
    known = told(streamed(clock, [0, 5, 0], slow_ms=1))
    assert known == {"chunks": [[5, 0.021]], "last": 0.021, "waited": 0.003}


def test_a_stream_without_a_chunk_tells_nothing(clock: Clock, spans: Spans) -> None:
    stream = streamed(clock, [0])
    assert stream.mirrored() == []
    span = spans.provider.get_tracer("test").start_span("POST")
    stream.add_to(span)
    span.end()
    assert not spans.wait(1)[0].events


def test_both_kinds_of_spans_are_told_once(clock: Clock) -> None:
    provider = provider_of(InMemorySpanExporter())
    found = begun_both(lean(provider), provider.get_tracer("test"), SpanKind.SERVER)
    for span in found:
        assert isinstance(span, ReadableSpan)
        stream = streamed(clock, [3, 4], slow_ms=1)
        began_ns = clock.now_ns - 22_000_000
        stream.add_to(span)
        stream.add_to(span)
        events = [
            (event.name, event.timestamp, dict(event.attributes or {})) for event in span.events
        ]
        assert events == [
            ("tracebench.chunk", began_ns + 10_000_000, {"tracebench.chunk.bytes": 3}),
            ("tracebench.chunk", began_ns + 21_000_000, {"tracebench.chunk.bytes": 7}),
            (
                "tracebench.last_chunk",
                began_ns + 21_000_000,
                {"tracebench.chunk.bytes": 7, "tracebench.stream.waited_ms": 2.0},
            ),
        ]
        span.end()


class Failing(NonRecordingSpan):
    def add_event(self, *given: Any, **named: Any) -> None:
        raise RuntimeError("no room")


def test_a_span_that_fails_harms_nobody(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    streamed(clock, [1]).add_to(Failing(SpanContext(1, 2, False)))
    assert "no room" in caplog.text


def test_somebody_elses_span_is_told_before_it_ends(spans: Spans, clock: Clock) -> None:
    request = Request(RequestRecorder())
    with spans.provider.get_tracer("test").start_as_current_span("POST"):
        request.trace("POST", {}, {}, None)  # type: ignore[arg-type] # it is not needed
        request.begin_stream("messages").hand_over(1)
        request.end_stream()
    (server,) = spans.wait(1)
    assert request.span is None
    assert [event.name for event in server.events] == ["tracebench.chunk", "tracebench.last_chunk"]

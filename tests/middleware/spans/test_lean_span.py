"""Lean spans tell what the SDK's own tell."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode

from server_middleware.spans.lean_span import LeanSpan
from tests.middleware.lean import END_NS, LINK, START_NS, Started, begun_both, lean, provider_of

Act = Callable[[trace.Span], object]


def failing() -> ValueError:
    try:
        raise ValueError("no image")
    except ValueError as error:
        return error


ERROR = failing()


def after_its_end(span: trace.Span) -> None:
    span.end(END_NS)
    span.set_attribute("late", 1)
    span.add_event("late")
    span.update_name("late")
    span.set_status(StatusCode.ERROR)
    span.end(END_NS + 1)


ACTS: dict[str, Sequence[Act]] = {
    "nothing": [],
    "attributes": [
        lambda span: span.set_attribute("text", "a"),
        lambda span: span.set_attributes({"text": "b", "number": 1, "share": 0.5, "truth": True}),
        lambda span: span.set_attribute("list", [1, 2]),
        lambda span: span.set_attribute("number", 2),
        lambda span: span.set_attribute("", "nameless"),
    ],
    "more attributes than a span may have": [
        lambda span: [span.set_attribute(f"key {number}", number) for number in range(200)]
    ],
    "more attributes at once": [
        lambda span: span.set_attributes({f"key {number}": number for number in range(200)})
    ],
    "an exception": [lambda span: span.record_exception(ERROR, {"own": 1}, START_NS + 5)],
    "an escaped exception": [lambda span: span.record_exception(ERROR, None, 7, escaped=True)],
    "events": [
        lambda span: span.add_event("begun", {"size": 3}, START_NS + 1),
        lambda span: span.add_event("bare", None, START_NS + 2),
    ],
    "more events than a span may have": [
        lambda span: [span.add_event(f"event {number}", None, 5) for number in range(200)]
    ],
    "a link": [lambda span: span.add_link(LINK.context, {"why": "batch"})],
    "more links than a span may have": [lambda span: span.add_link(LINK.context)] * 200,
    "a name": [lambda span: span.update_name("POST /predict")],
    "an error": [lambda span: span.set_status(StatusCode.ERROR, "it broke")],
    "a status object": [lambda span: span.set_status(Status(StatusCode.ERROR, "it broke"))],
    "UNSET says nothing": [
        lambda span: span.set_status(StatusCode.ERROR, "it broke"),
        lambda span: span.set_status(StatusCode.UNSET),
    ],
    "OK is final": [
        lambda span: span.set_status(StatusCode.OK),
        lambda span: span.set_status(StatusCode.ERROR, "it broke"),
    ],
    "nothing counts after its end": [after_its_end],
}


def told(span: ReadableSpan) -> list[Any]:
    return [
        json.loads(span.to_json()),
        encode_spans([span]),
        span.dropped_attributes,
        span.dropped_events,
        span.dropped_links,
    ]


@pytest.mark.parametrize("kind", [SpanKind.SERVER, SpanKind.INTERNAL])
@pytest.mark.parametrize("acts", ACTS.values(), ids=ACTS)
def test_they_are_exported_alike(kind: SpanKind, acts: Sequence[Act]) -> None:
    exporter = InMemorySpanExporter()
    provider = provider_of(exporter)
    sdk = provider.get_tracer("server_middleware")
    for span in begun_both(lean(provider), sdk, kind):
        assert span.is_recording()
        for act in acts:
            act(span)
        span.end(END_NS)
        assert not span.is_recording()
    ours, theirs = exporter.get_finished_spans()
    assert isinstance(ours, LeanSpan)
    assert not isinstance(theirs, LeanSpan)
    assert told(ours) == told(theirs)


@pytest.mark.parametrize("kind", [SpanKind.SERVER, SpanKind.INTERNAL])
def test_processors_see_them_begin(kind: SpanKind) -> None:
    started, exporter = Started(), InMemorySpanExporter()
    provider = provider_of(exporter)
    provider.add_span_processor(started)
    for span in begun_both(lean(provider), provider.get_tracer("server_middleware"), kind):
        span.end(END_NS)
    ours, theirs = started.seen
    assert ours == theirs
    assert started.ending[:1] == started.ending[1:]
    assert [(span.attributes or {})["said"] for span in exporter.get_finished_spans()] == [
        "at the start"
    ] * 2


def test_a_processor_may_be_added_at_any_time() -> None:
    started, exporter = Started(), InMemorySpanExporter()
    provider = provider_of(exporter)
    sdk = provider.get_tracer("server_middleware")
    request, _ = begun_both(lean(provider), sdk, SpanKind.SERVER)
    provider.add_span_processor(started)
    lean(provider).begin_component(request, "inference", START_NS, otel.Context()).end(END_NS)
    request.end(END_NS)
    assert [name for name, *_ in started.seen] == ["inference"]
    assert started.ending == [("inference", False), ("POST", False)]
    assert [span.name for span in exporter.get_finished_spans()] == ["inference", "POST"]


def test_several_threads_may_set_attributes_at_once() -> None:
    exporter = InMemorySpanExporter()
    span, _ = begun_both(lean(provider_of(exporter)), trace.NoOpTracer(), SpanKind.SERVER)
    together = Barrier(4)

    def work(thread: int) -> None:
        together.wait(10)
        for number in range(25):
            span.set_attribute(f"{thread} {number}", [number])

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [None] * 4
    span.end(END_NS)
    (ended,) = exporter.get_finished_spans()
    assert len(ended.attributes or {}) == 2 + 100


def test_what_is_described_at_once_has_a_span_like_any_other() -> None:
    exporter = InMemorySpanExporter()
    provider = provider_of(exporter)
    tracer = lean(provider)
    for span in begun_both(tracer, provider.get_tracer("server_middleware"), SpanKind.SERVER):
        tracer.describe(span, {"http.route": "/predict", "http.response.status_code": 200})
        span.end(END_NS)
        tracer.describe(span, {"late": 1})
    ours, theirs = exporter.get_finished_spans()
    assert told(ours) == told(theirs)

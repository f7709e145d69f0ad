"""Lean spans tell what the SDK's own tell."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk import trace as sdk_trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult, StaticSampler
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from server_middleware.lean import LeanTracer
from server_middleware.lean_span import LeanSpan
from server_middleware.spans import tracer_of
from server_middleware.tracer import Tracer
from tests.middleware.spans import PARENT_ID, TRACE_ID

START_NS, END_NS, OWN_ID = 1_000, 2_000, 0x1234
ABOVE = SpanContext(TRACE_ID, PARENT_ID, True, TraceFlags(0x01), TraceState([("vendor", "x")]))
LINK = trace.Link(SpanContext(TRACE_ID, 7, False))

Act = Callable[[trace.Span], object]


class OneId(RandomIdGenerator):
    def generate_span_id(self) -> int:
        return OWN_ID


class Started(SpanProcessor):
    """Sees what processors see when a span begins."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []
        self.ending: list[tuple[str, bool]] = []

    def on_start(self, span: Any, parent_context: otel.Context | None = None) -> None:
        self.seen.append((span.name, span.kind, dict(span.attributes), span.parent, parent_context))
        span.set_attribute("said", "at the start")

    def _on_ending(self, span: Any) -> None:
        self.ending.append((span.name, span.is_recording()))


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


def provider_of(exporter: InMemorySpanExporter, **options: Any) -> TracerProvider:
    resource = Resource({"service.name": "model"})
    provider = TracerProvider(id_generator=OneId(), resource=resource, **options)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


def lean(provider: TracerProvider) -> LeanTracer:
    tracer = tracer_of(provider)
    assert isinstance(tracer, LeanTracer)
    return tracer


def begun_both(lean_tracer: Tracer, sdk: trace.Tracer, kind: SpanKind) -> list[trace.Span]:
    """A lean span and one of the SDK's, begun alike."""
    above = trace.NonRecordingSpan(ABOVE)
    context = trace.set_span_in_context(above, otel.Context())
    if kind is SpanKind.SERVER:
        said: dict[str, Any] = {"url.path": "/predict", "server.port": 80}
        return [
            lean_tracer.begin_server(context, "POST", START_NS, dict(said)),
            sdk.start_span("POST", context, kind, said, start_time=START_NS),
        ]
    said, links = {"tracebench.component": "inference"}, [LINK]
    return [
        lean_tracer.begin_component(above, "inference", START_NS, context, links),
        sdk.start_span("inference", context, kind, said, links, START_NS),
    ]


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


class Choosing(Sampler):
    """Decides in a given way, and adds something of its own."""

    def __init__(self, decision: Decision) -> None:
        self._decision = decision

    def should_sample(self, parent_context: Any, trace_id: int, *args: Any) -> SamplingResult:
        attributes = {**args[2], "sampler.trace": f"{trace_id:x}"}
        return SamplingResult(self._decision, attributes, TraceState([("chosen", "yes")]))

    def get_description(self) -> str:
        return "Choosing"


@pytest.mark.parametrize("decision", Decision)
def test_the_sampler_decides_about_requests(decision: Decision) -> None:
    started = Started()
    provider = TracerProvider(sampler=Choosing(decision), id_generator=OneId())
    provider.add_span_processor(started)
    sdk = provider.get_tracer("server_middleware")
    ours, theirs = begun_both(lean(provider), sdk, SpanKind.SERVER)
    assert ours.is_recording() is theirs.is_recording()
    assert ours.get_span_context() == theirs.get_span_context()
    assert started.seen[:1] == started.seen[1:]


def test_a_request_without_a_trace_begins_one() -> None:
    exporter = InMemorySpanExporter()
    tracer = lean(provider_of(exporter))
    tracer.begin_server(otel.Context(), "POST", START_NS, {}).end(END_NS)
    (span,) = exporter.get_finished_spans()
    assert span.parent is None
    assert span.kind is SpanKind.SERVER


SAMPLED_AND_RANDOM = TraceFlags(0x03)
"""The second flag is younger than the oldest SDK that is supported."""


def test_a_component_has_its_requests_decision() -> None:
    never = StaticSampler(Decision.DROP)
    tracer = lean(provider_of(InMemorySpanExporter(), sampler=never))
    above = trace.NonRecordingSpan(SpanContext(TRACE_ID, PARENT_ID, False, SAMPLED_AND_RANDOM))
    span = tracer.begin_component(above, "inference", START_NS, otel.Context())
    assert span.get_span_context().trace_flags == SAMPLED_AND_RANDOM


class Wrapped(trace.TracerProvider):
    """Somebody else's provider, who has the SDK do the work."""

    def __init__(self, inside: trace.Tracer) -> None:
        self._inside = inside

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        return self._inside


class TheirTracer(trace.Tracer):
    """It notes what it is asked for."""

    def __init__(self, sdk: trace.Tracer) -> None:
        self._sdk = sdk

    def start_span(self, name: str, *args: Any, **kwargs: Any) -> trace.Span:
        return self._sdk.start_span(f"their {name}", *args, **kwargs)

    def start_as_current_span(self, *args: Any, **kwargs: Any) -> Any:
        return self._sdk.start_as_current_span(*args, **kwargs)


def test_other_tracers_make_their_own() -> None:
    exporter = InMemorySpanExporter()
    sdk = provider_of(exporter).get_tracer("theirs")
    tracer = tracer_of(Wrapped(TheirTracer(sdk)))
    assert tracer is not None
    for kind in (SpanKind.SERVER, SpanKind.INTERNAL):
        span, _ = begun_both(tracer, sdk, kind)
        span.end(END_NS)
    server, inner = exporter.get_finished_spans()
    assert (server.name, server.kind) == ("their POST", SpanKind.SERVER)
    assert (inner.name, dict(inner.attributes or {})) == (
        "their inference",
        {"tracebench.component": "inference"},
    )
    assert [server.parent, inner.parent] == [ABOVE, ABOVE]
    assert [link.context for link in inner.links] == [LINK.context]


def test_a_large_batch_has_as_many_links_as_a_span_may_have() -> None:
    exporter = InMemorySpanExporter()
    provider, context, links = provider_of(exporter), otel.Context(), [LINK] * 200
    above = trace.NonRecordingSpan(ABOVE)
    lean(provider).begin_component(above, "inference", START_NS, context, links).end(END_NS)
    (span,) = exporter.get_finished_spans()
    assert (len(span.links), span.dropped_links) == (128, 72)


@pytest.mark.skipif(not hasattr(TracerProvider, "_set_tracer_configurator"), reason="an older SDK")
def test_a_tracer_that_is_switched_off_records_nothing() -> None:
    exporter = InMemorySpanExporter()
    provider = provider_of(exporter)
    tracer = lean(provider)
    provider._set_tracer_configurator(tracer_configurator=sdk_trace._disable_tracer_configurator)
    for span in begun_both(tracer, provider.get_tracer("server_middleware"), SpanKind.SERVER):
        assert not span.is_recording()
    for span in begun_both(tracer, provider.get_tracer("server_middleware"), SpanKind.INTERNAL):
        assert not span.is_recording()


@pytest.mark.parametrize(
    "limits", [{"max_span_attribute_length": 3}, {"max_span_attributes": 5}, {"max_events": -1}]
)
def test_limits_of_ones_own_are_left_to_the_sdks_spans(limits: dict[str, int]) -> None:
    provider = TracerProvider(span_limits=SpanLimits(**limits))
    assert not isinstance(tracer_of(provider), LeanTracer)


def test_metrics_of_the_sdk_itself_are_left_to_its_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED", "true")
    assert not isinstance(tracer_of(TracerProvider()), LeanTracer)


@pytest.mark.parametrize("provider", [trace.ProxyTracerProvider(), trace.NoOpTracerProvider()])
def test_nothing_is_traced_where_nobody_configured_it(provider: trace.TracerProvider) -> None:
    assert tracer_of(provider) is None

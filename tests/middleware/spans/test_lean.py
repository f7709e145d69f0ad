"""Lean spans are begun as the SDK would begin its own, or left to it."""

from typing import Any

import pytest
from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.sdk import trace as sdk_trace
from opentelemetry.sdk.trace import (
    ConcurrentMultiSpanProcessor,
    SpanLimits,
    SynchronousMultiSpanProcessor,
    TracerProvider,
)
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult, StaticSampler
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags, TraceState

from server_middleware.spans.configured_tracer import tracer_of
from server_middleware.spans.lean_tracer import LeanTracer
from tests.middleware.lean import (
    ABOVE,
    END_NS,
    LINK,
    START_NS,
    OneId,
    Started,
    begun_both,
    lean,
    provider_of,
)
from tests.middleware.span_samples import PARENT_ID, TRACE_ID


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


class Redacting(Sampler):
    """Gives other attributes than it was given, and some that are none."""

    def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
        odd: Any = {"kept": [1, 2], "no value": object(), "": "no name"}
        return SamplingResult(Decision.RECORD_AND_SAMPLE, odd)

    def get_description(self) -> str:
        return "Redacting"


def test_a_sampler_says_what_is_known_of_a_request() -> None:
    exporter = InMemorySpanExporter()
    provider = provider_of(exporter, sampler=Redacting())
    for span in begun_both(lean(provider), provider.get_tracer("any"), SpanKind.SERVER):
        span.set_attribute("later", 1)
        span.end(END_NS)
    ours, theirs = exporter.get_finished_spans()
    assert ours.attributes == theirs.attributes
    known = ours.attributes or {}
    assert (known["kept"], known["later"], "url.path" in known) == ((1, 2), 1, False)


@pytest.mark.parametrize("bits", [0x01, 0x05, 0xFF])
def test_flags_that_nobody_knows_are_not_passed_on(bits: int) -> None:
    tracer = lean(provider_of(InMemorySpanExporter()))
    above = trace.NonRecordingSpan(SpanContext(TRACE_ID, PARENT_ID, True, TraceFlags(bits)))
    context = trace.set_span_in_context(above, otel.Context())
    request = tracer.begin_server(context, "POST", START_NS, {})
    for span in (request, tracer.begin_component(above, "inference", START_NS, context)):
        flags = span.get_span_context().trace_flags
        assert (flags, flags.sampled) == (bits & 3, True)


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


def test_processors_of_another_kind_are_left_to_the_sdks_spans() -> None:
    class Own(SynchronousMultiSpanProcessor):
        pass

    provider = TracerProvider(active_span_processor=Own())  # type: ignore[no-untyped-call] # it has no types
    assert not isinstance(tracer_of(provider), LeanTracer)


def test_processors_that_work_at_once_are_left_to_the_sdks_spans() -> None:
    provider = TracerProvider(active_span_processor=ConcurrentMultiSpanProcessor())
    assert not isinstance(tracer_of(provider), LeanTracer)
    provider.shutdown()

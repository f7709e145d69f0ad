"""Begins spans as the SDK exports them, at a lower cost.

`python -m benchmarks.middleware` measures it. They share the sampler, id generator, resource and
span processors of the SDK's tracer. With unusual settings (custom limits, the SDK's internal
metrics), the SDK's own spans are used. This is loaded only if the server traces with the SDK.
"""

from collections.abc import Mapping, MutableMapping, Sequence
from operator import itemgetter
from os import environ
from typing import Final

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SynchronousMultiSpanProcessor
from opentelemetry.sdk.trace import Tracer as SdkTracer
from opentelemetry.sdk.trace.sampling import DEFAULT_ON, Decision
from opentelemetry.sdk.util import BoundedList
from opentelemetry.util.types import AttributeValue

from server_middleware.otel_internals import can_be_lean, enabled, span_in
from server_middleware.spans.api_tracer import Tracer
from server_middleware.spans.lean_span import MOST, LeanServerSpan, LeanSpan, Origin, bounded
from server_middleware.vocabulary import COMPONENT_ATTRIBUTE

_LEAN: Final = frozenset({LeanSpan, LeanServerSpan})


def tracer_for(tracer: trace.Tracer, name: str) -> "LeanTracer | None":
    """A lean tracer with this name; None if a setting requires the SDK's own spans."""
    if type(tracer) is not SdkTracer or not can_be_lean(tracer, ReadableSpan):
        return None
    counted = environ.get("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED", "").lower() == "true"
    processors, usual = tracer.span_processor, _usual(tracer._span_limits)
    if counted or not usual or type(processors) is not SynchronousMultiSpanProcessor:
        return None
    return LeanTracer(tracer, Origin(tracer, name, processors))


def _usual(limits: SpanLimits) -> bool:
    """Whether each limit is the specification's default, with attributes of unlimited length."""
    return all(
        value == (None if name.endswith("_length") else MOST)
        for name, value in vars(limits).items()
    )


class _Sampled(trace.TraceFlags):
    """Flags with a constant `sampled`, which is read for every span that ends."""

    sampled = True


_FLAGS: Final = [(_Sampled if bits & 1 else trace.TraceFlags)(bits) for bits in range(4)]
"""Indexed by the bits that spans inherit from their parents: sampled, and random trace id."""


class _SpanContext(trace.SpanContext):
    """Ids readable without a Python call, as they are read for every span that ends."""

    __slots__ = ()
    trace_id = property(itemgetter(0))
    span_id = property(itemgetter(1))
    trace_flags = property(itemgetter(3))


class LeanTracer(Tracer):
    """Begins spans for an SDK tracer.

    Args:
        tracer: provides the sampler and the id generator.
        origin: provides everything else that the spans share.
    """

    def __init__(self, tracer: SdkTracer, origin: Origin) -> None:
        super().__init__(tracer)
        self._sdk, self._origin = tracer, origin
        self._enabled = enabled(tracer)

    def begin_server(
        self, context: otel.Context, name: str, start_ns: int, attributes: dict[str, AttributeValue]
    ) -> trace.Span:
        """Begin the span of a request; without a caller's span it is the SDK's own."""
        sampler = self._sdk.sampler
        known: MutableMapping[str, AttributeValue] = attributes
        above = span_in(context).get_span_context()
        trace_id, _, _, flags, state, valid = above
        if not valid or not self._enabled():
            return super().begin_server(context, name, start_ns, attributes)
        span_id = self._sdk.id_generator.generate_span_id()
        if sampler is not DEFAULT_ON or not flags & 1:
            kind = trace.SpanKind.SERVER
            chosen = sampler.should_sample(context, trace_id, name, kind, attributes, ())
            flags = _FLAGS[flags & 2 | (chosen.decision is Decision.RECORD_AND_SAMPLE)]
            own = _SpanContext(trace_id, span_id, False, flags, chosen.trace_state)
            if chosen.decision is Decision.DROP:
                return trace.NonRecordingSpan(own)
            if chosen.attributes != attributes:
                known = bounded(chosen.attributes, immutable=False)
        else:
            told = (trace_id, span_id, False, _FLAGS[flags & 3], state, True)
            own = tuple.__new__(_SpanContext, told)
        return LeanServerSpan(self._origin, own, above, name, start_ns, known, context)

    def begin_component(
        self,
        parent: trace.Span,
        name: str,
        start_ns: int,
        context: otel.Context,
        links: Sequence[trace.Link] = (),
    ) -> trace.Span:
        """Begin the span of a component; it inherits the sampling decision of its parent."""
        if type(parent) in _LEAN:
            above = parent._context  # type: ignore[attr-defined] # saves a call
            trace_id, _, _, flags, state, valid = above
        else:
            above = parent.get_span_context()
            trace_id, _, _, flags, state, valid = above
            if not self._enabled():
                return super().begin_component(parent, name, start_ns, context, links)
            flags = _FLAGS[flags & 3]
        span_id = self._sdk.id_generator.generate_span_id()
        own = tuple.__new__(_SpanContext, (trace_id, span_id, False, flags, state, valid))
        if links:
            context = trace.set_span_in_context(parent, context)
            links = BoundedList.from_seq(MOST, links)
        known: dict[str, AttributeValue] = {COMPONENT_ATTRIBUTE: name}
        return LeanSpan(self._origin, own, above, name, start_ns, known, context, links)

    def describe(self, span: trace.Span, attributes: Mapping[str, AttributeValue]) -> None:
        """Add attributes that have become known to a request's span."""
        if type(span) is LeanServerSpan and span._end_time is None:
            span.add(attributes)
        else:
            span.set_attributes(attributes)

"""One request that asked for its timings: its caller, its recorder, and its server span."""

import re
from collections.abc import Mapping
from functools import lru_cache
from threading import Lock
from typing import Any, Final, TypeAlias

from opentelemetry import context as otel
from opentelemetry import propagate, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from server_middleware.components.running import mark
from server_middleware.context.outside_requests import ran_outside_since, strays
from server_middleware.context.scope import Entered, Scope
from server_middleware.harmless import complain
from server_middleware.mirror import headers
from server_middleware.otel_internals import (
    get_context,
    propagators_in,
    span_context,
    span_in,
    with_span,
)
from server_middleware.recording.recorder import RequestRecorder
from server_middleware.recording.stream import Stream, Unit
from server_middleware.spans.configured_tracer import tracer
from server_middleware.vocabulary import QUEUE, TRACEPARENT

# Whether a request asks for its timings.

_SAMPLED = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f][13579bdf](?:-.*)?")


def sampled(traceparent: str) -> bool:
    """Whether a W3C `traceparent` has its sampled flag set."""
    return _SAMPLED.fullmatch(traceparent.strip()) is not None


# The caller's span, extracted from a request by OpenTelemetry's propagators.

_DEFAULT: Final = [TraceContextTextMapPropagator, W3CBaggagePropagator]
_PLAIN: Final = re.compile("00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
_FLAGS: Final = [trace.TraceFlags(bits) for bits in range(256)]  # built once, not per request
_NO_STATE: Final = trace.INVALID_SPAN_CONTEXT.trace_state


def extract(carrier: Any, around: otel.Context, getter: Getter[Any]) -> otel.Context:
    """The context that the propagators extract from a carrier.

    Fast path: with OpenTelemetry's default propagators and only a `traceparent` of the current
    version, as in most requests, it is parsed here at a third of their cost.

    Args:
        carrier: holds the caller's context.
        around: the context to extend.
        getter: reads the carrier.
    """
    propagators = propagate.get_global_textmap()
    if type(propagators) is CompositePropagator and _are_default(propagators):
        given = getter.get(carrier, TRACEPARENT)
        found = _PLAIN.fullmatch(given[0]) if given else None
        if found and not getter.get(carrier, "tracestate") and not getter.get(carrier, "baggage"):
            trace_id, span_id, flags = found.groups()
            ids = int(trace_id, 16), int(span_id, 16)
            above = span_context((*ids, True, _FLAGS[int(flags, 16)], _NO_STATE, True))
            return with_span(trace.NonRecordingSpan(above), around)
    return propagators.extract(carrier, around, getter)


@lru_cache(maxsize=1)
def _are_default(propagators: CompositePropagator) -> bool:
    return [type(one) for one in propagators_in(propagators)] == _DEFAULT


# One request that asked for its timings: its recorder, and its server span if there is one.

Attributes: TypeAlias = dict[str, AttributeValue]


class Request(Scope):
    """What an adapter keeps for one request; its span is its own server span, if it made one.

    The adapter runs code between `enter` and its `leave` or `pause`, and signals with `handed_over`
    that the reply has been handed over, and with `finish` that the request has ended.
    """

    __slots__ = (
        "_end_ns",
        "_known",
        "_once",
        "_others_span",
        "_strays_before",
        "finished",
        "stream",
    )

    recorder: RequestRecorder

    def __init__(self, recorder: RequestRecorder) -> None:
        super().__init__(recorder, tracer())
        self._end_ns = 0
        self._known: trace.SpanContext | None = None
        self._others_span: trace.Span | None = None
        self._once = Lock()
        self._strays_before = strays.count
        self.finished = False
        self.stream: Stream | None = None
        """The stamps of the reply, if it streams."""

    def trace(self, name: str, attributes: Attributes, carrier: Any, getter: Getter[Any]) -> None:
        """Begin a server span, unless there already is one, or tracing is not configured.

        A known wait for a worker becomes a child span.

        Args:
            name: the name of the span.
            attributes: what is known when the request begins: samplers may use it.
            carrier: holds the caller's context, which the propagators extract.
            getter: reads the carrier.
        """
        around = get_context()
        if around and (others := span_in(around)).is_recording():
            self._others_span = others
            return
        if self.tracer is None:
            return
        context = extract(carrier, around, getter)
        self.span = self.tracer.begin_server(context, name, self.recorder.began_ns, attributes)
        self.context = with_span(self.span, context)
        if (queued_until_ns := self.recorder.queued_until_ns) and self.span.is_recording():
            began_ns = self.recorder.began_ns
            waiting = self.tracer.begin_component(self.span, QUEUE, began_ns, self.context)
            waiting.end(queued_until_ns)

    def let_go(self) -> None:
        """Detach it, in a forked child: only the parent process sends its reply."""
        super().let_go()
        self.recorder = RequestRecorder()
        self.over()
        self.finished = True
        self._once.acquire(False)

    def enter(self) -> Entered:
        """Make this request, and its span, current."""
        return Entered(self, self.context)

    def mirrored(self) -> list[tuple[str, str]]:
        """The headers that mirror the timings so far."""
        span = self.span or trace.get_current_span()
        ran_outside = ran_outside_since(self._strays_before, span)
        return headers(*self.recorder.report(), span, ran_outside, self._known)

    def begin_stream(self, unit: Unit) -> Stream:
        """The reply turns out to stream: stamp it from now on."""
        self.stream = stream = Stream(self.recorder, unit)
        return stream

    def end_stream(self) -> None:
        """Add the stamps of a stream to a server span made by others, which ends with the stream.

        The request's own span gets them when it ends, which delays nothing.
        """
        if self.stream is not None and self.span is None and self._others_span is not None:
            self.stream.add_to(self._others_span)

    def look_around(self) -> None:
        """Remember a span made by others, which may have ended when the mirror is written."""
        if self.span is None and (span := trace.get_current_span()).is_recording():
            self._known = span.get_span_context()

    def over(self) -> None:
        """The app has returned: code still running in the request's context no longer counts."""
        self.recorder.over = True

    def handed_over(self) -> None:
        """The end of the reply is about to be sent: the server span ends now; only once."""
        self._end_ns = self._end_ns or self.recorder.now_ns()

    def finish(
        self,
        attributes: Mapping[str, AttributeValue],
        *,
        name: str | None = None,
        failed: str | None = None,
        error: BaseException | None = None,
    ) -> None:
        """End the server span; only the first call counts.

        Args:
            attributes: what has become known since the request began.
            name: a better name for the span.
            failed: the type of an error that is the server's fault.
            error: the exception that caused it.
        """
        if not self._once.acquire(False):
            return
        self.finished = True
        span, end_ns = self.span, self._end_ns or self.recorder.now_ns()
        if span is None or self.tracer is None:
            self.end_stream()
            return
        if self.stream is not None:
            self.stream.add_to(span)
        try:
            self.tracer.describe(span, attributes)
            ran_outside_since(self._strays_before, span)
            if name is not None:
                span.update_name(name)
            if failed is not None:
                span.set_attribute("error.type", failed)
                span.set_status(trace.StatusCode.ERROR)
            if error is not None:
                mark(span, error)
        except Exception:
            complain("describing a request's span")
        try:
            span.end(end_ns)
        except Exception:
            complain("ending a request's span")

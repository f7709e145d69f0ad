"""Spans as the SDK exports them, at less than its own cost (`python -m benchmarks.middleware`).

They are the SDK's `ReadableSpan`s, and share the sampler, id generator, resource and span
processors of its tracer. What is spared is generality that requests and components have no use for:
locks, attributes that are checked one by one though the middleware made them, copies. Where more is
asked for than that (limits of one's own, the SDK's metrics of itself), its own spans are made.
This is loaded only where the SDK is what the server traces with.
"""

import traceback
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from operator import attrgetter, itemgetter
from os import environ
from time import time_ns
from typing import Final

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import (
    Event,
    ReadableSpan,
    SpanLimits,
    SpanProcessor,
    SynchronousMultiSpanProcessor,
)
from opentelemetry.sdk.trace import Tracer as SdkTracer
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.sampling import DEFAULT_ON, Decision
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.util.types import Attributes, AttributeValue

from server_middleware.tracer import Tracer
from tracebench.vocabulary import COMPONENT_ATTRIBUTE

_MOST: Final = 128
"""Attributes, events and links of a span: the specification's default."""
_FEW: Final = 32
"""So many attributes no container need watch, until they become more."""
_IDLE: Final = {
    getattr(kind, hook, None)
    for kind in (SpanProcessor, BatchSpanProcessor, SimpleSpanProcessor)
    for hook in ("on_start", "_on_ending")
}
"""Hooks of the SDK's processors that do nothing: they look at spans that have ended."""

_SERVER: Final = trace.SpanKind.SERVER
_INTERNAL: Final = trace.SpanKind.INTERNAL
_PLAIN: Final = frozenset({bool, float, int, str})


def tracer_for(tracer: trace.Tracer, name: str) -> "LeanTracer | None":
    """Lean spans for a tracer of this name, unless something is set that only the SDK's obey."""
    if type(tracer) is not SdkTracer or not _usual(getattr(tracer, "_span_limits", None)):
        return None
    counted = environ.get("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED", "").lower() == "true"
    processors = tracer.span_processor
    if counted or not isinstance(processors, SynchronousMultiSpanProcessor):
        return None
    return LeanTracer(tracer, name, processors)


def _usual(limits: SpanLimits | None) -> bool:
    """Whether each limit is the specification's default: attributes of any length are its."""
    if limits is None:
        return False
    return all(
        value == (None if name.endswith("_length") else _MOST)
        for name, value in vars(limits).items()
    )


class _SpanContext(trace.SpanContext):
    """Ids whose flags are read for every span that ends, and so without a call of Python."""

    __slots__ = ()
    trace_flags = property(itemgetter(3))


class LeanTracer(Tracer):
    """Begins spans for an SDK tracer.

    Args:
        tracer: whose sampler, ids, resource and processors they share.
        name: the tracer's.
        processors: the tracer's.
    """

    def __init__(
        self, tracer: SdkTracer, name: str, processors: SynchronousMultiSpanProcessor
    ) -> None:
        super().__init__(tracer)
        self.sdk = tracer
        self.scope = InstrumentationScope(name, "")
        self.processors = processors
        self.hooks = _Hooks(processors)
        self._enabled: Callable[[], bool] = getattr(tracer, "_is_enabled", lambda: True)

    def begin_server(
        self, context: otel.Context, name: str, start_ns: int, attributes: dict[str, AttributeValue]
    ) -> trace.Span:
        """Begin the span of a request; one that has no caller's above it is the SDK's own."""
        kind, sampler = _SERVER, self.sdk.sampler
        above = trace.get_current_span(context).get_span_context()
        trace_id, _, _, flags, state, valid = above
        if not valid or not self._enabled():
            return super().begin_server(context, name, start_ns, attributes)
        span_id = self.sdk.id_generator.generate_span_id()
        if sampler is not DEFAULT_ON or not flags.sampled:
            chosen = sampler.should_sample(context, trace_id, name, kind, attributes, ())
            if flags.sampled != (chosen.decision is Decision.RECORD_AND_SAMPLE):
                flags = trace.TraceFlags(flags ^ trace.TraceFlags.SAMPLED)
            own = _SpanContext(trace_id, span_id, False, flags, chosen.trace_state)
            if chosen.decision is Decision.DROP:
                return trace.NonRecordingSpan(own)
            attributes.update(chosen.attributes)
        else:
            own = tuple.__new__(_SpanContext, (trace_id, span_id, False, flags, state, True))
        return LeanSpan(self, own, above, name, start_ns, attributes, kind, (), context)

    def begin_component(
        self,
        parent: trace.Span,
        name: str,
        start_ns: int,
        context: otel.Context,
        links: Sequence[trace.Link] = (),
    ) -> trace.Span:
        """Begin the span of a component; the sampling decision is that of the one around it."""
        if type(parent) is not LeanSpan and not self._enabled():
            return super().begin_component(parent, name, start_ns, context, links)
        above = parent.get_span_context()
        trace_id, _, _, flags, state, valid = above
        span_id = self.sdk.id_generator.generate_span_id()
        own = tuple.__new__(_SpanContext, (trace_id, span_id, False, flags, state, valid))
        if links:
            context = trace.set_span_in_context(parent, context)
            links = BoundedList.from_seq(_MOST, links)
        known: dict[str, AttributeValue] = {COMPONENT_ATTRIBUTE: name}
        return LeanSpan(self, own, above, name, start_ns, known, _INTERNAL, links, context)

    def describe(self, span: trace.Span, attributes: Mapping[str, AttributeValue]) -> None:
        """Add what has become known of a request to its span."""
        if type(span) is LeanSpan and type(span._attributes) is dict and span._end_time is None:
            span._attributes.update(attributes)
        else:
            span.set_attributes(attributes)


class _Hooks:
    """What span processors do when a span begins, before it ends, and then: mostly the last only.

    Args:
        processors: of a tracer; others may be added to them later.
    """

    def __init__(self, processors: SynchronousMultiSpanProcessor) -> None:
        self._all = processors
        self.seen: tuple[SpanProcessor, ...] = ()
        """The processors that the hooks are of."""
        self.starting: list[Callable[..., None]] = []
        self.ending: list[Callable[..., None]] = []
        self.ended: list[Callable[..., None]] = []

    def look(self) -> None:
        """Look again: there are other processors."""
        seen = self._all._span_processors
        self.starting = _busy(seen, "on_start")
        self.ending = _busy(seen, "_on_ending")
        self.ended = _busy(seen, "on_end")
        self.seen = seen


def _busy(processors: Sequence[SpanProcessor], hook: str) -> list[Callable[..., None]]:
    found = [one for one in processors if getattr(type(one), hook, None) not in _IDLE]
    return [getattr(one, hook) for one in found]


class LeanSpan(ReadableSpan, trace.Span):
    """A span that begins when it is made; the processors are given it then, and when it ends."""

    _attributes: MutableMapping[str, AttributeValue]
    _events: Sequence[Event] = ()
    _instrumentation_info = None
    _status = trace.Status()
    context = property(attrgetter("_context"))

    def __init__(  # what the SDK's does, at a third of the price
        self,
        tracer: LeanTracer,
        context: trace.SpanContext,
        parent: trace.SpanContext,
        name: str,
        start_ns: int,
        attributes: dict[str, AttributeValue],
        kind: trace.SpanKind,
        links: Sequence[trace.Link],
        parent_context: otel.Context,
    ) -> None:
        self._tracer = tracer
        self._context = context
        self._parent = parent
        self._name = name
        self._start_time = start_ns
        self._end_time = None
        self._attributes = attributes
        self._kind = kind
        self._links = links
        self._resource = tracer.sdk.resource
        self._instrumentation_scope = tracer.scope
        hooks = tracer.hooks
        if tracer.processors._span_processors is not hooks.seen:
            hooks.look()
        for start in hooks.starting:
            start(self, parent_context)

    def get_span_context(self) -> trace.SpanContext:
        """Return its ids."""
        assert self._context is not None
        return self._context

    def is_recording(self) -> bool:
        """Whether it has not ended yet."""
        return self._end_time is None

    def end(self, end_time: int | None = None) -> None:
        """End it, once, at a time in ns since the epoch, or now."""
        if self._end_time is None:
            self._end_time = time_ns() if end_time is None else end_time
            hooks = self._tracer.hooks
            for call in hooks.ending:
                call(self)
            for call in hooks.ended:
                call(self)

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        """Set one attribute."""
        self.set_attributes({key: value})

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Set attributes; the SDK's container judges those that are not obviously plain."""
        if self._end_time is not None:
            return
        known = self._attributes
        if type(known) is dict:
            plain = len(known) + len(attributes) <= _FEW
            for name, value in attributes.items():
                plain &= type(name) is str and name != "" and type(value) in _PLAIN
            if not plain:
                self._attributes = known = _bounded(known, immutable=False)
        known.update(attributes)

    def add_event(
        self, name: str, attributes: Attributes = None, timestamp: int | None = None
    ) -> None:
        """Note that something happened, at a time in ns since the epoch, or now."""
        if self._end_time is not None:
            return
        if not isinstance(self._events, BoundedList):
            self._events = BoundedList(_MOST)
        self._events.append(Event(name, _bounded(attributes), timestamp))

    def add_link(self, context: trace.SpanContext, attributes: Attributes = None) -> None:
        """Name another span that it works for."""
        if self._end_time is not None:
            return
        if not isinstance(self._links, BoundedList):
            self._links = BoundedList.from_seq(_MOST, self._links)
        self._links.append(trace.Link(context, _bounded(attributes)))

    def update_name(self, name: str) -> None:
        """Rename the span."""
        if self._end_time is None:
            self._name = name

    def set_status(
        self, status: trace.Status | trace.StatusCode, description: str | None = None
    ) -> None:
        """Say how it went; OK is final, and UNSET says nothing."""
        if not isinstance(status, trace.Status):
            status = trace.Status(status, description)
        final = self._status.status_code is trace.StatusCode.OK
        if self._end_time is None and not final and not status.is_unset:
            self._status = status

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Note an exception, as the semantic conventions spell it."""
        kind = type(exception)
        known = {
            "exception.type": f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins."),
            "exception.message": str(exception),
            "exception.stacktrace": "".join(traceback.format_exception(exception)),
            "exception.escaped": str(escaped),
        }
        self.add_event("exception", {**known, **(attributes or {})}, timestamp)


def _bounded(attributes: Attributes, *, immutable: bool = True) -> BoundedAttributes:
    return BoundedAttributes(_MOST, attributes, immutable)

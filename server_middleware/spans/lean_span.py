"""Spans as the SDK exports them.

They are the SDK's `ReadableSpan`s, without generality that requests and components do not need: a
lock per span, copies, and checks of every attribute even though the middleware made it.
"""

import traceback
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from operator import attrgetter
from threading import Lock
from time import time_ns
from typing import Final

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import (
    Event,
    ReadableSpan,
    SpanProcessor,
    SynchronousMultiSpanProcessor,
    Tracer,
)
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.util.types import Attributes, AttributeValue

MOST: Final = 128
"""Attributes, events and links of a span: the specification's default."""
_FEW: Final = 32
"""Up to this many attributes are kept in a plain dict, without the SDK's container."""
_IDLE: Final = {
    getattr(kind, hook, None)
    for kind in (SpanProcessor, BatchSpanProcessor, SimpleSpanProcessor)
    for hook in ("on_start", "_on_ending")
}
"""Hooks of the SDK's processors that do nothing, as those handle only ended spans."""
_PLAIN: Final = frozenset({bool, float, int, str})


class Origin:
    """What the spans of one tracer share: the resource, and the hooks for their start and end.

    Args:
        tracer: the SDK's.
        name: the tracer's.
        processors: the tracer's; others may be added to them later.
    """

    def __init__(
        self, tracer: Tracer, name: str, processors: SynchronousMultiSpanProcessor
    ) -> None:
        self.tracer = tracer
        self.scope = InstrumentationScope(name, "")
        self.processors = processors
        self.lock = Lock()
        """Guards the replacement of attributes: several threads may work for one request."""
        self.seen: tuple[SpanProcessor, ...] = ()
        """The processors at the last check."""
        self.at_start: list[Callable[..., None]] = []
        """Their hooks for the start of a span: usually none."""
        self.at_end: list[Callable[..., None]] = []

    def look(self) -> None:
        """Update the hooks: the processors have changed."""
        seen = self.processors._span_processors
        self.at_start = _busy(seen, "on_start")
        self.at_end = [*_busy(seen, "_on_ending"), *_busy(seen, "on_end")]
        self.seen = seen


def _busy(processors: Sequence[SpanProcessor], hook: str) -> list[Callable[..., None]]:
    found = [one for one in processors if getattr(type(one), hook, None) not in _IDLE]
    return [getattr(one, hook) for one in found]


class LeanSpan(ReadableSpan, trace.Span):
    """A span that begins when created; the processors are called then, and when it ends."""

    _attributes: MutableMapping[str, AttributeValue]
    _events: Sequence[Event] = ()
    _instrumentation_info = None
    _kind = trace.SpanKind.INTERNAL
    _status = trace.Status()
    context = property(attrgetter("_context"))
    instrumentation_scope = property(attrgetter("_origin.scope"))
    resource = property(attrgetter("_origin.tracer.resource"))

    def __init__(  # a third of the cost of the SDK's
        self,
        origin: Origin,
        context: trace.SpanContext,
        parent: trace.SpanContext,
        name: str,
        start_ns: int,
        attributes: MutableMapping[str, AttributeValue],
        parent_context: otel.Context,
        links: Sequence[trace.Link] = (),
    ) -> None:
        self._origin = origin
        self._context = context
        self._parent = parent
        self._name = name
        self._start_time = start_ns
        self._end_time = None
        self._attributes = attributes
        self._links = links
        if origin.processors._span_processors is not origin.seen:
            origin.look()
        for start in origin.at_start:
            start(self, parent_context)

    def get_span_context(self) -> trace.SpanContext:
        """Return its ids."""
        assert self._context is not None
        return self._context

    def is_recording(self) -> bool:
        """Whether it has not ended yet."""
        return self._end_time is None

    def end(self, end_time: int | None = None) -> None:
        """End it, once, at a time in ns since the epoch; None: now."""
        if self._end_time is None:
            self._end_time = time_ns() if end_time is None else end_time
            for call in self._origin.at_end:
                call(self)

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        """Set one attribute."""
        self.set_attributes({key: value})

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Set attributes; the SDK's container checks them if they are not obviously plain."""
        if self._end_time is not None:
            return
        plain = len(self._attributes) + len(attributes) <= _FEW
        for name, value in attributes.items():
            plain &= type(name) is str and name != "" and type(value) in _PLAIN
        if not plain:
            self._have_judged()
        self.add(attributes)

    def add(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Set attributes that are few and plain, or checked by the container; thread-safe."""
        known = self._attributes
        known.update(attributes)
        if self._attributes is not known:  # replaced meanwhile
            self._attributes.update(attributes)

    def _have_judged(self) -> None:
        with self._origin.lock:
            known = self._attributes
            if type(known) is dict:
                self._attributes = judged = bounded(known.copy(), immutable=False)
                judged.update(known)  # other threads may have set some meanwhile

    def add_event(
        self, name: str, attributes: Attributes = None, timestamp: int | None = None
    ) -> None:
        """Add an event, at a time in ns since the epoch; None: now."""
        if self._end_time is not None:
            return
        if not isinstance(self._events, BoundedList):
            self._events = BoundedList(MOST)
        self._events.append(Event(name, bounded(attributes), timestamp))

    def add_link(self, context: trace.SpanContext, attributes: Attributes = None) -> None:
        """Link another span that it works for."""
        if self._end_time is not None:
            return
        if not isinstance(self._links, BoundedList):
            self._links = BoundedList.from_seq(MOST, self._links)
        self._links.append(trace.Link(context, bounded(attributes)))

    def update_name(self, name: str) -> None:
        """Rename the span."""
        if self._end_time is None:
            self._name = name

    def set_status(
        self, status: trace.Status | trace.StatusCode, description: str | None = None
    ) -> None:
        """Set the status; OK is final, and UNSET is ignored."""
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
        """Record an exception, following the semantic conventions."""
        kind = type(exception)
        known = {
            "exception.type": f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins."),
            "exception.message": str(exception),
            "exception.stacktrace": "".join(traceback.format_exception(exception)),
            "exception.escaped": str(escaped),
        }
        self.add_event("exception", {**known, **(attributes or {})}, timestamp)


class LeanServerSpan(LeanSpan):
    """The span of a request."""

    _kind = trace.SpanKind.SERVER


def bounded(attributes: Attributes, *, immutable: bool = True) -> BoundedAttributes:
    """Attributes in the SDK's container: checked, and limited in number."""
    return BoundedAttributes(MOST, attributes, immutable)

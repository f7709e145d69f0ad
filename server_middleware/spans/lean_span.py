"""Spans as the SDK exports them.

They are the SDK's `ReadableSpan`s. What is spared is generality that requests and components have
no use for: a lock for each, attributes that are checked one by one though the middleware made them,
copies.
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
"""So many attributes no container need watch, until they become more."""
_IDLE: Final = {
    getattr(kind, hook, None)
    for kind in (SpanProcessor, BatchSpanProcessor, SimpleSpanProcessor)
    for hook in ("on_start", "_on_ending")
}
"""Hooks of the SDK's processors that do nothing: they look at spans that have ended."""
_PLAIN: Final = frozenset({bool, float, int, str})


class Origin:
    """What the spans of one tracer share: the resource, and what happens as they begin and end.

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
        """Around what replaces attributes: several threads may work for one request."""
        self.seen: tuple[SpanProcessor, ...] = ()
        """The processors that were there at the last look."""
        self.at_start: list[Callable[..., None]] = []
        """What they do when a span begins: mostly nothing."""
        self.at_end: list[Callable[..., None]] = []

    def look(self) -> None:
        """Look at the processors again: they have changed."""
        seen = self.processors._span_processors
        self.at_start = _busy(seen, "on_start")
        self.at_end = [*_busy(seen, "_on_ending"), *_busy(seen, "on_end")]
        self.seen = seen


def _busy(processors: Sequence[SpanProcessor], hook: str) -> list[Callable[..., None]]:
    found = [one for one in processors if getattr(type(one), hook, None) not in _IDLE]
    return [getattr(one, hook) for one in found]


class LeanSpan(ReadableSpan, trace.Span):
    """A span that begins when it is made; the processors are given it then, and when it ends."""

    _attributes: MutableMapping[str, AttributeValue]
    _events: Sequence[Event] = ()
    _instrumentation_info = None
    _kind = trace.SpanKind.INTERNAL
    _status = trace.Status()
    context = property(attrgetter("_context"))
    instrumentation_scope = property(attrgetter("_origin.scope"))
    resource = property(attrgetter("_origin.tracer.resource"))

    def __init__(  # what the SDK's does, at a third of the price
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
        """End it, once, at a time in ns since the epoch, or now."""
        if self._end_time is None:
            self._end_time = time_ns() if end_time is None else end_time
            for call in self._origin.at_end:
                call(self)

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        """Set one attribute."""
        self.set_attributes({key: value})

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Set attributes; the SDK's container judges those that are not obviously plain."""
        if self._end_time is not None:
            return
        plain = len(self._attributes) + len(attributes) <= _FEW
        for name, value in attributes.items():
            plain &= type(name) is str and name != "" and type(value) in _PLAIN
        if not plain:
            self._have_judged()
        self.add(attributes)

    def add(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Set attributes that are few and plain, or are judged now; safe in several threads."""
        known = self._attributes
        known.update(attributes)
        if self._attributes is not known:  # it was replaced meanwhile
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
        """Note that something happened, at a time in ns since the epoch, or now."""
        if self._end_time is not None:
            return
        if not isinstance(self._events, BoundedList):
            self._events = BoundedList(MOST)
        self._events.append(Event(name, bounded(attributes), timestamp))

    def add_link(self, context: trace.SpanContext, attributes: Attributes = None) -> None:
        """Name another span that it works for."""
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


class LeanServerSpan(LeanSpan):
    """The span of a request."""

    _kind = trace.SpanKind.SERVER


def bounded(attributes: Attributes, *, immutable: bool = True) -> BoundedAttributes:
    """Attributes as the SDK keeps them: checked, and no more than a span may have."""
    return BoundedAttributes(MOST, attributes, immutable)

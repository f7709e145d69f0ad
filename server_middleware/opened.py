"""A component under way: in the recorders of its requests, and as a span."""

from collections.abc import Iterable

from opentelemetry import trace

from server_middleware.harmless import harmless
from server_middleware.scope import Entered, Handle, Scope
from tracebench.vocabulary import COMPONENT_ATTRIBUTE

_tracer = trace.get_tracer("server_middleware")


class Opened:
    """One use of a component; it is made where the component begins.

    The stamps of the recorder are the span's as well, so that mirror and spans tell the same.

    Args:
        name: of the component.
        scope: what it works for; None where only a span is wanted.
        parent: the span to be its parent; no span is made unless that one is recorded.
        links: spans of the other requests that it works for.
    """

    __slots__ = ("_entered", "_parts", "_span", "scope")

    def __init__(
        self,
        name: str,
        scope: Scope | None,
        parent: trace.Span,
        links: Iterable[trace.SpanContext] = (),
    ) -> None:
        members = scope.members if scope else ()
        self._parts = [(recorder, recorder.enter(name, depth)) for recorder, depth in members]
        self._span = (
            _start(name, self._epoch_ns(), parent, links) if parent.is_recording() else None
        )
        context = trace.set_span_in_context(self._span) if self._span is not None else None
        self.scope = Scope(tuple([(one, depth + 1) for one, depth in members])) if scope else None
        self._entered = Entered(self.scope, context)

    def close(self, error: BaseException | None) -> None:
        """End it; an error marks the span."""
        end_ns = None
        for recorder, part in self._parts:
            left_ns = recorder.epoch_ns(recorder.leave(part))
            end_ns = end_ns or left_ns
        self._entered.leave()
        if self._span is not None:
            _end(self._span, end_ns, error)

    def _epoch_ns(self) -> int | None:
        if not self._parts:
            return None
        recorder, part = self._parts[0]
        return recorder.epoch_ns(part.start_ns)


def for_many(name: str, handles: list[Handle]) -> Opened:
    """Open a component that works for many requests at once.

    Its span is a child of the first traced one, so that it shares that one's sampling decision,
    and is linked to all of them.
    """
    spans = [handle.span for handle in handles if handle.span.is_recording()]
    scope = Scope(tuple(member for handle in handles for member in handle.scope.members))
    parent = spans[0] if spans else trace.INVALID_SPAN
    return Opened(name, scope, parent, [span.get_span_context() for span in spans])


@harmless
def _start(
    name: str, start_ns: int | None, parent: trace.Span, links: Iterable[trace.SpanContext]
) -> trace.Span:
    return _tracer.start_span(
        name,
        trace.set_span_in_context(parent),
        attributes={COMPONENT_ATTRIBUTE: name},
        links=[trace.Link(context) for context in links],
        start_time=start_ns,
    )


@harmless
def _end(span: trace.Span, end_ns: int | None, error: BaseException | None) -> None:
    if error is not None:
        mark(span, error)
    span.end(end_ns)


def mark(span: trace.Span, error: BaseException) -> None:
    """Note an exception on a span, in the way of OpenTelemetry's own context managers."""
    if isinstance(error, Exception):
        span.record_exception(error)
        span.set_status(trace.StatusCode.ERROR, f"{type(error).__name__}: {error}")

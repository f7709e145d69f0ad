"""A component under way: in the recorders of its requests, and as a span."""

from collections.abc import Sequence

from opentelemetry import context as otel
from opentelemetry import trace

from server_middleware.harmless import harmless
from server_middleware.scope import Entered, Handle, Scope
from tracebench.vocabulary import COMPONENT_ATTRIBUTE

_tracer = trace.get_tracer("server_middleware")


class Opened:
    """One use of a component; it is made where the component begins.

    The stamps of the recorder are the span's as well, so that mirror and spans tell the same.

    Args:
        scope: the component's own.
        traced: a span is wanted.
        parent: of the span, if not the current one.
        links: of the span.
    """

    __slots__ = ("_entered", "_span", "scope")

    def __init__(
        self,
        scope: Scope,
        traced: bool,
        parent: otel.Context | None = None,
        links: Sequence[trace.Link] = (),
    ) -> None:
        self.scope = scope
        self._span: trace.Span | None = None
        context = began_ns = None
        for recorder in scope.recorders:
            began_ns = recorder.enter(scope) + recorder.to_epoch_ns
        if traced:
            self._span = _start(scope.name, began_ns, parent, links)
            context = trace.set_span_in_context(self._span, parent) if self._span else None
        self._entered = Entered(scope, context)

    def close(self, error: BaseException | None) -> None:
        """End it; an error marks the span."""
        ended_ns = None
        for recorder in self.scope.recorders:
            ended_ns = recorder.leave(self.scope) + recorder.to_epoch_ns
        self._entered.leave()
        if self._span is not None:
            _end(self._span, ended_ns, error)


def for_many(name: str, handles: Sequence[Handle]) -> Opened:
    """Open a component that works for many requests at once.

    Its span is a child of the first traced one, so that it shares that one's sampling decision,
    and is linked to all of them.

    Args:
        name: of the component.
        handles: at least one.
    """
    recorders = tuple({recorder for handle in handles for recorder in handle.scope.recorders})
    scope = Scope(recorders, max(handle.scope.depth for handle in handles) + 1, name)
    spans = [handle.span for handle in handles if handle.span.is_recording()]
    if not spans:
        return Opened(scope, traced=False)
    links = [trace.Link(span.get_span_context()) for span in spans]
    return Opened(scope, True, trace.set_span_in_context(spans[0]), links)


@harmless
def _start(
    name: str, began_ns: int | None, parent: otel.Context | None, links: Sequence[trace.Link]
) -> trace.Span:
    return _tracer.start_span(
        name, parent, attributes={COMPONENT_ATTRIBUTE: name}, links=links, start_time=began_ns
    )


@harmless
def _end(span: trace.Span, ended_ns: int | None, error: BaseException | None) -> None:
    if error is not None:
        mark(span, error)
    span.end(ended_ns)


def mark(span: trace.Span, error: BaseException) -> None:
    """Note an exception on a span, in the way of OpenTelemetry's own context managers."""
    if isinstance(error, Exception):
        span.record_exception(error)
        span.set_status(trace.StatusCode.ERROR, f"{type(error).__name__}: {error}")

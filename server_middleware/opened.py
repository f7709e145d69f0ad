"""A component under way: in the recorders of its requests, and as a span."""

from collections.abc import Sequence
from time import time_ns

from opentelemetry import trace

from server_middleware.harmless import harmless
from server_middleware.recorder import Recorder
from server_middleware.scope import Entered, Handle, Scope
from server_middleware.spans import tracer_of


class Opened(Scope):
    """One use of a component, made where it begins: what runs in it is worked for as this scope.

    The stamps of the recorder are the span's as well, so that mirror and spans tell the same.

    Args:
        recorders: of the requests that it works for.
        depth: so many components are around it.
        name: of the component.
        parent: the recorded span around it; None where no span is wanted.
        links: of the span.
    """

    __slots__ = ("_entered", "_span")

    def __init__(
        self,
        recorders: tuple[Recorder, ...],
        depth: int,
        name: str,
        parent: trace.Span | None,
        links: Sequence[trace.Link] = (),
    ) -> None:
        super().__init__(recorders, depth, name)
        self._span: trace.Span | None = None
        context = began_ns = None
        for recorder in recorders:
            began_ns = recorder.enter(self) + recorder.to_epoch_ns
        if parent is not None:
            self._span = _begin(parent, name, began_ns or time_ns(), links)
            context = trace.set_span_in_context(self._span) if self._span else None
        self._entered = Entered(self, context)

    def close(self, error: BaseException | None) -> None:
        """End it; an error marks the span."""
        ended_ns = None
        for recorder in self.recorders:
            ended_ns = recorder.leave(self) + recorder.to_epoch_ns
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
    depth = max(handle.scope.depth for handle in handles)
    spans = [handle.span for handle in handles if handle.span.is_recording()]
    links = [trace.Link(span.get_span_context()) for span in spans]
    return Opened(recorders, depth + 1, name, spans[0] if spans else None, links)


@harmless
def _begin(
    parent: trace.Span, name: str, start_ns: int, links: Sequence[trace.Link]
) -> trace.Span | None:
    tracer = tracer_of(trace.get_tracer_provider())
    return None if tracer is None else tracer.begin_component(parent, name, start_ns, links)


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

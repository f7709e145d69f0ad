"""A component under way: in the recorders of its requests, and as a span."""

from collections.abc import Sequence
from time import time_ns

from opentelemetry import context as otel
from opentelemetry import trace

from server_middleware.harmless import complain
from server_middleware.recorder import Recorder
from server_middleware.scope import Handle, Scope, current
from server_middleware.spans import tracer_of


class Opened(Scope):
    """One use of a component, made where it begins: what runs in it is worked for as this scope.

    The stamps of the recorder are the span's as well, so that mirror and spans tell the same.

    Args:
        name: of the component.
        recorders: of the requests that it works for.
        depth: so many components are around it.
        context: OpenTelemetry's current one.
        parent: the recorded span around it; None where no span is wanted.
        links: of the span.
    """

    __slots__ = ("_above", "_context_above")

    def __init__(
        self,
        name: str,
        recorders: tuple[Recorder, ...],
        depth: int,
        context: otel.Context,
        parent: trace.Span | None,
        links: Sequence[trace.Link] = (),
    ) -> None:
        super().__init__(recorders, depth, name)
        self._above, self._context_above = current.get(), context
        current.set(self)
        began_ns = 0
        for recorder in reversed(recorders):  # the span's stamp is the first one's
            began_ns = recorder.enter(self) + recorder.to_epoch_ns
        if parent is None:
            return
        try:
            if tracer := tracer_of(trace.get_tracer_provider()):
                self.span = tracer.begin_component(
                    parent, name, began_ns or time_ns(), context, links
                )
                self.context = trace.set_span_in_context(self.span, context)
                otel.attach(self.context)
        except Exception:
            complain("beginning a component's span")

    def close(self, error: BaseException | None) -> None:
        """End it; an error marks the span."""
        ended_ns = None
        for recorder in reversed(self.recorders):
            ended_ns = recorder.leave(self) + recorder.to_epoch_ns
        if current.get() is self:
            current.set(self._above)
        if self.span is None:
            return
        if otel.get_current() is self.context:
            otel.attach(self._context_above)
        try:
            if error is not None:
                mark(self.span, error)
            self.span.end(ended_ns)
        except Exception:
            complain("ending a component's span")


def for_many(name: str, handles: Sequence[Handle]) -> Opened:
    """Open a component that works for many requests at once.

    Its span is a child of the first traced one, so that it shares that one's sampling decision,
    and is linked to all of them.

    Args:
        name: of the component.
        handles: at least one.
    """
    traced_first = sorted(handles, key=lambda handle: not handle.span.is_recording())
    found = (recorder for handle in traced_first for recorder in handle.scope.recorders)
    recorders = tuple(dict.fromkeys(found))
    depth = max(handle.scope.depth for handle in handles)
    spans = [handle.span for handle in handles if handle.span.is_recording()]
    links = [trace.Link(span.get_span_context()) for span in spans]
    parent = spans[0] if spans else None
    return Opened(name, recorders, depth + 1, otel.get_current(), parent, links)


def mark(span: trace.Span, error: BaseException) -> None:
    """Note an exception on a span, in the way of OpenTelemetry's own context managers."""
    if isinstance(error, Exception):
        span.record_exception(error)
        span.set_status(trace.StatusCode.ERROR, f"{type(error).__name__}: {error}")

"""A running component: in the recorders of its requests, and as a span."""

from collections.abc import Iterable, Sequence

from opentelemetry import context as otel
from opentelemetry import trace

from server_middleware.context.outside_requests import strays
from server_middleware.context.scope import Handle, Scope, get_current, inherited, set_current
from server_middleware.harmless import complain
from server_middleware.otel_internals import attach, get_context, span_in, with_span
from server_middleware.recording.recorder import Together
from server_middleware.spans.configured_tracer import tracer


class RunningComponent(Scope):
    """One use of a component, created when it begins; it is the scope of the code inside it.

    The span uses the recorder's stamps, so that mirror and spans agree.

    Args:
        name: the name of the component.
        around: the enclosing scope.
        context: OpenTelemetry's current one.
        parent: the recording span around it; None if no span is wanted.
        links: the links of the span.
    """

    __slots__ = ("_before", "_context_before")

    def __init__(
        self,
        name: str,
        around: Scope,
        context: otel.Context,
        parent: trace.Span | None,
        links: Sequence[trace.Link] = (),
    ) -> None:
        self.name, self.depth = name, around.depth + 1
        self.recorder = recorder = around.recorder
        self.tracer = tracer = around.tracer
        self.context = self.span = None
        self._before, self._context_before = get_current(), context
        set_current(self)
        began_ns = recorder.enter(self)
        if parent is None or tracer is None:
            return
        try:
            self.span = span = tracer.begin_component(parent, name, began_ns, context, links)
            self.context = inside = with_span(span, context)
            attach(inside)
        except Exception:
            complain("beginning a component's span")

    def stand_aside(self) -> None:
        """Restore the previous scope; the component keeps running until it is closed."""
        if get_current() is self:
            set_current(self._before)
            if self.context is not None:
                attach(self._context_before)

    def let_go(self) -> Scope | None:
        """Detach it, in a forked child; returns the scope that was current before."""
        super().let_go()
        return self._before

    def _mark(self, error: BaseException) -> None:
        try:
            if self.span is not None:
                mark(self.span, error)
        except Exception:
            complain("marking a component's span")

    def close(self, error: BaseException | None) -> None:
        """End it; an error marks the span."""
        ended_ns = self.recorder.leave(self)
        self.stand_aside()
        if self.span is None:
            return
        if error is not None:
            self._mark(error)
        try:
            self.span.end(ended_ns)
        except Exception:
            complain("ending a component's span")


def begin_here(name: str, *, named: bool = False) -> RunningComponent | None:
    """Open a component in the current scope; if there is none, count it as stray.

    Args:
        name: the name of the component.
        named: it named its requests, so it is not a stray.

    Returns:
        None if nobody asked for its time.
    """
    scope = get_current()
    if scope is not None and not scope.recorder.over:
        return begin_in(scope, name)
    context = get_context()
    if scope is None and not context:
        if not named:
            strays.note(name)
        return None
    return _beyond(name, context, lost=not named, over=scope is not None)


def begin_in(scope: Scope, name: str) -> RunningComponent:
    """Open a component in the current scope, which is not over."""
    span, context = scope.span, get_context()
    if scope.context is not context and context:
        span = span_in(context)
    return RunningComponent(
        name, scope, context, span if span is not None and span.is_recording() else None
    )


def _beyond(name: str, context: otel.Context, *, lost: bool, over: bool) -> RunningComponent | None:
    """Open a component of a trace, outside any request that asked for its timings.

    Args:
        name: the name of the component.
        context: the context in which that trace may be current.
        lost: whether to count it as stray if there is no such trace.
        over: whether this context is a copy from a request that is over.
    """
    span = trace.get_current_span(context)
    if span in inherited:
        return None
    if span.is_recording():
        return RunningComponent(name, Scope(Together(), tracer()), context, span)
    if lost and (over or not span.get_span_context().is_valid):
        strays.note(name)
    return None


def for_many(name: str, requests: Iterable[Handle | None]) -> RunningComponent | None:
    """Open a component that works for many requests at once.

    Its span is a child of the first traced request's, so that it shares that sampling decision,
    and is linked to all of them; they may have ended.

    Args:
        name: the name of the component.
        requests: None for those that did not ask; a forked child's copies count as such.

    Returns:
        The component; if none of the requests asked, the result of `begin_here`.
    """
    asked = [handle for handle in requests if handle is not None]
    handles = [handle for handle in asked if not handle.scope.recorder.inherited()]
    if not handles:
        return begin_here(name, named=True)
    traced_first = sorted(handles, key=lambda handle: not _traced(handle.span))
    each = [handle.scope.recorder for handle in traced_first]
    found = (one for many in each for one in (many if isinstance(many, Together) else (many,)))
    around = Scope(
        Together(dict.fromkeys(found)),
        traced_first[0].scope.tracer,
        max(handle.scope.depth for handle in handles),
    )
    spans = [handle.span for handle in handles if _traced(handle.span)]
    links = [trace.Link(span.get_span_context()) for span in spans]
    return RunningComponent(name, around, get_context(), spans[0] if spans else None, links)


def _traced(span: trace.Span) -> bool:
    return span.is_recording() or span.get_span_context().trace_flags.sampled


def mark(span: trace.Span, error: BaseException) -> None:
    """Record an exception on a span, as OpenTelemetry's own context managers do."""
    if isinstance(error, Exception):
        span.record_exception(error)
        span.set_status(trace.StatusCode.ERROR, f"{type(error).__name__}: {error}")

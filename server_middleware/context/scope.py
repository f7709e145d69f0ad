"""Scopes: which requests a piece of code works for, and what is current while it runs.

The scope is kept in its own context variable, next to OpenTelemetry's context, because
instrumentors start each request from an empty OpenTelemetry context.

Nothing here uses tokens: a generator may be closed, or a task cancelled, in a different context
from the one it began in, where resetting by token is an error. Instead, the previous value is
restored, but only if the current one is still the code's own; at a pause it is known to be.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Final, NamedTuple, TypeAlias

from opentelemetry import context as otel
from opentelemetry import trace

from server_middleware.otel_internals import attach, get_context
from server_middleware.recording.recorder import RequestRecorder, Together
from server_middleware.spans.api_tracer import Tracer


class Scope:
    """What code works for: a request, or a component of one or more requests.

    Args:
        recorder: the recorder of the request, or those of all requests.
        tracer: begins its spans; None if tracing is not configured.
        depth: the number of components already open.
        name: the name of the component.
    """

    __slots__ = ("context", "depth", "name", "recorder", "span", "tracer")

    def __init__(
        self,
        recorder: RequestRecorder | Together,
        tracer: Tracer | None,
        depth: int = 0,
        name: str = "",
    ) -> None:
        self.recorder, self.tracer, self.depth, self.name = recorder, tracer, depth, name
        self.context: otel.Context | None = None
        """OpenTelemetry's context in this scope; None if it has no span of its own."""
        self.span: trace.Span | None = None
        """The span that is current in that context."""

    def let_go(self) -> "Scope | None":
        """Detach it, in a forked child; returns the scope before it, if any."""
        self.recorder, self.tracer, self.span, self.context = Together(), None, None, None
        return None


current: Final[ContextVar[Scope | None]] = ContextVar("server_middleware_scope", default=None)
"""None: nobody asked for the timings of the code running here."""
get_current: Final = current.get  # bound once: every component calls them twice
set_current: Final = current.set

inherited: Final[set[trace.Span]] = set()
"""In a forked child: spans of the parent process that may still be current."""


class Handle(NamedTuple):
    """A request, to be passed to code that works for several requests at once."""

    scope: Scope
    span: trace.Span


def this_request() -> Handle | None:
    """The current request, to be named later: `component(…, requests=[…])`.

    Returns:
        None if the request did not ask for its timings; `requests` accepts None, too.
    """
    scope = get_current()
    if scope is None:
        return None
    span = trace.get_current_span()
    if scope.span is not None and not span.get_span_context().is_valid:
        span = scope.span  # in a manually started thread
    return Handle(scope, span)


Inside: TypeAlias = tuple[Scope | None, otel.Context | None]
_LEFT: Final = Scope(Together(), None)


def swapped(inside: Inside) -> Inside:
    """Make a scope and an OpenTelemetry context current; returns those that were.

    None for the context leaves the current one.
    """
    before = get_current(), get_context()
    scope, context = inside
    set_current(scope)
    if context is not None:
        attach(context)
    return before


class Entered:
    """A scope and an OpenTelemetry context that are current until `leave` or `pause` is called.

    Args:
        scope: to make current.
        context: to make current; None: leave the current one.
    """

    __slots__ = ("_before", "_context", "_scope")

    def __init__(self, scope: Scope | None, context: otel.Context | None) -> None:
        self._scope, self._context = scope, context
        self._before = swapped((scope, context))

    def pause(self) -> Inside:
        """Restore what was current, even if code is suspended in a component, as in a generator.

        Returns:
            What to enter when that code resumes.
        """
        self._scope = _LEFT
        return swapped(self._before)

    def leave(self) -> None:
        """Restore what was current, unless that has already happened.

        The current scope may also be another one of the same request: a stream resumed inside a
        component may have left it since, or been abandoned inside one.
        """
        found, own = get_current(), self._scope
        if found is own or (found and own and found.recorder is own.recorder):
            scope, context = self._before
            swapped((scope, None if self._context is None else context))


def carried(function: Callable[..., object]) -> Callable[..., object]:
    """The function, wrapped so that what is current now is current when it runs elsewhere."""
    scope, context = get_current(), get_context()

    def carrying(*args: object, **kwargs: object) -> object:
        entered = Entered(scope, context)
        try:
            return function(*args, **kwargs)
        finally:
            entered.leave()

    return carrying

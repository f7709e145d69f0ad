"""Which requests a piece of code works for, and what is therefore current while it runs.

The scope is kept in a context variable of its own, beside OpenTelemetry's context, because
instrumentors start each request from an empty OpenTelemetry context.

Nothing here uses tokens: a generator may be closed, and a task cancelled, in another context than
it began in, where resetting by token is an error. What was current before is set again instead,
and only where what is current is still one's own; where code pauses it is known to be.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Final, NamedTuple, TypeAlias

from opentelemetry import context as otel
from opentelemetry import trace

from server_middleware.otel_internals import attach, get_context
from server_middleware.recorder import RequestRecorder, Together
from server_middleware.spans.api_tracer import Tracer


class Scope:
    """What is worked for: a request, or a component of one or of several.

    Args:
        recorder: of the request, or of the several.
        tracer: what begins spans for it; None where nobody configured tracing.
        depth: so many components are open already.
        name: of the component.
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
        """OpenTelemetry's context while it is worked for; None where it has no span of its own."""
        self.span: trace.Span | None = None
        """The span that is current in that context."""

    def let_go(self) -> "Scope | None":
        """Make it nobody's, in a forked child; returns what it is a part of."""
        self.recorder, self.tracer, self.span, self.context = Together(), None, None, None
        return None


current: Final[ContextVar[Scope | None]] = ContextVar("server_middleware_scope", default=None)
"""None: nobody asked for the timings of what runs here."""
get_current: Final = current.get  # bound once: every component calls them twice
set_current: Final = current.set

inherited: Final[set[trace.Span]] = set()
"""In a forked child: spans of its parent's that may still be current; they are not its own."""


class Handle(NamedTuple):
    """A request, as it is passed on to code that will work for several requests at once."""

    scope: Scope
    span: trace.Span


def this_request() -> Handle | None:
    """The request that is worked for here, to be named later: `component(…, requests=[…])`.

    Returns:
        None where the request did not ask for its timings; that may be passed on all the same.
    """
    scope = get_current()
    if scope is None:
        return None
    span = trace.get_current_span()
    if scope.span is not None and not span.get_span_context().is_valid:
        span = scope.span  # in a thread that was started by hand
    return Handle(scope, span)


Inside: TypeAlias = tuple[Scope | None, otel.Context | None]
_LEFT: Final = Scope(Together(), None)


class Entered:
    """A scope, and an OpenTelemetry context, that are current until `leave` or `pause` is called.

    Args:
        scope: to be worked for.
        context: to be current; None: the one that is.
    """

    __slots__ = ("_context", "_context_before", "_scope", "_scope_before")

    def __init__(self, scope: Scope | None, context: otel.Context | None) -> None:
        self._scope, self._scope_before = scope, get_current()
        set_current(scope)
        self._context, self._context_before = context, get_context()
        if context is not None:
            attach(context)

    def pause(self) -> Inside:
        """Make current again what was, though code may stand still in a component: a generator's.

        Returns:
            What is to be entered when that code goes on.
        """
        inside = get_current(), get_context()
        set_current(self._scope_before)
        attach(self._context_before)
        self._scope = _LEFT
        return inside

    def leave(self) -> None:
        """Make current again what was, unless that has happened.

        What is current may also be something else that is worked for in the same request: a stream
        that went on inside a component has left that since, or was given up inside one.
        """
        found, own = get_current(), self._scope
        if found is own or (found and own and found.recorder is own.recorder):
            set_current(self._scope_before)
            if self._context is not None:
                attach(self._context_before)


def carried(function: Callable[..., object]) -> Callable[..., object]:
    """The function, to be run elsewhere: what is current now will be current in it."""
    scope, context = get_current(), get_context()

    def carrying(*args: object, **kwargs: object) -> object:
        entered = Entered(scope, context)
        try:
            return function(*args, **kwargs)
        finally:
            entered.leave()

    return carrying

"""For `opentelemetry-instrument`: the mirror without a change to the server's code."""

import os
import sys
from collections.abc import Callable, Collection
from functools import wraps
from inspect import signature
from typing import Any, Final, NamedTuple

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.instrumentation import propagators
from opentelemetry.instrumentation.instrumentor import (  # type: ignore[attr-defined]
    BaseInstrumentor,
)
from opentelemetry.instrumentation.propagators import ResponsePropagator, default_setter

from server_middleware.components.component import is_name
from server_middleware.context.outside_requests import ran_outside_since, strays
from server_middleware.context.scope import Scope, get_current
from server_middleware.context.threads import follow_threads, leave_threads
from server_middleware.harmless import harmless
from server_middleware.mirror import headers
from server_middleware.recording.recorder import RequestRecorder
from server_middleware.vocabulary import COMPONENT_ATTRIBUTE, SERVER_PARTS

# The mirror of a server whose spans are made by other instrumentation: it watches them.
#
# It serves `opentelemetry-instrument`: manual spans named after components count like those of
# `component()`.

MOST_SPANS: Final = 10_000
"""How many spans are watched at a time; beyond that the oldest are dropped."""


class _Watched(NamedTuple):
    recorder: RequestRecorder
    scope: Scope
    strays_before: int


class SpanWatch:
    """A span processor for the SDK, not derived from its class, so that the SDK is not loaded.

    A server span whose remote parent is sampled asks for its timings; its descendants are its
    parts. A span that is not a component adds its time to its parent.
    """

    def __init__(self) -> None:
        self._watched: dict[int, _Watched] = {}
        if hasattr(os, "register_at_fork"):  # a child's spans are not its parent's
            os.register_at_fork(after_in_child=self._watched.clear)

    @harmless
    def on_start(self, span: Any, parent_context: otel.Context | None = None) -> None:
        """Start watching an entry span, or a child of a watched one."""
        parent = span.parent
        if parent is None:
            return
        if len(self._watched) >= MOST_SPANS:
            self._watched.pop(next(iter(self._watched)), None)
        above = self._watched.get(parent.span_id)
        if above is not None:
            recorder, around, before = above
            scope = Scope(recorder, None, around.depth + 1, _component(span) or around.name)
            recorder.enter(scope)
            self._watched[span.context.span_id] = _Watched(recorder, scope, before)
        elif span.kind is trace.SpanKind.SERVER and parent.is_remote and parent.trace_flags.sampled:
            recorder = RequestRecorder()
            scope = Scope(recorder, None)
            self._watched[span.context.span_id] = _Watched(recorder, scope, strays.count)

    def _on_ending(self, span: Any) -> None:
        """Called by the SDK before a span ends."""

    @harmless
    def on_end(self, span: Any) -> None:
        """Stop watching it."""
        watched = self._watched.pop(span.context.span_id, None)
        if watched is not None and watched.scope.depth:
            watched.recorder.leave(watched.scope)

    def shutdown(self) -> None:
        """Forget all spans."""
        self._watched.clear()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is buffered."""
        return True

    def mirrored(self, span: trace.Span) -> list[tuple[str, str]]:
        """The headers that mirror the request of a span; none if it is not watched."""
        watched = self._watched.get(span.get_span_context().span_id)
        if watched is None:
            return []
        total_ns, parts_ns = watched.recorder.report()
        parts_ns.pop("", None)
        ran_outside = ran_outside_since(watched.strays_before, span)
        return headers(total_ns, parts_ns, span, ran_outside)


def _component(span: Any) -> str | None:
    said = (span.attributes or {}).get(COMPONENT_ATTRIBUTE)
    if said is not None:
        return said if is_name(said) else None
    return span.name if span.name in SERVER_PARTS else None


class MirroringPropagator(ResponsePropagator):
    """OpenTelemetry's hook for response headers; a propagator set before runs first."""

    def __init__(self, watch: SpanWatch, before: ResponsePropagator | None) -> None:
        self._watch, self.before = watch, before

    def inject(
        self, carrier: Any, context: otel.Context | None = None, setter: Any = default_setter
    ) -> None:
        """Write the mirror, unless `instrument` does that for this request."""
        if self.before is not None:
            self.before.inject(carrier, context=context, setter=setter)
        if get_current() is None:
            self._write(carrier, context, setter)

    @harmless
    def _write(self, carrier: Any, context: otel.Context | None, setter: Any) -> None:
        span = trace.get_current_span(context)

        def write() -> None:
            for name, value in self._watch.mirrored(span):
                setter.set(carrier, name, value)

        if hasattr(carrier, "flush") and _is_tornado_handler(type(carrier)):
            _before_flush(carrier, harmless(write))
        else:
            write()


def _is_tornado_handler(kind: type) -> bool:
    """Whether a carrier is a Tornado handler, which has yet to run; others are responses."""
    return ("tornado.web", "RequestHandler") in {
        (it.__module__, it.__name__) for it in kind.__mro__
    }


def _before_flush(handler: Any, write: Callable[[], object]) -> None:
    """Write just before the first `flush` sends the headers; until then they may be cleared."""
    flush = handler.flush

    def flushing(*given: Any, **named: Any) -> Any:
        handler.flush = flush
        write()
        return flush(*given, **named)

    handler.flush = flushing


# For `opentelemetry-instrument`: the mirror without a change to the server's code.

_OURS: Final = "interceptors"
"""The argument of `grpc.server` to extend."""


class Instrumentor(BaseInstrumentor):  # type: ignore[misc] # it has no types
    """The entry point of `opentelemetry_instrumentor`.

    HTTP servers are mirrored by OpenTelemetry's response propagator, from the spans that its own
    instrumentors and the server make; gRPC servers, which have no such hook, by the interceptors.
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return no dependencies: it works with whatever is installed."""
        return ()

    def instrument(self, **kwargs: Any) -> None:
        """Instrument once: if both packages are installed, both have this entry point."""
        if not self.is_instrumented_by_opentelemetry:
            super().instrument(**kwargs)

    def _instrument(self, **kwargs: Any) -> None:
        follow_threads()
        provider: Any = trace.get_tracer_provider()
        if hasattr(provider, "add_span_processor"):
            watch = SpanWatch()
            provider.add_span_processor(watch)
            _hook(lambda before: MirroringPropagator(watch, before))
        _intercept_grpc()

    def _uninstrument(self, **kwargs: Any) -> None:
        leave_threads()
        _hook(lambda ours: ours.before if isinstance(ours, MirroringPropagator) else ours)
        if "grpc" in sys.modules:
            grpc: Any = sys.modules["grpc"]
            for module in (grpc, grpc.aio):
                module.server = getattr(module.server, "__wrapped__", module.server)


def _hook(replace: Callable[[Any], Any]) -> None:
    before = propagators.get_global_response_propagator()  # type: ignore[no-untyped-call]
    propagators.set_global_response_propagator(replace(before))  # type: ignore[no-untyped-call]


def _intercept_grpc() -> None:
    """Add the interceptors to every gRPC server made from now on, after its own."""
    try:
        import grpc  # not every server has it
    except ImportError:
        return
    from server_middleware import grpc as ours  # it needs grpcio

    grpc.server = _intercepted(grpc.server, ours.interceptors)
    grpc.aio.server = _intercepted(grpc.aio.server, ours.aio_interceptors)


def _intercepted(make: Callable[..., Any], ours: Callable[[], list[Any]]) -> Callable[..., Any]:
    names = list(signature(make).parameters)
    at = names.index(_OURS) if _OURS in names else sys.maxsize

    @wraps(make)
    def server(*args: Any, **kwargs: Any) -> Any:
        named = {**dict(zip(names[at:], args[at:], strict=False)), **kwargs}
        own = list(named.get(_OURS) or ())
        kinds = {type(one) for one in own}
        added = [one for one in ours() if type(one) not in kinds]
        return make(*args[:at], **{**named, _OURS: [*own, *added]})

    return server

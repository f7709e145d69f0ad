"""For `opentelemetry-instrument`: the mirror without a change to the server's code."""

import sys
from collections.abc import Callable, Collection
from functools import wraps
from inspect import signature
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.instrumentation import propagators
from opentelemetry.instrumentation.instrumentor import (  # type: ignore[attr-defined]
    BaseInstrumentor,
)

from server_middleware.context.threads import follow_threads, leave_threads
from server_middleware.watch import MirroringPropagator, SpanWatch

_OURS: Final = "interceptors"
"""The argument of `grpc.server` that is added to."""


class Instrumentor(BaseInstrumentor):  # type: ignore[misc] # it has no types
    """What the entry point of `opentelemetry_instrumentor` names.

    HTTP servers are mirrored by OpenTelemetry's response propagator, from the spans that its own
    instrumentors and the server make; gRPC servers, which have no such hook, by the interceptors.
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """None: whatever is there is served."""
        return ()

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
    """Let every gRPC server that is made from now on have the interceptors, behind its own."""
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

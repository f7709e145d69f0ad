"""gRPC: interceptors for `grpc.server(…, interceptors=interceptors())`."""

from collections.abc import Callable
from typing import Any

import grpc

from server_middleware.asking import provider_configured, sampled
from server_middleware.mirror import headers
from server_middleware.recorder import Recorder, current
from tracebench.vocabulary import SERVER_PROCESSING, TRACEPARENT

Handler = Any  # grpcio's types of handlers say nothing of their messages


def interceptors() -> list[Any]:
    """What makes a gRPC server explain itself; unary calls are mirrored.

    Where a TracerProvider is configured, calls and components are its spans.
    """
    if not provider_configured():
        return [_Mirroring(traced=False)]
    from opentelemetry.instrumentation.grpc import server_interceptor  # only for its users

    official = server_interceptor()  # type: ignore[no-untyped-call] # it has no types
    return [official, _Mirroring(traced=True)]


class _Mirroring(grpc.ServerInterceptor):  # type: ignore[type-arg] # of any messages
    """Records each call that asks, and writes its timings into trailers and message."""

    def __init__(self, *, traced: bool) -> None:
        self._traced = traced

    def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Handler], details: Any
    ) -> Handler:
        """Wrap the handler of a unary call."""
        handler = continuation(details)
        if handler is None or handler.request_streaming or handler.response_streaming:
            return handler
        metadata = dict(details.invocation_metadata)
        asked = sampled(metadata.get(TRACEPARENT))
        return grpc.unary_unary_rpc_method_handler(
            self._recorded(handler.unary_unary, asked=asked),
            handler.request_deserializer,
            handler.response_serializer,
        )

    def _recorded(self, behaviour: Callable[..., Any], *, asked: bool) -> Callable[..., Any]:
        def call(request: Any, context: grpc.ServicerContext) -> Any:
            in_message = bool(getattr(request, "enable_timing", False))
            if not (asked or in_message):
                return behaviour(request, context)
            recorder = Recorder(traced=self._traced)
            token = current.set((recorder, 0))
            try:
                response = behaviour(request, context)
                _mirror(recorder, response, context, in_message=in_message)
            finally:
                current.reset(token)
            return response

        return call


def _mirror(
    recorder: Recorder, response: Any, context: grpc.ServicerContext, *, in_message: bool
) -> None:
    total_ns, parts_ns = recorder.exclusive_ns()
    own = context.trailing_metadata() or ()
    mirrored = [(name.lower(), value) for name, value in headers(total_ns, parts_ns)]
    context.set_trailing_metadata((*own, *mirrored))
    if in_message and hasattr(response, "timing_info"):
        for name, ns in {**parts_ns, SERVER_PROCESSING: total_ns}.items():
            response.timing_info.add(component=name, duration_ms=ns / 1e6)

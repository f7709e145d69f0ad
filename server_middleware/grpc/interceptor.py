"""The interceptors of both kinds of gRPC servers, and how they wrap handlers."""

from collections.abc import Awaitable, Callable
from inspect import isasyncgenfunction, iscoroutinefunction
from typing import Any, Final, TypeAlias

import grpc

from server_middleware.grpc import aio_handlers, handlers
from server_middleware.grpc.call import AtOnceCall, Call, asks
from server_middleware.threads import follow_threads, starting

Handler: TypeAlias = Any  # grpcio's types of handlers say nothing of their messages


def interceptors() -> list[Any]:
    """Let a gRPC server time its components, and mirror them into the calls that ask for it.

    A call asks by a sampled `traceparent` or by `x-benchmark` in its metadata, or by a field
    `enable_timing` of its message; any other passes by untouched. Where a TracerProvider is
    configured, calls and components are spans as well. Behind OpenTelemetry's own interceptor
    (which must come first in the list) its span is used, and no second one made.
    """
    follow_threads()
    return [_Interceptor()]


def aio_interceptors() -> list[Any]:
    """The same for a server of `grpc.aio`."""
    follow_threads()
    return [_AioInterceptor()]


class _Interceptor(grpc.ServerInterceptor):  # type: ignore[type-arg] # of any messages
    def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Handler], details: Any
    ) -> Handler:
        """Wrap the handler of a call that asks, or may ask in its message."""
        handler = continuation(details)
        if handler is None:
            return None
        if not asks(details):
            return _perhaps(handler, lambda: Call(details), handlers.if_asked)
        call = Call(details)
        starting.set(call.started)
        wrap = handlers.streaming if handler.response_streaming else handlers.single
        return _watched(handler, call, wrap)


class _AioInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg] # of any messages
    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]], details: Any
    ) -> Handler:
        """Wrap the handler of a call that asks, or may ask in its message."""
        handler = await continuation(details)
        if handler is None:
            return None
        name, _ = _SHAPES[handler.request_streaming, handler.response_streaming]
        behaviour = getattr(handler, name)
        if not asks(details):
            is_async = iscoroutinefunction(behaviour)
            module = aio_handlers if is_async else handlers
            return _perhaps(handler, lambda: AtOnceCall(details), module.if_asked)
        wrap = _aio_wrapper(behaviour, handler.response_streaming)
        return _watched(handler, AtOnceCall(details), wrap)


def _aio_wrapper(behaviour: Any, response_streaming: bool) -> Callable[..., Any]:
    """How to wrap any of the kinds of functions that `grpc.aio` takes for handlers."""
    if isasyncgenfunction(behaviour):
        return aio_handlers.streaming
    if iscoroutinefunction(behaviour):
        return aio_handlers.writing if response_streaming else aio_handlers.single
    return handlers.streaming if response_streaming else handlers.single


def _watched(handler: Handler, call: Call, wrap: Callable[..., Any]) -> Handler:
    """The handler, with its behaviour wrapped, and the (de)serialisers of single messages."""
    deserialize, serialize = handler.request_deserializer, handler.response_serializer
    if deserialize is not None and not handler.request_streaming:
        call.deserializer, deserialize = deserialize, call.deserialize
    if not handler.response_streaming:
        call.serializer, serialize = serialize, call.serialize
    name, make = _SHAPES[handler.request_streaming, handler.response_streaming]
    return make(wrap(getattr(handler, name), call), deserialize, serialize)


# (request, response) streaming → what the function of a handler is called, and what makes one
_SHAPES: Final = {
    (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler),
    (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler),
    (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler),
    (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler),
}


def _perhaps(handler: Handler, begun: Callable[[], Call], wrap: Callable[..., Any]) -> Handler:
    """The handler of a single call, which looks into the message whether it asks."""
    if handler.request_streaming or handler.response_streaming:
        return handler
    return grpc.unary_unary_rpc_method_handler(
        wrap(handler.unary_unary, begun),
        handler.request_deserializer,
        handler.response_serializer,
    )

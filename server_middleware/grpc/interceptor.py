"""The interceptors of both kinds of gRPC servers, and how they wrap handlers."""

from collections.abc import Awaitable, Callable
from inspect import isasyncgenfunction, iscoroutinefunction
from typing import Any, TypeAlias

import grpc

from server_middleware.grpc import aio_handlers, handlers
from server_middleware.grpc.call import Call, asks
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
            return _perhaps(handler, details, handlers.if_asked)
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
        behaviour = _behaviour(handler)
        if not asks(details):
            is_async = iscoroutinefunction(behaviour)
            module = aio_handlers if is_async else handlers
            return _perhaps(handler, details, module.if_asked)
        return _watched(handler, Call(details), _aio_wrapper(behaviour, handler.response_streaming))


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
        deserialize = call.deserializing(deserialize)
    if not handler.response_streaming:
        serialize = call.serializing(serialize)
    return _rebuilt(handler, wrap(_behaviour(handler), call), deserialize, serialize)


def _perhaps(handler: Handler, details: Any, wrap: Callable[..., Any]) -> Handler:
    """The handler of a single call, which looks into the message whether it asks."""
    if handler.request_streaming or handler.response_streaming:
        return handler
    return grpc.unary_unary_rpc_method_handler(
        wrap(handler.unary_unary, details),
        handler.request_deserializer,
        handler.response_serializer,
    )


def _behaviour(handler: Handler) -> Any:
    if handler.request_streaming:
        return handler.stream_stream if handler.response_streaming else handler.stream_unary
    return handler.unary_stream if handler.response_streaming else handler.unary_unary


def _rebuilt(handler: Handler, behaviour: Any, deserialize: Any, serialize: Any) -> Handler:
    if handler.request_streaming:
        if handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(behaviour, deserialize, serialize)
        return grpc.stream_unary_rpc_method_handler(behaviour, deserialize, serialize)
    if handler.response_streaming:
        return grpc.unary_stream_rpc_method_handler(behaviour, deserialize, serialize)
    return grpc.unary_unary_rpc_method_handler(behaviour, deserialize, serialize)

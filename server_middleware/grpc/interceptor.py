"""The interceptors of both kinds of gRPC servers, and how they wrap handlers."""

from collections.abc import Awaitable, Callable
from inspect import CO_COROUTINE, isasyncgenfunction, iscoroutinefunction
from types import FunctionType
from typing import Any, Final, TypeAlias

import grpc

from server_middleware.context.outside_requests import Passing, set_passing
from server_middleware.context.threads import follow_threads, starting
from server_middleware.grpc import aio_handlers, handlers
from server_middleware.grpc.call import AtOnceCall, TimedCall, asks

_Wrapper: TypeAlias = Callable[..., Callable[..., Any]]
Handler: TypeAlias = Any  # grpcio's handler types do not describe their messages


def interceptors() -> list[Any]:
    """Let a gRPC server time its components, and mirror them to calls that ask for it.

    A call asks by a sampled `traceparent` or by `x-benchmark` in its metadata, or by a field
    `enable_timing` of its message; any other passes through untouched. If a TracerProvider is
    configured, calls and components also become spans. After OpenTelemetry's own interceptor
    (which must come first in the list), its span is used instead of a second one.
    """
    follow_threads()
    return [_Interceptor()]


def aio_interceptors() -> list[Any]:
    """Like `interceptors`, for a server of `grpc.aio`."""
    follow_threads()
    return [_AioInterceptor()]


class _Interceptor(grpc.ServerInterceptor):  # type: ignore[type-arg] # of any messages
    def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Handler], details: Any
    ) -> Handler:
        """Wrap the handler of a call that asks for timings, or may ask in its message."""
        handler = continuation(details)
        if handler is None:
            return None
        if not asks(details):
            return _perhaps(handler, TimedCall, details, handlers.if_asked)
        name, make = _SHAPES[handler.request_streaming, handler.response_streaming]
        behaviour = getattr(handler, name)
        wrap = handlers.single
        if handler.response_streaming:
            wrap = handlers.streaming
            if getattr(behaviour, "experimental_non_blocking", False):
                return handler  # it answers by callback, as grpcio's health service does
        call = TimedCall(details)
        starting.set(call.taken_up)
        return _watched(handler, call, make, _in_its_pool(behaviour, wrap(behaviour, call)))


class _AioInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg] # of any messages
    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]], details: Any
    ) -> Handler:
        """Wrap the handler of a call that asks for timings, or may ask in its message."""
        handler = await continuation(details)
        if handler is None:
            return None
        name, make = _SHAPES[handler.request_streaming, handler.response_streaming]
        behaviour = getattr(handler, name)
        wrap, if_asked = _wrappers(behaviour, handler.response_streaming)
        if not asks(details):
            return _perhaps(handler, AtOnceCall, details, if_asked)
        call = AtOnceCall(details)
        return _watched(handler, call, make, wrap(behaviour, call))


def _wrappers(behaviour: Any, response_streaming: bool) -> tuple[_Wrapper, _Wrapper]:
    """The wrappers for any kind of function that `grpc.aio` takes as a handler.

    Returns:
        One for calls that ask, and one for those that may ask in their message.
    """
    function = getattr(behaviour, "__func__", behaviour)
    flags = function.__code__.co_flags if type(function) is FunctionType else 0
    if flags & CO_COROUTINE or iscoroutinefunction(behaviour):  # the latter takes 1 µs
        wrap = aio_handlers.writing if response_streaming else aio_handlers.single
        return wrap, aio_handlers.if_asked
    if isasyncgenfunction(behaviour):
        return aio_handlers.streaming, aio_handlers.if_asked
    return handlers.streaming if response_streaming else handlers.single, handlers.if_asked


def _in_its_pool(behaviour: Any, wrapped: Any) -> Any:
    """Let the wrapped function run in the pool that gRPC finds on the behaviour, if any."""
    pool = getattr(behaviour, _POOL, None)
    if pool is not None:
        setattr(wrapped, _POOL, pool)
    return wrapped


_POOL: Final = "experimental_thread_pool"


def _watched(
    handler: Handler, call: TimedCall, make: Callable[..., Handler], behaviour: Callable[..., Any]
) -> Handler:
    """The handler with a new behaviour, and the (de)serialisers of single messages wrapped."""
    deserialize, serialize = handler.request_deserializer, handler.response_serializer
    if deserialize is not None and not handler.request_streaming:
        call.deserializer, deserialize = deserialize, call.deserialize
    if not handler.response_streaming:
        call.serializer, serialize = serialize or bytes, call.serialize
    return make(behaviour, deserialize, serialize)


def _perhaps(handler: Handler, kind: type[TimedCall], details: Any, wrap: _Wrapper) -> Handler:
    """The handler of a unary call, which checks whether the message asks for timings."""
    if handler.request_streaming or handler.response_streaming:
        set_passing(Passing())  # the handler runs in the context of this call
        return handler
    behaviour = _in_its_pool(handler.unary_unary, wrap(handler.unary_unary, kind, details))
    return _unary_unary(behaviour, handler.request_deserializer, handler.response_serializer)


_Handler: Final[Any] = type(grpc.unary_unary_rpc_method_handler(asks))


def _unary_unary(behaviour: Any, deserialize: Any, serialize: Any) -> Handler:
    """Same as gRPC's own function, which imports the class each time."""
    return _Handler(False, False, deserialize, serialize, behaviour, None, None, None)


# (request, response) streaming → the name of a handler's function, and how to make a handler
_SHAPES: Final[dict[tuple[bool, bool], tuple[str, Callable[..., Handler]]]] = {
    (False, False): ("unary_unary", _unary_unary),
    (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler),
    (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler),
    (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler),
}

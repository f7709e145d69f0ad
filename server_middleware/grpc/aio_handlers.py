"""Coroutine handlers of a `grpc.aio` server."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from server_middleware.context.outside_requests import Passing, set_passing
from server_middleware.grpc.call import TimedCall, asks_in_message
from server_middleware.grpc.context import Writing


def single(behaviour: Callable[..., Any], call: TimedCall) -> Callable[..., Any]:
    """One response: the call is over when it is serialised."""

    async def handle(request: Any, context: Any) -> Any:
        given = call.begin(request, context)
        with call:
            response = await behaviour(request, given)
        return call.answered(response)

    return handle


def streaming(behaviour: Callable[..., Any], call: TimedCall) -> Callable[..., Any]:
    """Many responses, generated: the call is over when there are no more."""

    async def handle(request: Any, context: Any) -> AsyncIterator[Any]:
        given = call.begin(request, context)
        with call:
            stream = call.begin_stream()
            async with aclosing(behaviour(request, given)) as responses:
                async for response in responses:
                    call.pause(stream)
                    try:
                        yield response
                    finally:  # if the client disconnected, the handler's cleanup runs here
                        call.resume(stream)
        call.complete()

    return handle


def writing(behaviour: Callable[..., Any], call: TimedCall) -> Callable[..., Any]:
    """Many responses, written to the context: the call is over when the handler returns."""

    async def handle(request: Any, context: Any) -> None:
        given = call.begin(request, context)
        with call:
            await behaviour(request, Writing(given, call.begin_stream()))
        call.complete()

    return handle


def if_asked(
    behaviour: Callable[..., Any], kind: type[TimedCall], details: Any
) -> Callable[..., Any]:
    """One response, if only the message says whether timings are wanted.

    The clock then starts with the handler, and stops before the response is serialised.
    """

    async def handle(request: Any, context: Any) -> Any:
        if not asks_in_message(request):
            set_passing(passing := Passing())
            try:  # `with passing` costs twice as much
                return await behaviour(request, context)
            finally:
                passing.over = True
        call = kind(details)
        response = await single(behaviour, call)(request, context)
        call.complete()
        return response

    return handle

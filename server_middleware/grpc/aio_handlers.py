"""Handlers that are coroutines, of a `grpc.aio` server."""

from collections.abc import AsyncIterator, Callable
from typing import Any

from server_middleware.grpc.call import Call, asks_in_message


def single(behaviour: Callable[..., Any], call: Call) -> Callable[..., Any]:
    """One response: the call is over when that is serialised."""

    async def handle(request: Any, context: Any) -> Any:
        with call.running(request, context) as running:
            response = await behaviour(request, running.context)
        call.answered(response)
        return response

    return handle


def streaming(behaviour: Callable[..., Any], call: Call) -> Callable[..., Any]:
    """Many responses, generated: the call is over when there are no more."""

    async def handle(request: Any, context: Any) -> AsyncIterator[Any]:
        with call.running(request, context) as running:
            async for response in behaviour(request, running.context):
                running.pause()
                yield response
                running.resume()
        call.complete()

    return handle


def writing(behaviour: Callable[..., Any], call: Call) -> Callable[..., Any]:
    """Many responses, written to the context: the call is over when the handler returns."""

    async def handle(request: Any, context: Any) -> None:
        with call.running(request, context) as running:
            await behaviour(request, running.context)
        call.complete()

    return handle


def if_asked(behaviour: Callable[..., Any], details: Any) -> Callable[..., Any]:
    """One response, where only the message tells whether timings are wanted.

    The clock then starts with the handler, and stops before the response is serialised.
    """

    async def handle(request: Any, context: Any) -> Any:
        if not asks_in_message(request):
            return await behaviour(request, context)
        call = Call(details)
        response = await single(behaviour, call)(request, context)
        call.complete()
        return response

    return handle

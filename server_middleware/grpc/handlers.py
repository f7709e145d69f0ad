"""Handlers that run in threads, of either kind of gRPC server."""

from collections.abc import Callable, Iterator
from typing import Any

from server_middleware.grpc.call import Call, asks_in_message


def single(behaviour: Callable[..., Any], call: Call) -> Callable[..., Any]:
    """One response: the call is over when that is serialised."""

    def handle(request: Any, context: Any) -> Any:
        with call.running(request, context) as running:
            response = behaviour(request, running.context)
        call.answered(response)
        return response

    return handle


def streaming(behaviour: Callable[..., Any], call: Call) -> Callable[..., Any]:
    """Many responses: the call is over when there are no more."""

    def handle(request: Any, context: Any) -> Iterator[Any]:
        with call.running(request, context) as running:
            for response in behaviour(request, running.context):
                running.pause()
                yield response
                running.resume()
        call.complete()

    return handle


def if_asked(behaviour: Callable[..., Any], details: Any) -> Callable[..., Any]:
    """One response, where only the message tells whether timings are wanted.

    The clock then starts with the handler, and stops before the response is serialised.
    """

    def handle(request: Any, context: Any) -> Any:
        if not asks_in_message(request):
            return behaviour(request, context)
        call = Call(details)
        response = single(behaviour, call)(request, context)
        call.complete()
        return response

    return handle

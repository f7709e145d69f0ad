"""Handlers that run in threads, on either kind of gRPC server."""

from collections.abc import Callable, Iterator
from functools import partial
from types import GeneratorType
from typing import Any, Final

from server_middleware.context.outside_requests import Passing, set_passing
from server_middleware.grpc.call import TimedCall, asks_in_message

_NO_MORE: Final = object()  # gRPC accepts iterators that are not iterable


def single(behaviour: Callable[..., Any], call: TimedCall) -> Callable[..., Any]:
    """One response: the call is over when it is serialised."""

    def handle(request: Any, context: Any) -> Any:
        given = call.begin(request, context)
        with call:
            response = behaviour(request, given)
        return call.answered(response)

    return handle


def streaming(behaviour: Callable[..., Any], call: TimedCall) -> Callable[..., Any]:
    """Many responses: the call is over when there are no more."""

    def handle(request: Any, context: Any) -> Iterator[Any]:
        given = call.begin(request, context)
        with call:
            stream = call.begin_stream()
            responses = behaviour(request, given)
            try:
                for response in iter(partial(next, responses, _NO_MORE), _NO_MORE):
                    call.pause(stream)
                    try:
                        yield response
                    finally:  # if the client disconnected, the handler's cleanup runs here
                        call.resume(stream)
            finally:
                if type(responses) is GeneratorType:
                    responses.close()
        call.complete()

    return handle


def if_asked(
    behaviour: Callable[..., Any], kind: type[TimedCall], details: Any
) -> Callable[..., Any]:
    """One response, if only the message says whether timings are wanted.

    The clock then starts with the handler, and stops before the response is serialised.
    """

    def handle(request: Any, context: Any) -> Any:
        if not asks_in_message(request):
            set_passing(passing := Passing())
            try:  # `with passing` costs twice as much
                return behaviour(request, context)
            finally:
                passing.over = True
        call = kind(details)
        response = single(behaviour, call)(request, context)
        call.complete()
        return response

    return handle

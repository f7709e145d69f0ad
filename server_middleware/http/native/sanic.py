"""Sanic: hooks around the handling of requests, with its own server and under ASGI."""

from collections.abc import Callable
from typing import Any, Final

from server_middleware.context.outside_requests import Passing
from server_middleware.http.native.native_exchange import Line, NativeExchange, asks

_EXCHANGE: Final = "server_middleware_exchange"
_OURS: Final = "_server_middleware"


def hook(app: Any, proxy_shares_clock: bool) -> None:
    """Give the app its own subclass: Sanic forbids setting attributes on apps."""
    if hasattr(app, _OURS):
        return
    plain = type(app)
    methods = {
        _OURS: True,
        "__slots__": (),
        "__module__": plain.__module__,
        "handle_request": _handling(plain, proxy_shares_clock),
        "_run_response_middleware": _answering(plain),
    }
    make: Any = type(plain)
    app.__class__ = make(plain.__name__, (plain,), methods)
    app.register_middleware(_nothing, "response")  # without any, Sanic runs none


async def _nothing(request: Any, response: Any) -> None:
    pass


def _handling(plain: type[Any], proxy_shares_clock: bool) -> Callable[..., Any]:
    async def handle_request(self: Any, request: Any) -> None:
        if not asks(request.headers):
            with Passing():
                await plain.handle_request(self, request)
            return
        exchange = NativeExchange(request.headers, lambda: _line(request), proxy_shares_clock)
        setattr(request.ctx, _EXCHANGE, exchange)
        entered = exchange.enter()
        try:
            await plain.handle_request(self, request)
        except BaseException as error:
            exchange.error = error
            raise
        finally:
            entered.leave()
            exchange.route = _route(request)
            exchange.over()

    return handle_request


def _answering(plain: type[Any]) -> Callable[..., Any]:
    async def run_response_middleware(
        self: Any, request: Any, response: Any, *given: Any, **named: Any
    ) -> Any:
        found = await plain._run_response_middleware(self, request, response, *given, **named)
        if (exchange := getattr(request.ctx, _EXCHANGE, None)) is not None:
            whole = getattr(found, "body", None) is not None
            exchange.answer(found.status, found.headers, whole=whole)
        return found

    return run_response_middleware


def _route(request: Any) -> str | None:
    route = request.route
    return None if route is None else f"/{route.path}"


def _line(request: Any) -> Line:
    path, query = request.path, request.query_string
    return Line(request.method, request.scheme, path, query, request.version, request.ip)

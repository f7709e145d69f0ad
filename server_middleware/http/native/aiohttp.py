"""aiohttp.web: a middleware around its handlers, and the signal before headers are sent."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web
from aiohttp.payload import Payload

from server_middleware.context.outside_requests import Passing
from server_middleware.http.native.native_exchange import Line, NativeExchange, asks

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_Key: Final[Callable[..., Any]] = getattr(web, "RequestKey", lambda name, _kind: name)
_EXCHANGE: Final = _Key("server_middleware_exchange", NativeExchange)  # aiohttp ≥ 3.14 has it


def hook(app: web.Application, proxy_shares_clock: bool) -> None:
    """Put the middleware first, but after OpenTelemetry's, whose server span is used."""
    middlewares: Any = app.middlewares
    if any(isinstance(one, _Middleware) for one in middlewares):
        return
    if app.frozen:
        raise RuntimeError(f"cannot instrument {app!r}: it has started; instrument it before that")
    officials = [at for at, one in enumerate(middlewares) if _is_official(one)]
    middlewares.insert(officials[-1] + 1 if officials else 0, _Middleware(proxy_shares_clock))
    app.on_response_prepare.append(_answer)


def _is_official(middleware: Any) -> bool:
    return str(getattr(middleware, "__module__", "")).startswith("opentelemetry.")


class _Middleware:
    """Wraps the handler of each request that asks; others pass through."""

    __middleware_version__ = 1  # set by `web.middleware` on functions

    def __init__(self, proxy_shares_clock: bool) -> None:
        self._proxy_shares_clock = proxy_shares_clock

    async def __call__(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        if _EXCHANGE in request:
            return await handler(request)
        if not asks(request.headers):
            with Passing():
                return await handler(request)
        exchange = NativeExchange(request.headers, lambda: _line(request), self._proxy_shares_clock)
        exchange.route = _route(request)
        request[_EXCHANGE] = exchange
        if (task := asyncio.current_task()) is not None:
            task.add_done_callback(lambda _: exchange.over())  # it ends with the response
        return await _run(exchange, request, handler)


async def _run(
    exchange: NativeExchange, request: web.Request, handler: _Handler
) -> web.StreamResponse:
    """Run the handler; a response it returns unsent is sent while the request stays current."""
    entered = exchange.enter()
    try:
        response = await handler(request)
    except BaseException as error:
        entered.leave()
        if not isinstance(error, web.HTTPException):
            exchange.error = error
        raise
    if response is None or response.prepared:  # None is a handler's error, which aiohttp reports
        exchange.request.handed_over()
        entered.leave()
    return response


async def _answer(request: web.Request, response: web.StreamResponse) -> None:
    if (exchange := request.get(_EXCHANGE)) is not None:
        whole = isinstance(response, web.Response) and not isinstance(response.body, Payload)
        exchange.answer(response.status, response.headers, whole=whole)


def _route(request: web.Request) -> str | None:
    resource = request.match_info.route.resource
    return None if resource is None else resource.canonical


def _line(request: web.Request) -> Line:
    version = f"{request.version.major}.{request.version.minor}"
    url = request.rel_url
    path, query = url.raw_path, url.raw_query_string
    return Line(request.method, request.scheme, path, query, version, request.remote)

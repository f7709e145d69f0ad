"""Apps of ASGI, behind uvicorn."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import falcon.asgi
import litestar
import quart
import uvicorn
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.live.frameworks import work
from tests.middleware import timed_parts

STREAMS: dict[str, Callable[[], AsyncIterator[bytes]]] = {
    "/stream": work.tokens_async,
    "/break": work.breaking_async,
    "/endless": lambda: work.tokens_async(work.ENDLESS),
}


async def _predict(request: Request) -> Response:
    return Response(await work.predict_async(await request.body()))


def _predict_in_a_thread(request: Request) -> Response:
    return Response(work.predict(b"picture"))


async def _readings(request: Request) -> Response:
    return JSONResponse(timed_parts.readings())


async def _fail(request: Request) -> Response:
    return Response(work.fail())


def _streamed(chunks: Callable[[], AsyncIterator[bytes]]) -> Callable[..., Any]:
    async def stream(request: Request) -> Response:
        return StreamingResponse(chunks())

    return stream


def _routes(predict: Any) -> list[Route]:
    return [
        Route("/predict", predict, methods=["POST"]),
        Route("/readings", _readings),
        Route("/fail", _fail),
        *(Route(path, _streamed(chunks)) for path, chunks in STREAMS.items()),
    ]


def starlette_app() -> Any:
    return Starlette(routes=_routes(_predict))


def fastapi_app() -> Any:
    app = FastAPI()
    app.add_api_route("/predict", _predict_in_a_thread, methods=["POST"])
    app.add_api_route("/readings", _readings)
    app.add_api_route("/fail", _fail)
    for path, chunks in STREAMS.items():
        app.add_api_route(path, _streamed(chunks))
    return app


def plain_asgi_app() -> Any:
    """A plain function that returns an awaitable, as some middlewares are."""
    inside = starlette_app()

    def app(scope: Any, receive: Any, send: Any) -> Any:
        return inside(scope, receive, send)

    return app


def asgi2_app() -> Any:
    inside = starlette_app()

    def app(scope: Any) -> Any:
        async def serve(receive: Any, send: Any) -> None:
            await inside(scope, receive, send)

        return serve

    return app


def quart_app() -> Any:
    app = quart.Quart("model")

    async def predict() -> bytes:
        return await work.predict_async(bytes(await quart.request.body))

    async def readings() -> dict[str, float]:
        return timed_parts.readings()

    async def fail() -> bytes:
        return work.fail()

    app.add_url_rule("/predict", view_func=predict, methods=["POST"])
    app.add_url_rule("/readings", view_func=readings)
    app.add_url_rule("/fail", view_func=fail)
    for path, chunks in STREAMS.items():
        app.add_url_rule(path, view_func=_quart_answer(chunks), endpoint=path[1:])
    return app


def _quart_answer(chunks: Callable[[], AsyncIterator[bytes]]) -> Callable[[], Any]:
    async def stream() -> Any:
        return chunks()

    return stream


def litestar_app() -> Any:
    async def predict(request: litestar.Request[Any, Any, Any]) -> bytes:
        return await work.predict_async(await request.body())

    async def readings() -> dict[str, float]:
        return timed_parts.readings()

    async def fail() -> bytes:
        return work.fail()

    handlers: list[Any] = [
        litestar.post("/predict", media_type="text/plain")(predict),
        litestar.get("/readings")(readings),
        litestar.get("/fail")(fail),
        *(litestar.get(path)(_litestar_answer(chunks)) for path, chunks in STREAMS.items()),
    ]
    return litestar.Litestar(handlers, logging_config=None)


def _litestar_answer(chunks: Callable[[], AsyncIterator[bytes]]) -> Callable[[], Any]:
    async def stream() -> litestar.response.Stream:
        return litestar.response.Stream(chunks())

    return stream


class _Predict:
    async def on_post(self, request: Any, response: Any) -> None:
        response.data = await work.predict_async(await request.stream.read())


class _Readings:
    async def on_get(self, request: Any, response: Any) -> None:
        response.media = timed_parts.readings()


class _Fail:
    async def on_get(self, request: Any, response: Any) -> None:
        work.fail()


class _Stream:
    def __init__(self, chunks: Callable[[], AsyncIterator[bytes]]) -> None:
        self._chunks = chunks

    async def on_get(self, request: Any, response: Any) -> None:
        response.stream = self._chunks()


def falcon_app() -> Any:
    app = falcon.asgi.App()
    app.add_route("/predict", _Predict())
    app.add_route("/readings", _Readings())
    app.add_route("/fail", _Fail())
    for path, chunks in STREAMS.items():
        app.add_route(path, _Stream(chunks))
    return app


def listen(app: Any, port: int) -> None:
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


def listen_as_asgi3(app: Any, port: int) -> None:
    """Uvicorn takes a plain function for an app of ASGI 2 unless it is told."""
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", interface="asgi3")

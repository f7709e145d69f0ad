"""Frameworks with servers of their own."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import sanic
from aiohttp import web
from tornado.web import Application, RequestHandler

from tests.live.frameworks import work
from tests.live.frameworks.asgi import STREAMS
from tests.middleware import timed_parts

Chunks = Callable[[], AsyncIterator[bytes]]


async def _aiohttp_predict(request: web.Request) -> web.StreamResponse:
    return web.Response(body=await work.predict_async(await request.read()))


async def _aiohttp_readings(request: web.Request) -> web.StreamResponse:
    return web.json_response(timed_parts.readings())


async def _aiohttp_fail(request: web.Request) -> web.StreamResponse:
    return web.Response(body=work.fail())


def _aiohttp_stream(chunks: Chunks) -> Callable[[web.Request], Any]:
    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        async for chunk in chunks():
            await response.write(chunk)
        return response

    return stream


def aiohttp_app() -> Any:
    app = web.Application()
    app.router.add_post("/predict", _aiohttp_predict)
    app.router.add_get("/readings", _aiohttp_readings)
    app.router.add_get("/fail", _aiohttp_fail)
    for path, chunks in STREAMS.items():
        app.router.add_get(path, _aiohttp_stream(chunks))
    return app


def aiohttp_listen(app: Any, port: int) -> None:
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None)


class Predict(RequestHandler):
    async def post(self) -> None:
        self.write(await work.predict_async(self.request.body))


class Readings(RequestHandler):
    def get(self) -> None:
        self.write(timed_parts.readings())


class Fail(RequestHandler):
    def get(self) -> None:
        self.write(work.fail())


class Stream(RequestHandler):
    def initialize(self, chunks: Chunks) -> None:
        self.chunks = chunks

    async def get(self) -> None:
        async for chunk in self.chunks():
            self.write(chunk)
            await self.flush()


def tornado_app() -> Any:
    streams = [(path, Stream, {"chunks": chunks}) for path, chunks in STREAMS.items()]
    rules = [("/predict", Predict), ("/readings", Readings), ("/fail", Fail), *streams]
    return Application(rules)


def tornado_listen(app: Any, port: int) -> None:
    async def serve() -> None:
        app.listen(port, "127.0.0.1")
        await asyncio.Event().wait()

    asyncio.run(serve())


async def _sanic_predict(request: Any) -> Any:
    return sanic.response.raw(await work.predict_async(request.body))


async def _sanic_readings(request: Any) -> Any:
    return sanic.response.json(timed_parts.readings())


async def _sanic_fail(request: Any) -> Any:
    return sanic.response.raw(work.fail())


def _sanic_stream(chunks: Chunks) -> Callable[[Any], Any]:
    async def stream(request: Any) -> None:
        response = await request.respond(content_type="text/plain")
        async for chunk in chunks():
            await response.send(chunk)
        await response.eof()

    return stream


def sanic_app() -> Any:
    app = sanic.Sanic("model")
    app.add_route(_sanic_predict, "/predict", methods=["POST"])
    app.add_route(_sanic_readings, "/readings")
    app.add_route(_sanic_fail, "/fail")
    for path, chunks in STREAMS.items():
        app.add_route(_sanic_stream(chunks), path, name=path[1:])
    return app


def sanic_listen(app: Any, port: int) -> None:
    app.run("127.0.0.1", port, single_process=True, access_log=False, motd=False)

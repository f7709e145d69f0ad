"""Apps of WSGI, behind waitress."""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import bottle
import falcon
import flask
from waitress import serve
from werkzeug.wrappers import Request, Response

from tests.live.frameworks import work
from tests.middleware import timed_parts

STREAMS: dict[str, Callable[[], Iterator[bytes]]] = {
    "/stream": work.tokens,
    "/break": work.breaking,
    "/endless": lambda: work.tokens(work.ENDLESS),
}


def flask_app() -> Any:
    app = flask.Flask("model")
    app.add_url_rule("/readings", view_func=timed_parts.readings, endpoint="readings")
    app.add_url_rule("/fail", view_func=work.fail, endpoint="fail")
    app.add_url_rule(
        "/predict",
        view_func=lambda: work.predict(flask.request.get_data()),
        methods=["POST"],
        endpoint="predict",
    )
    for path, chunks in STREAMS.items():
        answer = _flask_answer(chunks)
        app.add_url_rule(path, view_func=answer, endpoint=path[1:])
    return app


def _flask_answer(chunks: Callable[[], Iterator[bytes]]) -> Callable[[], flask.Response]:
    return lambda: flask.Response(chunks())


def bottle_app() -> Any:
    app = bottle.Bottle()
    app.route("/readings", "GET", timed_parts.readings)
    app.route("/fail", "GET", work.fail)
    app.route("/predict", "POST", lambda: work.predict(bottle.request.body.read()))
    for path, chunks in STREAMS.items():
        app.route(path, "GET", chunks)
    return app


class _Predict:
    def on_post(self, request: Any, response: Any) -> None:
        response.data = work.predict(request.bounded_stream.read())


class _Readings:
    def on_get(self, request: Any, response: Any) -> None:
        response.media = timed_parts.readings()


class _Fail:
    def on_get(self, request: Any, response: Any) -> None:
        work.fail()


class _Stream:
    def __init__(self, chunks: Callable[[], Iterator[bytes]]) -> None:
        self._chunks = chunks

    def on_get(self, request: Any, response: Any) -> None:
        response.stream = self._chunks()


def falcon_app() -> Any:
    app = falcon.App()
    app.add_route("/predict", _Predict())
    app.add_route("/readings", _Readings())
    app.add_route("/fail", _Fail())
    for path, chunks in STREAMS.items():
        app.add_route(path, _Stream(chunks))
    return app


class Shortly:
    """Werkzeug without Flask, as its tutorial writes an app."""

    def wsgi_app(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        return self.answer(request)(environ, start_response)

    def answer(self, request: Request) -> Response:
        if request.path == "/predict":
            return Response(work.predict(request.get_data()))
        if request.path == "/readings":
            return Response(json.dumps(timed_parts.readings()))
        if request.path in STREAMS:
            return Response(STREAMS[request.path]())
        return Response(work.fail())

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return self.wsgi_app(environ, start_response)


def plain_app() -> Any:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/fail":
            work.fail()
        start_response("200 OK", [("X-Model", "lite0")])
        if path in STREAMS:
            return STREAMS[path]()
        if path == "/readings":
            return [json.dumps(timed_parts.readings()).encode()]
        return [work.predict(environ["wsgi.input"].read())]

    return app


def listen(app: Any, port: int) -> None:
    serve(app, host="127.0.0.1", port=port, threads=4)

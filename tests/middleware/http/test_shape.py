"""`instrument` knows what it is given."""

from collections.abc import Awaitable, Callable, Iterator
from functools import partial, wraps
from types import SimpleNamespace
from typing import Any

import pytest
import quart
from aiohttp import web
from fastapi import APIRouter, FastAPI
from flask import Flask
from litestar import Litestar
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint

from server_middleware import instrument
from server_middleware.http.app_kind import shape_of
from server_middleware.http.asgi import Asgi, Asgi2
from server_middleware.http.wsgi.wsgi import Wsgi


def wsgi(environ: Any, start_response: Any) -> list[bytes]:
    return []


def wsgi_with_more(environ: Any, start_response: Any, config: object = None) -> list[bytes]:
    return []


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    pass


def plain_asgi(scope: Any, receive: Any, send: Any) -> Awaitable[None]:
    return asgi(scope, receive, send)


def asgi2(scope: Any) -> Callable[..., Awaitable[None]]:
    return partial(asgi, scope)


async def view(request: Any) -> str:
    return ""


def function(x: Any) -> Any:
    return x


def anything(*args: Any) -> Any:
    return args


@wraps(wsgi)
def decorated(*args: Any, **kwargs: Any) -> Any:
    return wsgi(*args, **kwargs)


class Middleware:
    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        return self.app(scope, receive, send)

    def application(self, environ: Any, start_response: Any) -> Any:
        return []

    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        pass


class WsgiByRequest:
    def __init__(self, environ: Any, start_response: Any) -> None:
        pass

    def __iter__(self) -> Iterator[bytes]:
        yield b""


class Asgi2ByRequest:
    def __init__(self, scope: Any) -> None:
        pass

    async def __call__(self, receive: Any, send: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("app", "shape"),
    [
        (wsgi, "wsgi"),
        (wsgi_with_more, "wsgi"),
        (decorated, "wsgi"),
        (partial(lambda config, environ, start_response: [], {}), "wsgi"),
        (Middleware(asgi).application, "wsgi"),
        (WsgiByRequest, "wsgi"),
        (asgi, "asgi"),
        (plain_asgi, "asgi"),
        (Middleware(asgi), "asgi"),
        (Middleware(asgi).serve, "asgi"),
        (partial(asgi), "asgi"),
        (APIRouter(), "asgi"),
        (HTTPEndpoint, "asgi"),
        (asgi2, "asgi2"),
        (Asgi2ByRequest, "asgi2"),
        (view, None),
        (function, None),
        (anything, None),
        (print, None),
        (Flask, None),
        (FastAPI, None),
        (Starlette, None),
        (quart.Quart, None),
        (dict, None),
    ],
)
def test_a_callable_is_known_by_its_parameters(app: Any, shape: str | None) -> None:
    assert shape_of(app) == shape


@pytest.mark.parametrize(
    ("app", "kind"), [(wsgi, Wsgi), (plain_asgi, Asgi), (asgi2, Asgi2), (Asgi2ByRequest, Asgi2)]
)
def test_it_is_wrapped_by_what_speaks_its_language(app: Any, kind: type) -> None:
    wrapped: Any = instrument(app)
    wrapped.unserved = None
    assert type(wrapped) is kind
    assert instrument(wrapped) is wrapped


class Shortly:
    """As Werkzeug's tutorial writes an app."""

    def wsgi_app(self, environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"espresso"]

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        return self.wsgi_app(environ, start_response)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Flask("model"),
        lambda: quart.Quart("model"),
        FastAPI,
        Starlette,
        lambda: Litestar([]),
        web.Application,
        Shortly,
    ],
)
def test_a_framework_that_has_a_place_for_it_stays_the_same_object(
    make: Callable[[], Any],
) -> None:
    app = make()
    assert instrument(app) is app
    assert instrument(app) is app


class Holding:
    """A server around an app, as LitServe's is."""

    def __init__(self) -> None:
        self.app = FastAPI()


@pytest.mark.parametrize(
    ("given", "instead"),
    [
        (Holding(), "but holds one: instrument its `.app`"),
        (view, r"async def app\(scope, receive, send\)"),
        (anything, r"def app\(environ, start_response\)"),
        (Flask, "but a class: create an instance"),
        (SimpleNamespace(server="localhost"), "interceptors=server_middleware.grpc.interceptors"),
        (None, "interceptors=server_middleware.grpc.interceptors"),
        (type("MLServer", (), {"__module__": "mlserver.server"})(), "--receive-otlp"),
    ],
)
def test_what_cannot_be_instrumented_is_told_what_to_write(given: Any, instead: str) -> None:
    with pytest.raises(TypeError, match=instead) as caught:
        instrument(given)
    assert "\n" not in str(caught.value)


def test_what_else_is_asked_of_a_wrapped_app_the_app_answers() -> None:
    wrapped: Any = instrument(Middleware(asgi))
    assert wrapped.app is asgi
    assert not hasattr(wrapped, "add_route")
    wrapped.unserved = None

"""Serve one of the apps: `python -m tests.live.frameworks.serve NAME PORT bare|timed`."""

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from server_middleware import instrument

HERE = "tests.live.frameworks"


class Server(NamedTuple):
    """Where the app is, and what serves it: `module:function`."""

    make: str
    listen: str
    needs: str
    """The module that must be installed."""


SERVERS = {
    "flask": Server("wsgi:flask_app", "wsgi:listen", "flask"),
    "bottle": Server("wsgi:bottle_app", "wsgi:listen", "bottle"),
    "falcon": Server("wsgi:falcon_app", "wsgi:listen", "falcon"),
    "werkzeug": Server("wsgi:Shortly", "wsgi:listen", "werkzeug"),
    "wsgi": Server("wsgi:plain_app", "wsgi:listen", "waitress"),
    "django": Server("django_site:wsgi_app", "wsgi:listen", "django"),
    "django, asgi": Server("django_site:asgi_app", "asgi:listen", "django"),
    "fastapi": Server("asgi:fastapi_app", "asgi:listen", "fastapi"),
    "starlette": Server("asgi:starlette_app", "asgi:listen", "starlette"),
    "asgi, plain def": Server("asgi:plain_asgi_app", "asgi:listen_as_asgi3", "uvicorn"),
    "asgi 2": Server("asgi:asgi2_app", "asgi:listen", "uvicorn"),
    "quart": Server("asgi:quart_app", "asgi:listen", "quart"),
    "litestar": Server("asgi:litestar_app", "asgi:listen", "litestar"),
    "falcon, asgi": Server("asgi:falcon_app", "asgi:listen", "falcon"),
    "sanic": Server("own:sanic_app", "own:sanic_listen", "sanic"),
    "sanic, asgi": Server("own:sanic_app", "asgi:listen", "sanic"),
    "aiohttp.web": Server("own:aiohttp_app", "own:aiohttp_listen", "aiohttp"),
    "tornado": Server("own:tornado_app", "own:tornado_listen", "tornado"),
}


def _found(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(import_module(f"{HERE}.{module}"), function)
    return found


def main(name: str, port: str, kind: str) -> None:
    server = SERVERS[name]
    app = _found(server.make)()
    _found(server.listen)(instrument(app) if kind == "timed" else app, int(port))


if __name__ == "__main__":
    main(*sys.argv[1:])

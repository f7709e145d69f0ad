"""Where frameworks accept the middleware inside, so that the app stays the same object."""

from collections.abc import Callable
from inspect import isclass
from typing import Any, Final, TypeAlias, cast

from server_middleware.http.asgi import Asgi
from server_middleware.http.wsgi.wsgi import Wsgi

# What Flask knows about a request.


class FlaskRequests:
    """Routes and instrumentation of a Flask app.

    OpenTelemetry's own instrumentor begins its span inside the app, so it must be checked for.
    """

    starts_last = True  # the view has returned; generated bodies have no length

    def __init__(self, app: Any) -> None:
        from flask.globals import request  # installed with Flask

        self._app, proxy = app, cast(Any, request)
        self._current = proxy._get_current_object  # bypasses the proxy, at a tenth of the cost

    def route(self) -> str | None:
        """The rule that the current request matched."""
        try:
            rule = self._current().url_rule
        except RuntimeError:  # no current request
            return None
        return None if rule is None else rule.rule

    def traced(self) -> bool:
        """Whether OpenTelemetry has instrumented the app."""
        return bool(getattr(self._app, "_is_instrumented_by_opentelemetry", False))


# Where frameworks accept the middleware inside, so that the app stays the same object.

Hook: TypeAlias = Callable[[Any, bool], None]
"""Takes the app, and whether the proxy shares the clock."""


def place_in(app: Any) -> Hook | None:
    """The hook that puts the middleware inside the app; None if there is no place for it."""
    for kind in type(app).__mro__:
        if hook := _PLACES.get(f"{kind.__module__.partition('.')[0]}.{kind.__name__}"):
            return hook
    if isclass(app):
        return None
    if callable(getattr(app, "add_asgi_middleware", None)):
        return _bentoml
    if _calls(app, "wsgi_app"):
        return _plain_wsgi
    return None


def _calls(app: Any, name: str) -> bool:
    """Whether the app's `__call__` calls this method, as in Werkzeug's own examples."""
    code = getattr(type(app).__call__, "__code__", None) if callable(app) else None
    return code is not None and name in code.co_names and callable(getattr(app, name, None))


def _flask(app: Any, proxy_shares_clock: bool) -> None:
    if not isinstance(app.wsgi_app, Wsgi):
        inside = FlaskRequests(app)
        app.wsgi_app = Wsgi(app.wsgi_app, inside, proxy_shares_clock=proxy_shares_clock)


def _inner(name: str, kind: type[Wsgi] | type[Asgi]) -> Hook:
    """A hook for apps that call the WSGI or ASGI app in this attribute."""

    def hook(app: Any, proxy_shares_clock: bool) -> None:
        inner = getattr(app, name)
        if not isinstance(inner, kind):
            setattr(app, name, kind(inner, proxy_shares_clock=proxy_shares_clock))

    return hook


def _starlette(app: Any, proxy_shares_clock: bool) -> None:
    if not any(one.cls is Asgi for one in app.user_middleware):
        app.add_middleware(Asgi, proxy_shares_clock=proxy_shares_clock)


def _bentoml(app: Any, proxy_shares_clock: bool) -> None:
    if not any(one[0] is Asgi for one in getattr(app, "middlewares", ())):
        app.add_asgi_middleware(Asgi, proxy_shares_clock=proxy_shares_clock)


def _aiohttp(app: Any, proxy_shares_clock: bool) -> None:
    from server_middleware.http.native import aiohttp  # it needs aiohttp

    aiohttp.hook(app, proxy_shares_clock)


def _tornado(app: Any, proxy_shares_clock: bool) -> None:
    from server_middleware.http.native import tornado  # it needs Tornado

    tornado.hook(app, proxy_shares_clock)


def _sanic(app: Any, proxy_shares_clock: bool) -> None:
    from server_middleware.http.native import sanic  # it needs Sanic

    sanic.hook(app, proxy_shares_clock)


_plain_wsgi: Final = _inner("wsgi_app", Wsgi)

_PLACES: Final[dict[str, Hook]] = {
    "aiohttp.Application": _aiohttp,
    "bottle.Bottle": _inner("wsgi", Wsgi),
    "flask.Flask": _flask,
    "litestar.Litestar": _inner("asgi_handler", Asgi),
    "quart.Quart": _inner("asgi_app", Asgi),
    "sanic.Sanic": _sanic,
    "starlette.Starlette": _starlette,  # FastAPI too
    "tornado.Application": _tornado,
}

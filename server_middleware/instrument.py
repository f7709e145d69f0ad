"""`instrument(app)`: the right adapter for whatever app it is."""

from inspect import isclass, iscoroutinefunction
from typing import Any, TypeVar, cast

from server_middleware.http.asgi import Asgi
from server_middleware.http.flask import FlaskRequests
from server_middleware.http.wsgi import Wsgi
from server_middleware.threads import follow_threads

_App = TypeVar("_App")


def instrument(app: _App, *, proxy_shares_clock: bool = False) -> _App:
    """Let an app time its components, and mirror them into the replies that ask for it.

    A request asks by a sampled `traceparent` or by `X-Benchmark`; any other passes by untouched.
    Where a TracerProvider is configured, the request and its components are spans as well; a
    server span that OpenTelemetry's own instrumentation makes is used, and no second one made.

    Args:
        app: of Flask, Quart, FastAPI, Starlette or Litestar, or any WSGI or ASGI callable.
        proxy_shares_clock: the proxy before this server sets `X-Request-Start`, and runs on the
            same clock; the wait since then is the component `queue`.

    Returns:
        The app itself, where the framework can be hooked into; else the app, wrapped.

    Raises:
        TypeError: it is no such app.
    """
    if not callable(app) or isclass(app):
        raise TypeError(
            f"cannot instrument {app!r}: it is neither a WSGI nor an ASGI app; a gRPC server takes "
            "`interceptors=server_middleware.grpc.interceptors()` when it is made"
        )
    follow_threads()
    return app if _hook(app, proxy_shares_clock) else cast(_App, _wrapped(app, proxy_shares_clock))


def _hook(app: Any, proxy_shares_clock: bool) -> bool:
    """Put the middleware inside the app, where there is a place for it."""
    if callable(getattr(app, "wsgi_app", None)):
        if not isinstance(app.wsgi_app, Wsgi):
            inside = FlaskRequests(app)
            app.wsgi_app = Wsgi(app.wsgi_app, inside, proxy_shares_clock=proxy_shares_clock)
    elif callable(getattr(app, "asgi_app", None)):
        if not isinstance(app.asgi_app, Asgi):
            app.asgi_app = Asgi(app.asgi_app, proxy_shares_clock=proxy_shares_clock)
    elif hasattr(app, "add_middleware") and hasattr(app, "user_middleware"):
        if not any(one.cls is Asgi for one in app.user_middleware):
            app.add_middleware(Asgi, proxy_shares_clock=proxy_shares_clock)
    else:
        return False
    return True


def _wrapped(app: Any, proxy_shares_clock: bool) -> Any:
    if isinstance(app, Wsgi | Asgi):
        return app
    if iscoroutinefunction(app) or iscoroutinefunction(getattr(app, "__call__", None)):  # noqa: B004 - its kind
        return Asgi(app, proxy_shares_clock=proxy_shares_clock)
    return Wsgi(app, proxy_shares_clock=proxy_shares_clock)

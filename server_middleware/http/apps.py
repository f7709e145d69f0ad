"""`instrument(app)`: chooses the right adapter for an app."""

from inspect import isclass
from typing import Any, Final, TypeVar, cast

from server_middleware.context.threads import follow_threads
from server_middleware.http.app_kind import Shape, shape_of
from server_middleware.http.asgi import Asgi, Asgi2
from server_middleware.http.frameworks import place_in
from server_middleware.http.wrapper import Outside
from server_middleware.http.wsgi.wsgi import Wsgi

_App = TypeVar("_App")


def instrument(app: _App, *, proxy_shares_clock: bool = False) -> _App:
    """Let an app time its components, and mirror them in replies to requests that ask for it.

    A request asks by a sampled `traceparent` or by `X-Benchmark`; any other passes through
    untouched. If a TracerProvider is configured, the request and its components also become spans;
    a server span made by OpenTelemetry's own instrumentation is used instead of a second one.

    Args:
        app: of Flask, Quart, FastAPI, Starlette, Litestar, Bottle, Sanic, aiohttp.web, Tornado or
            BentoML, or any WSGI or ASGI callable.
        proxy_shares_clock: the proxy in front of this server sets `X-Request-Start`, and uses the
            same clock; the wait since then is the component `queue`.

    Returns:
        The app itself for the frameworks named above; otherwise the wrapped app, which must be
        served instead. A warning is logged if it is dropped without having served anything.

    Raises:
        TypeError: it is not such an app, or its parameters do not show which kind.
    """
    if isinstance(app, Outside):
        return app
    if hook := place_in(app):
        follow_threads()
        hook(app, proxy_shares_clock)
        return app
    shape = shape_of(app)
    if shape is None:
        raise TypeError(f"cannot instrument {app!r}: {_why_not(app)}")
    follow_threads()
    wrapped = _WRAPPERS[shape](app, proxy_shares_clock=proxy_shares_clock)
    wrapped.unserved = repr(app)
    return cast(_App, wrapped)


_WRAPPERS: Final[dict[Shape, type[Outside]]] = {"wsgi": Wsgi, "asgi": Asgi, "asgi2": Asgi2}
_HELD_AS: Final = ("app", "server", "application", "wsgi_app", "asgi_app")
_NO_APP: Final = "it is neither a WSGI nor an ASGI app"


def _why_not(app: Any) -> str:
    """Advice on what to do instead."""
    kinds = {kind.__module__.partition(".")[0] for kind in type(app).__mro__}
    if "mlserver" in kinds:
        return (
            f"{_NO_APP}, and MLServer serves two protocols: let it trace itself (`tracing_server` "
            "in its settings) and run `tracebench run --receive-otlp`"
        )
    for name in () if isclass(app) else _HELD_AS:
        if _is_app(getattr(app, name, None)):
            return f"{_NO_APP}, but holds one: instrument its `.{name}`"
    if isclass(app):
        return f"{_NO_APP}, but a class: create an instance, and instrument that"
    if callable(app):
        return (
            f"{_NO_APP} by its parameters; wrap it in `def app(environ, start_response)` for WSGI, "
            "or `async def app(scope, receive, send)` for ASGI, and instrument that"
        )
    return (
        f"{_NO_APP}; a gRPC server takes `interceptors=server_middleware.grpc.interceptors()` "
        "when it is created"
    )


def _is_app(held: Any) -> bool:
    return (place_in(held) or shape_of(held)) is not None

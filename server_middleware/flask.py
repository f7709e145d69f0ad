"""Flask: the server span of OpenTelemetry's own instrumentor, and the mirror around the app."""

from collections.abc import Callable, Iterable
from typing import Any

from server_middleware.asking import provider_configured, sampled
from server_middleware.mirror import headers
from server_middleware.recorder import Recorder, current

StartResponse = Callable[..., Any]
WsgiApp = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


def instrument(app: Any) -> Any:
    """Let a Flask app time its components and mirror them into replies that ask for it.

    Where a TracerProvider is configured, requests and components are its spans.

    Returns:
        The app.
    """
    traced = provider_configured()
    if traced:
        from opentelemetry.instrumentation.flask import FlaskInstrumentor  # only for its users

        FlaskInstrumentor().instrument_app(app)  # type: ignore[no-untyped-call] # it has no types
    app.wsgi_app = _Mirroring(app.wsgi_app, traced=traced)
    return app


class _Mirroring:
    """Records each request that asks, and writes its timings into the reply's headers."""

    def __init__(self, app: WsgiApp, *, traced: bool) -> None:
        self._app, self._traced = app, traced

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        asked = sampled(environ.get("HTTP_TRACEPARENT"))
        if not asked and "HTTP_X_BENCHMARK" not in environ:
            return self._app(environ, start_response)
        recorder = Recorder(traced=self._traced)

        def mirroring(status: str, fields: list[tuple[str, str]], *rest: Any) -> Any:
            return start_response(status, fields + headers(*recorder.exclusive_ns()), *rest)

        token = current.set((recorder, 0))
        try:
            return self._app(environ, mirroring)
        finally:
            current.reset(token)

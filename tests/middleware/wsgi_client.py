"""A client that calls a WSGI app as a server does, without a socket."""

import io
import sys
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, NamedTuple

from opentelemetry.propagators.textmap import DefaultGetter

GETTER = DefaultGetter()


class Answer(NamedTuple):
    status: str
    headers: dict[str, str]
    """Names in lower case."""
    chunks: list[bytes]


def environ(headers: dict[str, str], method: str = "POST", **more: Any) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": "/predict",
        "QUERY_STRING": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "8000",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()},
        **more,
    }


def call(app: Callable[..., Iterable[bytes]], given: dict[str, Any], most: int = 1_000) -> Answer:
    """Serve a request; the client goes away after `most` chunks."""
    started: list[tuple[str, dict[str, str]]] = []

    def start_response(status: str, fields: list[tuple[str, str]], *_: Any) -> Any:
        started.append((status, {name.lower(): value for name, value in fields}))

    chunks = app(given, start_response)
    try:
        taken = list(islice(chunks, most))
    finally:
        if (close := getattr(chunks, "close", None)) is not None:
            close()
    status, headers = started[-1]
    return Answer(status, headers, taken)

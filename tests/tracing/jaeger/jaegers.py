"""A stand-in on loopback that answers as a Jaeger did, or as one that is unwell would."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import HOST, Script, read_request, reply, serving
from tracebench.tracing.jaeger.query_api import QueryApi

RECORDED = Path(__file__).parent / "recorded"
OTLP = (RECORDED / "otlp.json").read_bytes()
LEGACY = (RECORDED / "legacy.json").read_bytes()
TRACE = json.loads(LEGACY)["data"][0]["traceID"]
ROOT = next(s["spanID"] for s in json.loads(LEGACY)["data"][0]["spans"] if not s["references"])
PAGE = reply(b"<!doctype html><title>Jaeger UI</title>")
NOTHING = reply(b'{"error":{"httpCode":404,"message":"No traces found"}}', "404 Not Found")
SERVICES = reply(b'{"services":["tracebench"]}')

Answer = Callable[[str], bytes]


@contextmanager
def answering(answer: Answer) -> Iterator[QueryApi]:
    """Answer each path, with its query; gives the API that asks there."""

    def script(connection: socket.socket) -> None:
        while request := read_request(connection):
            connection.sendall(answer(request.split()[1].decode()))

    with on(script) as api:
        yield api


@contextmanager
def on(script: Script) -> Iterator[QueryApi]:
    with serving(script) as port:
        api = QueryApi(f"http://{HOST}:{port}/")
        try:
            yield api
        finally:
            api.close()


def modern(path: str) -> bytes:
    """Jaeger 2: it has the one trace."""
    if path.startswith(f"/api/v3/traces/{TRACE}?"):
        return reply(OTLP)
    return SERVICES if path == "/api/v3/services" else NOTHING


def old(path: str) -> bytes:
    """Jaeger 1, before its API spoke OTLP: what it does not know, its UI shall route."""
    if path.startswith(f"/api/traces/{TRACE}?"):
        return reply(LEGACY)
    if path.startswith("/api/traces/"):
        return NOTHING
    return reply(b'{"data":["tracebench"]}') if path == "/api/services" else PAGE

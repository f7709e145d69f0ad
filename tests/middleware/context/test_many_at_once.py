"""64 clients at once on each kind of server: every request is told its own times and spans."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind

import server_middleware
from tests.middleware import model_app, timed_parts
from tests.middleware.serving import (
    grpc_aio_serving,
    grpc_serving,
    uvicorn_serving,
    waitress_serving,
)
from tests.middleware.span_samples import Spans, mirrored, parent_id, span_id
from tracebench.protos.inference_pb2 import PredictRequest
from tracebench.protos.inference_pb2_grpc import (
    InferenceServiceStub,
    add_InferenceServiceServicer_to_server,
)

CLIENTS, REQUESTS = 64, 256
NUMBERS = range(1, REQUESTS + 1)
PARTS = set(timed_parts.SECONDS)
TRACE = re.compile(r'trace;desc="00-([0-9a-f]{32})-([0-9a-f]{16})-01"')

Headers = dict[str, str]
Ask = Callable[[Headers], Headers]
"""Sends request headers, or metadata; gives those of the reply."""


@contextmanager
def http(serving: AbstractContextManager[str]) -> Iterator[Ask]:
    limits = httpx.Limits(max_connections=CLIENTS)
    with serving as url, httpx.Client(trust_env=False, limits=limits, timeout=30) as client:
        yield lambda headers: dict(client.post(f"{url}/predict", headers=headers).headers)


@contextmanager
def rpc(serving: Any, interceptors: list[Any]) -> Iterator[Ask]:
    def add(server: Any) -> None:
        add_InferenceServiceServicer_to_server(model_app.Servicer(), server)  # type: ignore[no-untyped-call]

    def ask(metadata: Headers) -> Headers:
        _, call = predict.with_call(PredictRequest(), metadata=tuple(metadata.items()))
        return {name: str(value) for name, value in call.trailing_metadata() or ()}

    with serving(add, interceptors, threads=CLIENTS) as channel:
        predict: Any = InferenceServiceStub(channel).Predict  # type: ignore[no-untyped-call]
        yield ask


SERVERS: dict[str, Callable[[], AbstractContextManager[Ask]]] = {
    "flask": lambda: http(waitress_serving(model_app.flask_app, threads=CLIENTS)),
    "wsgi": lambda: http(waitress_serving(model_app.wsgi_app, threads=CLIENTS)),
    "fastapi": lambda: http(uvicorn_serving(model_app.fastapi_app)),
    "grpc": lambda: rpc(grpc_serving, server_middleware.grpc.interceptors()),
    "grpc.aio": lambda: rpc(grpc_aio_serving, server_middleware.grpc.aio_interceptors()),
}


def by_trace(spans: list[ReadableSpan]) -> dict[int, list[ReadableSpan]]:
    traces: dict[int, list[ReadableSpan]] = {}
    for span in spans:
        traces.setdefault(span.context.trace_id, []).append(span)
    return traces


@pytest.mark.slow
@pytest.mark.parametrize("name", SERVERS)
def test_64_clients_at_once_are_told_apart(
    spans: Spans, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    asking = [{"traceparent": f"00-{number:032x}-{number:016x}-01"} for number in NUMBERS]
    with SERVERS[name]() as ask, ThreadPoolExecutor(CLIENTS) as clients:
        replies = list(clients.map(ask, asking))
        spans.wait_for_servers(REQUESTS)
        ended = by_trace(spans.ended())
        spans.forget()
        assert not any(map(mirrored, clients.map(ask, [{}] * REQUESTS)))
        assert not set(by_trace(spans.ended())) & set(NUMBERS), "a thread kept what was current"
    assert set(ended) == set(NUMBERS)
    for number, reply in zip(NUMBERS, replies, strict=True):
        times_s, named = mirrored(reply), TRACE.search(reply["server-timing"])
        assert set(times_s) >= PARTS | {"server_processing"}
        assert times_s.pop("server_processing") >= sum(times_s.values())
        assert all(times_s[part] >= seconds for part, seconds in timed_parts.SECONDS.items())
        (server,) = [span for span in ended[number] if span.kind is SpanKind.SERVER]
        inner = [span for span in ended[number] if span.name in PARTS]
        assert named is not None
        assert [int(text, 16) for text in named.groups()] == [number, span_id(server)]
        assert parent_id(server) == number
        assert sorted(span.name for span in inner) == sorted(PARTS)
        above = {span_id(span) for span in ended[number] if span.name not in PARTS}
        assert {parent_id(span) for span in inner} <= above  # FastAPI has spans of its own between
    assert not [one for one in caplog.records if one.name.startswith(("opentel", "server_mid"))]

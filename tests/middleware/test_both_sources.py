"""A request's mirror and its spans tell the same of standard, own and nested components."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from time import sleep
from typing import Any

import flask
import httpx
import pytest
from fastapi import Depends, FastAPI

from server_middleware import component, instrument
from tests.middleware import grpc_service
from tests.middleware.serving import post, uvicorn_serving, waitress_serving
from tests.middleware.span_samples import ASKING, PARENT_ID, TRACE_ID, Spans
from tracebench.model.record.exchange import Reply, Timing
from tracebench.model.record.server_times import ServerTimes
from tracebench.protos.inference_pb2 import PredictRequest, PredictResponse
from tracebench.tracing.join.join import renamed
from tracebench.tracing.join.server_spans import ServerSpans, entry_of
from tracebench.tracing.mapping.mapper import Mapper, mapper_of
from tracebench.tracing.mapping.precedence import by_service
from tracebench.tracing.mirror import timings
from tracebench.tracing.otlp.sdk_spans import from_sdk

STANDARD = {"preprocessing", "inference"}
OWN = {"tokenize", "vocabulary", "client"}
CODED = {"serialization", "deserialization"}


@component("tokenize")
def tokenize() -> None:
    sleep(0.001)
    with component("vocabulary"):
        sleep(0.002)


def work() -> str:
    with component("preprocessing"):
        sleep(0.001)
        tokenize()
    tokenize()
    sleep(0.001)
    with component("inference"), component("client"):  # a name of tracebench's own
        sleep(0.001)
    return "espresso"


async def work_in_a_loop() -> str:
    async with component("preprocessing"):
        await asyncio.sleep(0.001)
        tokenize()
    await asyncio.to_thread(tokenize)
    async with component("inference"):
        await asyncio.sleep(0.001)
        async with component("client"):
            await asyncio.sleep(0.001)
    return "espresso"


def flask_app() -> flask.Flask:
    app = flask.Flask("model")
    app.add_url_rule("/predict", view_func=work, methods=["POST"])
    return instrument(app)


@instrument
def wsgi_app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    body = work().encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


async def guessed_at() -> None:
    """FastAPI's own telemetry has a span of this, and of the endpoint; its profile has guesses."""
    await asyncio.sleep(0.001)


def fastapi_app() -> FastAPI:
    app = instrument(FastAPI())
    app.post("/predict", dependencies=[Depends(guessed_at)])(work_in_a_loop)
    return app


def asked_over_http(url: str) -> Reply:
    reply: httpx.Response = post(f"{url}/predict", ASKING)
    return Reply(str(reply.status_code), dict(reply.headers), reply.content)


def handle(request: PredictRequest, context: Any) -> PredictResponse:
    return PredictResponse(result=work())


async def handle_in_a_loop(request: PredictRequest, context: Any) -> PredictResponse:
    return PredictResponse(result=await work_in_a_loop())


def asked_over_grpc(channel: Any) -> Reply:
    _, call = grpc_service.predict(channel, PredictRequest(), grpc_service.ASKING)
    return Reply("OK", grpc_service.trailers(call), b"")


def _grpc(by: Any, predict: Any) -> Any:
    streams = (grpc_service.replies, grpc_service.gathered, grpc_service.replies)
    return by(predict, *streams)


SERVERS: dict[str, tuple[Callable[[], AbstractContextManager[Any]], Any, set[str]]] = {
    "flask": (lambda: waitress_serving(flask_app()), asked_over_http, set()),
    "wsgi": (lambda: waitress_serving(wsgi_app), asked_over_http, set()),
    "fastapi": (lambda: uvicorn_serving(fastapi_app()), asked_over_http, set()),
    "grpc": (lambda: _grpc(grpc_service.by_threads, handle), asked_over_grpc, CODED),
    "grpc.aio": (lambda: _grpc(grpc_service.by_loop, handle_in_a_loop), asked_over_grpc, CODED),
    "grpc.aio, threads": (lambda: _grpc(grpc_service.by_loop, handle), asked_over_grpc, CODED),
}
MAPS: list[list[str]] = [[], ["preprocessing=tokenize", "postprocessing=serialization"]]


def by_spans(spans: Spans, mapper: Mapper) -> Timing:
    kept = ServerSpans()
    for one in spans.ended():
        kept.add(from_sdk(one))
    of_trace = kept.of(f"{TRACE_ID:032x}")
    entry = entry_of(of_trace, f"{PARENT_ID:016x}")
    assert entry is not None
    found = mapper.timing(entry, of_trace, None, by_service(kept))
    assert isinstance(found, Timing)
    return found


@pytest.mark.parametrize(("serving", "ask", "more"), SERVERS.values(), ids=SERVERS)
def test_mirror_and_spans_agree(spans: Spans, serving: Any, ask: Any, more: set[str]) -> None:
    with serving() as server:
        mirrored = timings.read_timing(ask(server))
        spans.wait_for_servers(1)
    for maps in MAPS:
        mapper = mapper_of(maps, None)
        by_mirror = renamed(ServerTimes.of([mirrored]), mapper).timing(0)
        by_span = by_spans(spans, mapper)
        assert isinstance(by_mirror, Timing)
        assert dict(by_span.parts_ns) == dict(by_mirror.parts_ns)
        assert sum(by_mirror.parts_ns.values()) <= by_mirror.total_ns <= by_span.total_ns
        told = by_mirror.parts_ns.keys() - {"queue"}
        assert told == (STANDARD | OWN | more if not maps else _mapped(more))


def _mapped(more: set[str]) -> set[str]:
    moved = {"deserialization", "postprocessing"} if more else set()
    return STANDARD | (OWN - {"tokenize"}) | moved


@pytest.mark.parametrize(("serving", "ask", "more"), SERVERS.values(), ids=SERVERS)
def test_times_of_nested_components_are_exclusive(serving: Any, ask: Any, more: set[str]) -> None:
    with serving() as server:
        found = timings.read_timing(ask(server))
    assert isinstance(found, Timing)
    assert found.parts_ns["vocabulary"] >= 2 * 2_000_000
    assert found.parts_ns["tokenize"] >= 2 * 1_000_000
    assert found.parts_ns["preprocessing"] >= 1_000_000
    assert sum(found.parts_ns.values()) <= found.total_ns

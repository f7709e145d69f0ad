"""Components that run where no request's context reaches are counted, and told."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from time import sleep
from typing import Any

import flask
import pytest
from aiohttp import web
from fastapi import BackgroundTasks, FastAPI
from opentelemetry import trace
from opentelemetry.trace import SpanKind

import server_middleware
from server_middleware import Handle, component, instrument, this_request
from server_middleware.context.outside_requests import Strays, strays
from server_middleware.vocabulary import OUTSIDE_ATTRIBUTE
from tests.middleware import grpc_service
from tests.middleware.http.test_aiohttp import aiohttp_serving
from tests.middleware.serving import grpc_serving, post, uvicorn_serving, waitress_serving
from tests.middleware.span_samples import ASKING, Spans, mirrored
from tests.middleware.test_end_to_end import measure
from tracebench.protos.inference_pb2 import PredictRequest, PredictResponse

HINT = 'components_outside_requests;desc="'


def told(server_timing: str) -> int:
    """How many components ran outside any request, by a mirror."""
    _, found, rest = server_timing.partition(HINT)
    return int(rest.partition('"')[0]) if found else 0


def on_servers(spans: Spans, count: int) -> list[object]:
    """The same, by the spans of so many requests that asked."""
    spans.wait_for_servers(count)
    servers = [span for span in spans.ended() if span.kind is SpanKind.SERVER and span.parent]
    return [(span.attributes or {}).get(OUTSIDE_ATTRIBUTE) for span in servers]


class Batcher:
    """A thread that does the work of all requests, as model servers have."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[tuple[Future[None], list[Handle | None] | None] | None]
        self._queue = SimpleQueue()
        self._thread = Thread(target=self._work)

    def __enter__(self) -> "Batcher":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._queue.put(None)
        self._thread.join(10)

    def infer(self, *, named: bool = False) -> None:
        done: Future[None] = Future()
        self._queue.put((done, [this_request()] if named else None))
        done.result(10)

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            done, requests = item
            with component("inference", requests=requests):
                pass
            done.set_result(None)


@pytest.fixture
def batcher() -> Iterator[Batcher]:
    with Batcher() as one:
        yield one


def flask_app(work: Callable[[], None]) -> Any:
    app = instrument(flask.Flask("batched"))

    @app.post("/predict")
    def predict() -> str:
        work()
        return "espresso"

    return app


def fastapi_app(work: Callable[[], None]) -> Any:
    app = instrument(FastAPI())

    @app.post("/predict")
    def predict() -> str:
        work()
        return "espresso"

    return app


def aiohttp_app(work: Callable[[], None]) -> Any:
    app = instrument(web.Application())

    async def predict(_request: web.Request) -> web.Response:
        await asyncio.to_thread(work)
        return web.Response(text="espresso")

    app.router.add_post("/predict", predict)
    return app


SERVING: dict[str, tuple[Any, Any]] = {
    "wsgi": (waitress_serving, flask_app),
    "asgi": (uvicorn_serving, fastapi_app),
    "aiohttp": (aiohttp_serving, aiohttp_app),
}


@pytest.mark.parametrize("kind", SERVING)
def test_a_request_is_told_what_ran_outside(kind: str, batcher: Batcher, spans: Spans) -> None:
    serving, make = SERVING[kind]
    with serving(make(batcher.infer)) as url:
        replies = [post(f"{url}/predict", headers) for headers in (ASKING, {}, ASKING)]
    assert [told(reply.headers.get("server-timing", "")) for reply in replies] == [1, 0, 1]
    assert set(mirrored(dict(replies[0].headers))) == {"server_processing"}
    assert on_servers(spans, 2) == [1, 1]


@pytest.mark.parametrize("kind", SERVING)
def test_a_batch_that_names_its_requests_is_not_outside(
    kind: str, batcher: Batcher, spans: Spans
) -> None:
    serving, make = SERVING[kind]
    with serving(make(lambda: batcher.infer(named=True))) as url:
        replies = [post(f"{url}/predict", headers) for headers in (ASKING, {}, ASKING)]
    assert [told(reply.headers.get("server-timing", "")) for reply in replies] == [0, 0, 0]
    assert "inference" in mirrored(dict(replies[0].headers))


@pytest.mark.parametrize("serve", [grpc_service.by_threads, grpc_service.by_loop])
def test_a_call_is_told_what_ran_outside(serve: Any, batcher: Batcher, spans: Spans) -> None:
    def predict(_request: PredictRequest, _context: Any) -> PredictResponse:
        batcher.infer()
        return PredictResponse(result="espresso")

    with serve(predict, predict, predict, predict) as channel:
        _, call = grpc_service.predict(channel, PredictRequest(), grpc_service.ASKING)
        assert told(grpc_service.trailers(call)["server-timing"]) == 1
        _, call = grpc_service.predict(channel, PredictRequest())
        assert "server-timing" not in grpc_service.trailers(call)
    assert on_servers(spans, 1) == [1]


@pytest.mark.parametrize("kind", SERVING)
def test_what_requests_that_do_not_ask_do_is_not_outside(kind: str) -> None:
    @component("inference")
    def infer() -> None: ...

    serving, make = SERVING[kind]
    before = strays.count
    with serving(make(infer)) as url:
        assert post(f"{url}/predict", {}).status_code == 200
    assert strays.count == before


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_it_becomes_a_finding(tmp_path: Path, batcher: Batcher, protocol: str) -> None:
    def work() -> None:
        sleep(0.005)  # what the batch takes
        batcher.infer()

    def predict(_request: PredictRequest, _context: Any) -> PredictResponse:
        work()
        return PredictResponse(result="espresso")

    def add(server: Any) -> None:
        grpc_service.adding(predict, predict, predict, predict)(server)
        ports.append(server.add_insecure_port("127.0.0.1:0"))

    ports: list[int] = []
    if protocol == "rest":
        with waitress_serving(flask_app(work)) as url:
            found = measure(tmp_path, ["--rest-url", f"{url}/predict"], 2, 50)
    else:
        with grpc_serving(add, server_middleware.grpc.interceptors()):
            found = measure(tmp_path, ["--grpc-server", f"127.0.0.1:{ports[0]}"], 2, 50)
    severities = {one["code"]: one["severity"] for one in found["verdict"]["findings"]}
    assert severities["components_outside_requests"] == "warning"


def test_background_tasks_are_not_outside() -> None:
    @component("upload")
    def upload() -> None: ...

    app = instrument(FastAPI())

    @app.post("/predict")
    def predict(tasks: BackgroundTasks) -> str:
        tasks.add_task(upload)
        return "espresso"

    before = strays.count
    with uvicorn_serving(app) as url:
        replies = [post(f"{url}/predict", headers) for headers in (ASKING, {})]
    assert [reply.status_code for reply in replies] == [200, 200]
    assert strays.count == before


@pytest.mark.parametrize("first", [ASKING, {}])
def test_a_task_that_outlives_its_request_works_outside(first: dict[str, str]) -> None:
    """A loop that the first request starts keeps its context, and serves all the others."""
    app = instrument(FastAPI())
    state: dict[str, Any] = {}

    async def loop(queue: "asyncio.Queue[asyncio.Future[None]]") -> None:
        while True:
            done = await queue.get()
            with component("inference"):
                done.set_result(None)

    @app.post("/predict")
    async def predict() -> str:
        if not state:
            state["queue"] = asyncio.Queue()
            state["task"] = asyncio.create_task(loop(state["queue"]))
        done = asyncio.get_running_loop().create_future()
        state["queue"].put_nowait(done)
        await done
        return "espresso"

    with uvicorn_serving(app) as url:
        post(f"{url}/predict", first)
        reply = post(f"{url}/predict", ASKING)
    assert told(reply.headers["server-timing"]) == 1
    assert "inference" not in mirrored(dict(reply.headers))


def test_a_component_in_a_trace_of_others_is_a_span_there(spans: Spans) -> None:
    before = strays.count
    with trace.get_tracer("user").start_as_current_span("batch"), component("inference"):
        pass
    assert strays.count == before


def test_it_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    found = Strays()
    with caplog.at_level(logging.WARNING, "server_middleware"):
        found.note("inference")
        found.note("inference")
        assert (found.since(0), found.since(1)) == (2, 1)
    (record,) = caplog.records
    assert "'inference' ran outside any request" in record.getMessage()
    assert "component('inference', requests=[this_request()])" in record.getMessage()


def test_the_name_of_the_count_is_no_components() -> None:
    with pytest.raises(ValueError, match="components_outside_requests"):
        component("components_outside_requests")

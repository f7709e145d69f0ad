"""`opentelemetry-instrument`: the mirror without a change to the server's code."""

import os
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import entry_points
from pathlib import Path
from threading import Thread

import grpc
import pytest
from opentelemetry import trace
from opentelemetry.instrumentation import propagators
from opentelemetry.sdk.trace import TracerProvider

import server_middleware
from server_middleware import component
from server_middleware.zero_code import MOST_SPANS, Instrumentor, MirroringPropagator, SpanWatch
from tests.middleware import grpc_service, zero_code_app
from tests.middleware.serving import HOST, grpc_serving, post, serving_process
from tests.middleware.span_samples import ASKING, Spans, mirrored
from tracebench.protos.inference_pb2 import PredictRequest


def test_the_entry_point_names_the_instrumentor() -> None:
    (found,) = [
        one
        for one in entry_points(group="opentelemetry_instrumentor")
        if one.value.startswith("server_middleware")
    ]
    assert found.load() is Instrumentor


@pytest.mark.slow
def test_a_server_is_mirrored_from_the_spans_that_it_makes() -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
    quiet = {f"OTEL_{kind}_EXPORTER": "none" for kind in ("TRACES", "METRICS", "LOGS")}
    program = Path(sys.executable).parent / "opentelemetry-instrument"
    command = [str(program), sys.executable, str(zero_code_app.__file__), str(port)]
    with serving_process(command, port, env={**os.environ, **quiet}) as url:
        asked, unasked = post(f"{url}/predict", ASKING), post(f"{url}/predict", {})
    times = mirrored(asked.headers)
    assert list(times) == ["preprocessing", "inference", "server_processing"]
    assert 0 < times["preprocessing"] + times["inference"] < times["server_processing"]
    assert 'trace;desc="00-' in asked.headers["server-timing"]
    assert mirrored(unasked.headers) == {}


@pytest.fixture
def instrumented() -> Iterator[None]:
    instrumentor = Instrumentor()
    instrumentor.instrument()
    yield
    instrumentor.uninstrument()


@pytest.mark.usefixtures("instrumented")
def test_grpc_servers_get_the_interceptors_once() -> None:
    add = grpc_service.adding(grpc_service.unary, None, None, None)
    with grpc_serving(add, []) as channel:
        _, call = grpc_service.predict(channel, PredictRequest(), grpc_service.ASKING)
    assert set(mirrored(grpc_service.trailers(call))) == grpc_service.QUEUED
    with grpc_service.in_threads() as channel:
        _, call = grpc_service.predict(channel, PredictRequest(), grpc_service.ASKING)
    names = [name for name, _ in call.trailing_metadata()]
    assert names.count("x-timing-info") == 1


@pytest.mark.usefixtures("instrumented")
def test_servers_are_made_as_grpc_has_it() -> None:
    pool = ThreadPoolExecutor(1)
    positional = grpc.server(pool, None, list(server_middleware.grpc.interceptors()), None, 5)
    named = grpc.server(thread_pool=pool, maximum_concurrent_rpcs=5)
    for server in (positional, named):
        state = server._state  # type: ignore[attr-defined] # nothing public tells
        assert len(state.interceptor_pipeline.interceptors) == 1
        assert state.maximum_concurrent_rpcs == 5
    pool.shutdown()


def test_all_is_undone(spans: Spans) -> None:
    def hooks() -> tuple[object, ...]:
        found: object = propagators.get_global_response_propagator()  # type: ignore[no-untyped-call]
        return grpc.server, grpc.aio.server, found

    before = hooks()
    instrumentor = Instrumentor()
    instrumentor.instrument()
    assert all(one is not other for one, other in zip(before, hooks(), strict=True))
    instrumentor.uninstrument()
    assert hooks() == before


@pytest.mark.usefixtures("instrumented")
def test_a_second_package_that_names_it_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    before = grpc.server
    Instrumentor().instrument()
    assert grpc.server is before
    assert not caplog.records


def watched() -> tuple[SpanWatch, trace.Tracer]:
    provider, watch = TracerProvider(shutdown_on_exit=False), SpanWatch()
    provider.add_span_processor(watch)  # type: ignore[arg-type] # it is one by its methods
    return watch, provider.get_tracer("test")


def remote(flags: int = 1) -> object:
    ids = trace.SpanContext(1, 2, is_remote=True, trace_flags=trace.TraceFlags(flags))
    return trace.set_span_in_context(trace.NonRecordingSpan(ids))


def test_a_request_that_no_client_asked_about_is_not_watched() -> None:
    watch, tracer = watched()
    span = tracer.start_span("entry", kind=trace.SpanKind.SERVER)
    assert watch.mirrored(span) == []


def test_spans_that_have_ended_are_forgotten() -> None:
    watch, tracer = watched()
    entry = tracer.start_span("entry", remote(), kind=trace.SpanKind.SERVER)  # type: ignore[arg-type]
    below = trace.set_span_in_context(entry)
    for _ in range(10):
        tracer.start_span("inference", below).end()
    assert "inference" in mirrored({name.lower(): text for name, text in watch.mirrored(entry)})
    entry.end()
    assert watch.mirrored(entry) == []
    assert not watch._watched


def test_what_runs_outside_the_spans_of_a_request_is_told(spans: Spans) -> None:
    @component("inference")
    def infer() -> None: ...

    watch, tracer = watched()
    entry = tracer.start_span("entry", remote(), kind=trace.SpanKind.SERVER)  # type: ignore[arg-type]
    with trace.use_span(entry):
        infer()
        assert "outside" not in watch.mirrored(entry)[1][1]
        thread = Thread(target=infer)
        thread.start()
        thread.join(10)
        infer()
        assert 'components_outside_requests;desc="1"' in watch.mirrored(entry)[1][1]


def test_spans_that_never_end_do_not_keep_others_from_being_watched() -> None:
    watch, tracer = watched()
    for _ in range(MOST_SPANS + 1):
        last = tracer.start_span("entry", remote(), kind=trace.SpanKind.SERVER)  # type: ignore[arg-type]
    assert watch.mirrored(last)
    assert len(watch._watched) == MOST_SPANS


def test_what_was_hooked_in_before_comes_first() -> None:
    order: list[str] = []

    class Before(propagators.ResponsePropagator):
        def inject(self, carrier: object, context: object = None, setter: object = None) -> None:
            order.append("before")

    watch, _ = watched()
    MirroringPropagator(watch, Before()).inject({})
    assert order == ["before"]

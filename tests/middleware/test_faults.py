"""Whatever goes wrong with the measuring, the response is the app's."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Sampler

import server_middleware
from server_middleware import component, instrument
from tests.middleware import grpc_service
from tests.middleware.http.test_wsgi import plain
from tests.middleware.serving import grpc_serving
from tests.middleware.span_samples import ASKING, Spans, mirrored
from tests.middleware.wsgi_client import call, environ
from tracebench.protos.inference_pb2 import PredictRequest


class Broken(SpanProcessor):
    """Fails at one of its duties."""

    def __init__(self, at: str) -> None:
        self._at = at

    def on_start(self, span: Span, parent_context: Any = None) -> None:
        if self._at == "start":
            raise RuntimeError("cannot start")

    def on_end(self, span: ReadableSpan) -> None:
        if self._at == "end":
            raise RuntimeError("cannot end")


class BrokenSampler(Sampler):
    def should_sample(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("cannot decide")

    def get_description(self) -> str:
        return "broken"


class BrokenIds(RandomIdGenerator):
    def generate_span_id(self) -> int:
        raise RuntimeError("cannot count")


class BrokenPropagator(CompositePropagator):
    def extract(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("cannot read")


class BrokenProvider(trace.TracerProvider):
    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        raise RuntimeError("cannot give a tracer")


@pytest.fixture(params=["start", "end", "sampler", "ids", "propagator", "provider"])
def broken(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    provider = TracerProvider(
        sampler=BrokenSampler() if request.param == "sampler" else None,
        id_generator=BrokenIds() if request.param == "ids" else None,
    )
    provider.add_span_processor(Broken(request.param))
    given = BrokenProvider() if request.param == "provider" else provider
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", given)
    propagators = propagate.get_global_textmap()
    if request.param == "propagator":
        propagate.set_global_textmap(BrokenPropagator([]))
    yield
    propagate.set_global_textmap(propagators)
    provider.shutdown()


@pytest.mark.usefixtures("broken")
def test_what_is_broken_breaks_no_wsgi_response(caplog: pytest.LogCaptureFixture) -> None:
    answer = call(instrument(plain), environ(ASKING))
    assert (answer.status, answer.chunks) == ("200 OK", [b"espresso"])
    assert set(mirrored(answer.headers)) == {"inference", "server_processing"}
    assert {record.name for record in caplog.records} == {"server_middleware"}


@pytest.mark.usefixtures("broken")
def test_what_is_broken_breaks_no_call() -> None:
    with grpc_service.in_threads() as channel:
        reply, one = grpc_service.predict(channel, PredictRequest(), grpc_service.ASKING)
    assert reply.result == "espresso"
    assert set(mirrored(grpc_service.trailers(one))) == grpc_service.QUEUED


@pytest.mark.usefixtures("broken")
def test_what_is_broken_breaks_no_asgi_response() -> None:
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with component("inference"):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"espresso"})

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"x-benchmark", b"1")]}
    asyncio.run(instrument(app)(scope, send, send))
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


def test_a_collector_that_refuses_costs_no_response(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL + 1)
    provider = TracerProvider(shutdown_on_exit=False)
    refused = OTLPSpanExporter("http://127.0.0.1:9/v1/traces", timeout=1)
    provider.add_span_processor(BatchSpanProcessor(refused, export_timeout_millis=100))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    for _ in range(20):
        answer = call(instrument(plain), environ(ASKING))
        assert (answer.status, answer.chunks) == ("200 OK", [b"espresso"])
        assert 'trace;desc="00-' in answer.headers["server-timing"]
    refused.shutdown()  # type: ignore[no-untyped-call] # it has no types
    provider.shutdown()


def test_what_the_sampler_drops_is_timed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        trace, "_TRACER_PROVIDER", TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    )
    headers = call(instrument(plain), environ(ASKING)).headers
    assert set(mirrored(headers)) == {"inference", "server_processing"}
    assert "trace" not in headers["server-timing"]


@pytest.mark.parametrize("value", [f"00-{'g' * 32}-{'b' * 16}-01", "x" * 9_000, "\r\n", "☕"])
def test_nothing_of_a_strange_header_comes_back(value: str) -> None:
    answer = call(instrument(plain), environ({"traceparent": value, "X-Benchmark": value}))
    told = answer.headers["x-timing-info"] + answer.headers["server-timing"]
    assert value not in told
    assert told.isascii()


def test_a_message_that_cannot_be_read_is_grpcs_affair() -> None:
    with grpc_service.in_threads() as channel:
        raw = channel.unary_unary(
            f"/{grpc_service.SERVICE}/Predict", lambda data: data, lambda data: data
        )
        with pytest.raises(grpc.RpcError) as caught:
            raw(b"\xff\xff", metadata=grpc_service.ASKING)
    assert caught.value.code() is grpc.StatusCode.INTERNAL


def test_a_response_that_cannot_be_serialised_is_grpcs_affair() -> None:
    with grpc_service.by_threads(lambda *_: "espresso", None, None, None) as channel:
        _, one = grpc_service.predict(channel, PredictRequest(), grpc_service.ASKING)
    assert one.code() is grpc.StatusCode.INTERNAL


class Odd:
    """A message that does not want to be looked into."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("cannot look")


@pytest.mark.parametrize("metadata", [(), grpc_service.ASKING])
def test_a_message_that_cannot_be_looked_into_breaks_no_call(metadata: Any) -> None:
    handler = grpc.unary_unary_rpc_method_handler(lambda *_: b"espresso", lambda _: Odd())
    generic = grpc.method_handlers_generic_handler("zoo", {"Odd": handler})
    interceptors = server_middleware.grpc.interceptors()
    with grpc_serving(lambda s: s.add_generic_rpc_handlers((generic,)), interceptors) as channel:
        assert channel.unary_unary("/zoo/Odd", None, None)(b"", metadata=metadata) == b"espresso"


class WordlessError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_an_error_without_words_loses_no_span(spans: Spans) -> None:
    def failing(given: Any, start_response: Any) -> Any:
        with component("inference"):
            raise WordlessError

    with pytest.raises(WordlessError):
        call(instrument(failing), environ(ASKING))
    assert [span.name for span in spans.wait(2)] == ["inference", "POST"]


class Wrapped(grpc.ServicerContext):
    """What an interceptor may put around a context: all that must be there, and nothing else."""

    def __init__(self, inside: grpc.ServicerContext) -> None:
        self._inside = inside

    def __getattribute__(self, name: str) -> Any:
        if name in grpc.ServicerContext.__abstractmethods__:  # type: ignore[attr-defined] # it is abstract
            return getattr(self._inside, name)
        return super().__getattribute__(name)


Wrapped.__abstractmethods__ = frozenset()  # type: ignore[attr-defined] # it has them all


class Wrapping(grpc.ServerInterceptor):  # type: ignore[type-arg] # of any messages
    def intercept_service(self, continuation: Any, details: Any) -> Any:
        handler = continuation(details)
        return handler._replace(
            unary_unary=lambda request, context: handler.unary_unary(request, Wrapped(context))
        )


@pytest.mark.parametrize(
    ("body", "code"), [(b"", "OK"), (b"abort", "INVALID_ARGUMENT"), (b"raise", "UNKNOWN")]
)
def test_a_context_that_does_not_tell_breaks_no_call(body: bytes, code: str) -> None:
    interceptors = [Wrapping(), *server_middleware.grpc.interceptors()]
    add = grpc_service.adding(grpc_service.unary, None, None, None)
    with grpc_serving(add, interceptors) as channel:
        request = PredictRequest(image_data=body)
        _, one = grpc_service.predict(channel, request, grpc_service.ASKING)
    assert one.code().name == code


HEAVY = ("numpy", "matplotlib", "rich", "opentelemetry.sdk", "grpc", "flask", "tracebench.load")


def test_importing_it_is_light() -> None:
    code = f"import sys, server_middleware; print([m for m in {HEAVY!r} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"

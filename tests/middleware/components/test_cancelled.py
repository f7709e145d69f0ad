"""Work that is cancelled half-way: its spans end, and nothing of it stays behind."""

import asyncio
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import httpx
import pytest
from opentelemetry import context as otel
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind

import server_middleware
from server_middleware import component, instrument
from server_middleware.context.scope import current
from tests.middleware.serving import grpc_aio_serving, waitress_serving
from tests.middleware.span_samples import TRACEPARENT, Spans, mirrored, parent_id, span_id
from tracebench.protos.inference_pb2 import PredictRequest, PredictResponse
from tracebench.protos.inference_pb2_grpc import (
    InferenceServiceServicer,
    InferenceServiceStub,
    add_InferenceServiceServicer_to_server,
)

SCOPE = {
    "type": "http",
    "method": "POST",
    "path": "/predict",
    "headers": [(b"traceparent", TRACEPARENT.encode())],
}


class Slow(InferenceServiceServicer):
    """Takes a minute over its first call, and no time over the next."""

    def __init__(self) -> None:
        self.began, self.left = Event(), Event()

    async def Predict(self, request: PredictRequest, context: Any) -> PredictResponse:  # noqa: N802 - gRPC's
        with component("inference"):
            if not self.began.is_set():
                self.began.set()
                try:
                    await asyncio.sleep(60)
                finally:
                    self.left.set()
        return PredictResponse()


@pytest.mark.parametrize("late", [False, True])
def test_a_cancelled_call_ends_its_spans(
    spans: Spans, caplog: pytest.LogCaptureFixture, late: bool
) -> None:
    servicer, metadata = Slow(), (("traceparent", TRACEPARENT),)

    def add(server: Any) -> None:
        add_InferenceServiceServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]

    with grpc_aio_serving(add, server_middleware.grpc.aio_interceptors()) as channel:
        predict: Any = InferenceServiceStub(channel).Predict  # type: ignore[no-untyped-call]
        timeout_s = 0.2 if late else None
        call = predict.future(PredictRequest(), metadata=metadata, timeout=timeout_s)
        assert servicer.began.wait(10)
        if not late:
            call.cancel()
        assert servicer.left.wait(10)
        inner, server = in_order(spans.wait(2))
        assert (inner.name, parent_id(inner)) == ("inference", span_id(server))
        assert (server.attributes or {})["rpc.response.status_code"] == "CANCELLED"
        spans.forget()
        _, after = predict.with_call(PredictRequest(), metadata=metadata)
        assert {"inference", "server_processing"} <= set(mirrored(dict(after.trailing_metadata())))
        spans.wait(2)
    assert not opentelemetrys(caplog)


def test_a_cancelled_request_ends_its_spans(spans: Spans, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        with component("inference"):
            await asyncio.sleep(60)

    async def unused(*_: object) -> Any:
        raise AssertionError("nothing is received or sent")

    async def main() -> None:
        task = asyncio.create_task(instrument(app)(SCOPE, unused, unused))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert current.get() is None
        assert otel.get_current() == otel.Context()

    asyncio.run(main())
    inner, server = in_order(spans.wait(2))
    assert (inner.name, parent_id(inner)) == ("inference", span_id(server))
    assert (server.attributes or {})["error.type"] == "CancelledError"
    assert not opentelemetrys(caplog)


def test_a_client_that_hangs_up_on_a_wsgi_server_ends_the_span(
    spans: Spans, caplog: pytest.LogCaptureFixture
) -> None:
    def endless(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        start_response("200 OK", [])
        while True:
            with component("inference"):
                chunk = bytes(100_000)
            yield chunk

    with waitress_serving(instrument(endless)) as url:
        with httpx.stream("GET", url, headers={"traceparent": TRACEPARENT}, trust_env=False) as one:
            assert next(one.iter_raw())
        spans.wait_for_servers(1)
    *inner, server = in_order(spans.ended())
    assert {parent_id(span) for span in inner} == {span_id(server)}
    assert not opentelemetrys(caplog)


def in_order(spans: list[ReadableSpan]) -> list[ReadableSpan]:
    """The server span last."""
    return sorted(spans, key=lambda span: span.kind is SpanKind.SERVER)


def opentelemetrys(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What OpenTelemetry, or the middleware, complained about."""
    names = ("opentelemetry", "server_middleware")
    return [one.getMessage() for one in caplog.records if one.name.startswith(names)]

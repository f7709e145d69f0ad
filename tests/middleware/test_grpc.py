"""gRPC, in threads and in coroutines: all four kinds of calls on real servers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import pairwise
from threading import Event
from time import sleep
from typing import Any

import grpc
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

import server_middleware
from protos.inference_pb2 import PredictRequest, PredictResponse
from server_middleware import component
from tests.middleware.serving import grpc_aio_serving, grpc_serving
from tests.middleware.spans import (
    PARENT_ID,
    TRACE_ID,
    TRACEPARENT,
    UNSAMPLED,
    Spans,
    duration_ns,
    mirrored,
    parent_id,
    span_id,
)

ASKING = (("traceparent", TRACEPARENT),)
QUEUED = {"queue", "deserialization", "inference", "serialization", "server_processing"}
SERVICE = "inference.InferenceService"
CODING = (PredictRequest.SerializeToString, PredictResponse.FromString)
Serving = Callable[[], AbstractContextManager[grpc.Channel]]


def infer(request: PredictRequest, context: Any) -> PredictResponse:
    with component("inference"):
        context.set_trailing_metadata((("model", "lite0"),))
        if request.image_data == b"raise":
            raise ValueError("not an image")
        return PredictResponse(result="espresso")


def unary(request: PredictRequest, context: Any) -> PredictResponse:
    if request.image_data == b"abort":
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not an image")
    if request.image_data == b"set":
        context.set_code(grpc.StatusCode.INTERNAL)
    return infer(request, context)


async def unary_aio(request: PredictRequest, context: Any) -> PredictResponse:
    if request.image_data == b"abort and say":
        await context.abort(grpc.StatusCode.NOT_FOUND, "no model", (("model", "lite0"),))
    if request.image_data == b"abort":
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not an image")
    if request.image_data == b"set":
        context.set_code(grpc.StatusCode.INTERNAL)
    return infer(request, context)


def replies(request: Any, context: Any) -> Iterator[PredictResponse]:
    for _ in range(5):
        with component("inference"):
            sleep(0.02)
        yield PredictResponse(result="token")


async def replies_aio(request: Any, context: Any) -> AsyncIterator[PredictResponse]:
    for _ in range(5):
        with component("inference"):
            await asyncio.sleep(0.02)
        yield PredictResponse(result="token")


async def replies_written(request: Any, context: Any) -> None:
    for _ in range(5):
        with component("inference"):
            await asyncio.sleep(0.02)
        await context.write(PredictResponse(result="token"))


def gathered(requests: Iterator[PredictRequest], context: Any) -> PredictResponse:
    return infer(list(requests)[-1], context)


async def gathered_aio(requests: AsyncIterator[PredictRequest], context: Any) -> PredictResponse:
    return infer([request async for request in requests][-1], context)


def adding(one: Any, stream: Any, gather: Any, both: Any) -> Callable[[Any], None]:
    coding = (PredictRequest.FromString, PredictResponse.SerializeToString)
    handlers = {
        "Predict": grpc.unary_unary_rpc_method_handler(one, *coding),
        "Stream": grpc.unary_stream_rpc_method_handler(stream, *coding),
        "Gather": grpc.stream_unary_rpc_method_handler(gather, *coding),
        "Both": grpc.stream_stream_rpc_method_handler(both, *coding),
    }
    generic = grpc.method_handlers_generic_handler(SERVICE, handlers)
    return lambda server: server.add_generic_rpc_handlers((generic,))


def in_threads() -> AbstractContextManager[grpc.Channel]:
    add = adding(unary, replies, gathered, replies)
    return grpc_serving(add, server_middleware.grpc.interceptors())


def in_coroutines() -> AbstractContextManager[grpc.Channel]:
    add = adding(unary_aio, replies_aio, gathered_aio, replies_aio)
    return grpc_aio_serving(add, server_middleware.grpc.aio_interceptors())


def in_writing_coroutines() -> AbstractContextManager[grpc.Channel]:
    add = adding(unary_aio, replies_written, gathered_aio, replies_written)
    return grpc_aio_serving(add, server_middleware.grpc.aio_interceptors())


def in_threads_of_aio() -> AbstractContextManager[grpc.Channel]:
    add = adding(unary, replies, gathered, replies)
    return grpc_aio_serving(add, server_middleware.grpc.aio_interceptors())


EVERY = (in_threads, in_coroutines, in_writing_coroutines, in_threads_of_aio)


def predict(channel: grpc.Channel, request: PredictRequest, metadata: Any = ()) -> Any:
    """Call once; gives the call, which knows the reply, or the error."""
    method = channel.unary_unary(f"/{SERVICE}/Predict", *CODING)
    try:
        return method.with_call(request, metadata=metadata)
    except grpc.RpcError as error:
        return None, error


@pytest.mark.parametrize("serving", EVERY)
@pytest.mark.parametrize("how", [b"abort", b"raise", b"set"])
def test_calls_that_fail_are_mirrored(serving: Serving, how: bytes) -> None:
    with serving() as channel:
        _, error = predict(channel, PredictRequest(image_data=how), ASKING)
    assert error.code() is not grpc.StatusCode.OK
    assert mirrored(trailers(error))["server_processing"] > 0
    names = [name for name, _ in error.trailing_metadata()]
    assert names.count("x-timing-info") == 1
    assert ("model" in names) is (how != b"abort")


def test_what_abort_is_given_is_sent_with_the_mirror() -> None:
    with in_coroutines() as channel:
        _, error = predict(channel, PredictRequest(image_data=b"abort and say"), ASKING)
    assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, "no model")
    names = [name for name, _ in error.trailing_metadata()]
    assert names == ["model", "x-timing-info", "server-timing"]


def stream(channel: grpc.Channel, name: str) -> Any:
    if name == "Stream":
        return channel.unary_stream(f"/{SERVICE}/Stream", *CODING)(
            PredictRequest(), metadata=ASKING
        )
    requests = iter([PredictRequest(), PredictRequest()])
    return channel.stream_stream(f"/{SERVICE}/Both", *CODING)(requests, metadata=ASKING)


def trailers(call: Any) -> dict[str, str]:
    return dict(call.trailing_metadata())


def server_of(found: list[ReadableSpan]) -> ReadableSpan:
    (server,) = [span for span in found if span.kind is SpanKind.SERVER]
    return server


@pytest.mark.parametrize("serving", EVERY)
@pytest.mark.parametrize(
    ("metadata", "in_message", "asked"),
    [
        ((), False, False),
        ((("traceparent", UNSAMPLED),), False, False),
        (ASKING, False, True),
        ((("x-benchmark", "1"),), False, True),
        ((), True, True),
        (ASKING, True, True),
    ],
)
def test_only_a_call_that_asks_is_answered(
    serving: Serving, metadata: Any, in_message: bool, asked: bool
) -> None:
    with serving() as channel:
        reply, call = predict(channel, PredictRequest(enable_timing=in_message), metadata)
    assert reply.result == "espresso"
    times = mirrored(trailers(call))
    assert ("inference" in times) is asked
    assert ("server-timing" in trailers(call)) is asked
    assert trailers(call)["model"] == "lite0"
    told = {entry.component: entry.duration_ms / 1e3 for entry in reply.timing_info}
    assert ("inference" in told) is in_message
    if in_message:
        assert told["inference"] == pytest.approx(times["inference"], abs=1e-9)
        assert told["server_processing"] <= times["server_processing"]


def test_the_wait_for_a_thread_is_the_queue() -> None:
    def slowly(request: PredictRequest, context: Any) -> PredictResponse:
        sleep(0.05)
        return infer(request, context)

    add = adding(slowly, replies, gathered, replies)
    with grpc_serving(add, server_middleware.grpc.interceptors(), threads=1) as channel:
        method = channel.unary_unary(f"/{SERVICE}/Predict", *CODING)
        calls = [method.future(PredictRequest(), metadata=ASKING) for _ in range(3)]
        times = sorted((mirrored(trailers(call)) for call in calls), key=lambda one: one["queue"])
    assert [set(one) for one in times] == [QUEUED] * 3
    waited_s = [one["queue"] for one in times]
    assert all(later - earlier > 0.03 for earlier, later in pairwise(waited_s))


@pytest.mark.parametrize("serving", EVERY)
def test_the_span_conforms_to_the_conventions_of_rpc(spans: Spans, serving: Serving) -> None:
    with serving() as channel:
        _, call = predict(channel, PredictRequest(), ASKING)
        queued = "queue" in mirrored(trailers(call))
        found = spans.wait(3 if queued else 2)
    server = server_of(found)
    assert server.name == f"{SERVICE}/Predict"
    assert (server.get_span_context().trace_id, parent_id(server)) == (TRACE_ID, PARENT_ID)  # type: ignore[union-attr]
    assert f"{span_id(server):016x}" in trailers(call)["server-timing"]
    assert {parent_id(span) for span in found if span is not server} == {span_id(server)}
    attributes = dict(server.attributes or {})
    assert attributes.pop("network.peer.port")
    assert attributes == {
        "rpc.system.name": "grpc",
        "rpc.method": f"{SERVICE}/Predict",
        "rpc.response.status_code": "OK",
        "client.address": "127.0.0.1",
        "network.peer.address": "127.0.0.1",
    }
    assert server.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize("serving", [in_threads, in_coroutines, in_threads_of_aio])
@pytest.mark.parametrize(
    ("body", "code", "failed", "events"),
    [
        (b"abort", "INVALID_ARGUMENT", None, []),
        (b"set", "INTERNAL", "INTERNAL", []),
        (b"raise", "UNKNOWN", "UNKNOWN", ["exception"]),
    ],
)
def test_failures_conform_as_well(
    spans: Spans, serving: Serving, body: bytes, code: str, failed: str | None, events: list[str]
) -> None:
    with serving() as channel:
        _, call = predict(channel, PredictRequest(image_data=body), ASKING)
    server = server_of(spans.ended())
    attributes = server.attributes or {}
    assert call.code().name == attributes["rpc.response.status_code"] == code
    assert attributes.get("error.type") == failed
    assert server.status.status_code is (StatusCode.ERROR if failed else StatusCode.UNSET)
    assert [event.name for event in server.events] == events


@pytest.mark.parametrize("serving", EVERY)
@pytest.mark.parametrize("name", ["Stream", "Both"])
def test_a_stream_of_100_ms_is_a_span_of_100_ms(spans: Spans, serving: Serving, name: str) -> None:
    with serving() as channel:
        call = stream(channel, name)
        assert [reply.result for reply in call] == ["token"] * 5
        times = mirrored(trailers(call))
    server = server_of(spans.ended())
    assert 100e6 <= duration_ns(server) < 200e6
    steps = [span for span in spans.ended() if span.name == "inference"]
    assert [parent_id(span) for span in steps] == [span_id(server)] * 5
    assert times["inference"] == pytest.approx(sum(map(duration_ns, steps)) / 1e9, abs=1e-9)


@pytest.mark.parametrize("serving", EVERY)
def test_a_stream_of_requests_is_one_call(spans: Spans, serving: Serving) -> None:
    with serving() as channel:
        gather = channel.stream_unary(f"/{SERVICE}/Gather", *CODING)
        requests = iter([PredictRequest(), PredictRequest()])
        _, call = gather.with_call(requests, metadata=ASKING)
        assert {"inference", "serialization", "server_processing"} <= set(mirrored(trailers(call)))
    assert server_of(spans.ended()).name == f"{SERVICE}/Gather"


# in threads of grpc.aio, grpcio itself never ends such a handler
@pytest.mark.parametrize("serving", EVERY[:3])
def test_a_client_that_goes_away_ends_the_span(
    spans: Spans, serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    with serving() as channel:
        call = stream(channel, "Stream")
        assert next(call).result == "token"
        call.cancel()
    server = server_of(spans.ended())
    assert (server.attributes or {})["rpc.response.status_code"] in ("CANCELLED", "OK")
    assert not [record for record in caplog.records if record.name.startswith("opentelemetry")]


@pytest.mark.parametrize(
    ("serving", "count", "status"), [(grpc_serving, 3, "OK"), (grpc_aio_serving, 2, "CANCELLED")]
)
def test_a_reply_that_comes_too_late_ends_the_span(
    spans: Spans, serving: Any, count: int, status: str
) -> None:
    began, over = Event(), Event()

    def late(request: PredictRequest, context: Any) -> PredictResponse:
        began.set()
        assert over.wait(10)
        return infer(request, context)

    given = "interceptors" if serving is grpc_serving else "aio_interceptors"
    interceptors = getattr(server_middleware.grpc, given)()
    with serving(adding(late, replies, gathered, replies), interceptors) as channel:
        predict = channel.unary_unary(f"/{SERVICE}/Predict", *CODING)
        call = predict.future(PredictRequest(), metadata=ASKING)
        assert began.wait(10)
        call.cancel()
        channel.stream_unary(f"/{SERVICE}/Gather", *CODING)(iter([PredictRequest()]))
        over.set()  # what was sent first, the server knows by now
        server = server_of(spans.wait(count))
    assert (server.attributes or {})["rpc.response.status_code"] == status


def test_a_method_that_is_not_served_is_left_alone() -> None:
    for serving in (in_threads, in_coroutines):
        with serving() as channel, pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(f"/{SERVICE}/Nothing", *CODING)(PredictRequest(), metadata=ASKING)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_the_module_is_imported_when_it_is_used() -> None:
    assert server_middleware.grpc.interceptors()
    with pytest.raises(AttributeError, match="no attribute 'thrift'"):
        server_middleware.thrift  # noqa: B018 - that it is looked up is the test


def test_pools_are_left_alone_by_other_work() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(sum, (1, 2)).result() == 3

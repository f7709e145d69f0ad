"""The spans of gRPC calls, in threads and in coroutines."""

from collections.abc import AsyncIterator, Iterator
from threading import Event
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from server_middleware import component
from tests.middleware.grpc_service import (
    ASKING,
    CODING,
    EVERY,
    SERVICE,
    Serving,
    by_loop,
    by_threads,
    gathered,
    in_coroutines,
    in_threads,
    in_threads_of_aio,
    infer,
    predict,
    replies,
    stream,
    trailers,
    unary,
)
from tests.middleware.span_samples import (
    PARENT_ID,
    TRACE_ID,
    Spans,
    duration_ns,
    mirrored,
    parent_id,
    span_id,
)
from tracebench.protos.inference_pb2 import PredictRequest, PredictResponse


def server_of(found: list[ReadableSpan]) -> ReadableSpan:
    (server,) = [span for span in found if span.kind is SpanKind.SERVER]
    return server


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
    for name in ("deserialization", "serialization"):
        told_ns = attributes.pop(f"tracebench.part_ns.{name}")
        assert told_ns == round(mirrored(trailers(call))[name] * 1e9)
    assert attributes == {
        "rpc.system.name": "grpc",
        "rpc.method": f"{SERVICE}/Predict",
        "rpc.response.status_code": "OK",
        "client.address": "127.0.0.1",
        "network.peer.address": "127.0.0.1",
    }
    assert server.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize("serving", EVERY)
def test_names_that_occur_twice_in_the_metadata_do_no_harm(spans: Spans, serving: Serving) -> None:
    metadata = (("tag", "a"), *ASKING, ("tag", "b"), ("tracestate", "x=1"), ("tracestate", "y=2"))
    with serving() as channel:
        predict(channel, PredictRequest(), metadata)
    server = server_of(spans.ended())
    assert parent_id(server) == PARENT_ID
    assert server.get_span_context().trace_state == {"x": "1", "y": "2"}  # type: ignore[union-attr]


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


@pytest.mark.parametrize("serving", [in_threads, in_coroutines])
def test_a_plain_exception_is_no_abort(spans: Spans, serving: Serving) -> None:
    with serving() as channel:
        predict(channel, PredictRequest(image_data=b"plainly"), ASKING)
    server = server_of(spans.ended())
    assert [event.name for event in server.events] == ["exception"]


@pytest.mark.parametrize("served", [by_threads, by_loop])
def test_a_serializer_that_fails_has_the_status_that_is_sent(spans: Spans, served: Any) -> None:
    with served(lambda *_: "no message", replies, gathered, replies) as channel:
        _, call = predict(channel, PredictRequest(), ASKING)
    attributes = server_of(spans.ended()).attributes or {}
    assert attributes["rpc.response.status_code"] == call.code().name


class Counting:
    """An iterator, as gRPC takes it: it is not iterable."""

    def __init__(self) -> None:
        self._left = 3

    def __next__(self) -> PredictResponse:
        self._left -= 1
        if self._left < 0:
            raise StopIteration
        return PredictResponse(result="token")


@pytest.mark.parametrize("metadata", [(), ASKING])
def test_a_stream_may_be_any_iterator(metadata: Any) -> None:
    with by_threads(unary, lambda *_: Counting(), gathered, replies) as channel:
        method = channel.unary_stream(f"/{SERVICE}/Stream", *CODING)
        assert len(list(method(PredictRequest(), metadata=metadata))) == 3


def detokenized(request: Any, context: Any) -> Iterator[PredictResponse]:
    with component("inference"):
        for _ in range(3):
            with component("postprocessing"):
                pass
            yield PredictResponse(result="token")


async def detokenized_aio(request: Any, context: Any) -> AsyncIterator[PredictResponse]:
    for response in detokenized(request, context):
        yield response


@pytest.mark.parametrize(
    ("served", "handler"), [(by_threads, detokenized), (by_loop, detokenized_aio)]
)
def test_a_component_may_stay_open_while_a_stream_stands_still(
    spans: Spans, served: Any, handler: Any
) -> None:
    with served(unary, handler, gathered, replies) as channel:
        assert len(list(stream(channel, "Stream"))) == 3
    (inference,) = [span for span in spans.ended() if span.name == "inference"]
    inner = [span for span in spans.ended() if span.name == "postprocessing"]
    assert [parent_id(span) for span in inner] == [span_id(inference)] * 3
    assert parent_id(inference) == span_id(server_of(spans.ended()))


@pytest.mark.parametrize("serving", EVERY)
@pytest.mark.parametrize("name", ["Stream", "Both"])
def test_a_stream_of_100_ms_is_a_span_of_100_ms(spans: Spans, serving: Serving, name: str) -> None:
    with serving() as channel:
        call = stream(channel, name)
        assert [reply.result for reply in call] == ["token"] * 5
        times = mirrored(trailers(call))
    server = server_of(spans.ended())
    assert duration_ns(server) >= 100e6
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
    ("served", "count", "status"), [(by_threads, 3, "OK"), (by_loop, 2, "CANCELLED")]
)
def test_a_reply_that_comes_too_late_ends_the_span(
    spans: Spans, served: Any, count: int, status: str
) -> None:
    began, over = Event(), Event()

    def late(request: PredictRequest, context: Any) -> PredictResponse:
        began.set()
        assert over.wait(10)
        return infer(request, context)

    with served(late, replies, gathered, replies) as channel:
        predict = channel.unary_unary(f"/{SERVICE}/Predict", *CODING)
        call = predict.future(PredictRequest(), metadata=ASKING)
        assert began.wait(10)
        call.cancel()
        channel.stream_unary(f"/{SERVICE}/Gather", *CODING)(iter([PredictRequest()]))
        over.set()  # what was sent first, the server knows by now
        server = server_of(spans.wait(count))
    assert (server.attributes or {})["rpc.response.status_code"] == status

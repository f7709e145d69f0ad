"""A gRPC server answers as it would without the interceptors."""

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import grpc
import pytest

import server_middleware
from tests.middleware import grpc_service
from tests.middleware.grpc_service import ASKING, CODING, SERVICE, adding
from tests.middleware.serving import grpc_aio_serving, grpc_serving
from tests.middleware.span_samples import UNSAMPLED, mirrored
from tracebench.protos.inference_pb2 import PredictRequest, PredictResponse

MIRROR = ("x-timing-info", "server-timing", "x-stream-timing")


def token(context: Any) -> PredictResponse:
    context.set_trailing_metadata((("model", "lite0"),))
    return PredictResponse(result="token")


def breaking(request: Any, context: Any) -> Iterator[PredictResponse]:
    yield token(context)
    raise ValueError("not an image")


async def breaking_aio(request: Any, context: Any) -> AsyncIterator[PredictResponse]:
    yield token(context)
    raise ValueError("not an image")


def refusing(request: Any, context: Any) -> Iterator[PredictResponse]:
    yield token(context)
    context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "no more tokens")


async def refusing_aio(request: Any, context: Any) -> AsyncIterator[PredictResponse]:
    yield token(context)
    await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "no more tokens")


class Kind(NamedTuple):
    """A server, without interceptors and with them."""

    serve: Callable[[Any, list[Any]], AbstractContextManager[grpc.Channel]]
    ours: Callable[[], list[Any]]
    one: Any
    streams: tuple[Any, Any]


KINDS = {
    "threads": Kind(
        grpc_serving,
        server_middleware.grpc.interceptors,
        grpc_service.unary,
        (breaking, refusing),
    ),
    "coroutines": Kind(
        grpc_aio_serving,
        server_middleware.grpc.aio_interceptors,
        grpc_service.unary_aio,
        (breaking_aio, refusing_aio),
    ),
    "threads of aio": Kind(
        grpc_aio_serving,
        server_middleware.grpc.aio_interceptors,
        grpc_service.unary,
        (breaking, breaking),  # an `abort` there is lost now and then, by grpcio itself
    ),
}
METADATA = {"unasked": (), "unsampled": (("traceparent", UNSAMPLED),), "asked": ASKING}
BODIES = (b"", b"abort", b"abort and say", b"raise", b"set")


def said(call: Any) -> tuple[Any, ...]:
    trailing = [pair for pair in call.trailing_metadata() if pair[0] not in MIRROR]
    return call.code(), call.details(), list(call.initial_metadata()), trailing


def answers(channel: grpc.Channel, metadata: Any) -> list[Any]:
    """What comes of calls of each kind, whose mirrors are left aside."""
    found: list[Any] = []
    for body in BODIES:
        request = PredictRequest(image_data=body)
        reply, call = grpc_service.predict(channel, request, metadata)
        found.append((reply and reply.SerializeToString(), *said(call)))
    for name in ("Stream", "Both"):
        kind: Any = channel.unary_stream if name == "Stream" else channel.stream_stream
        given = PredictRequest() if name == "Stream" else iter([PredictRequest()])
        stream = kind(f"/{SERVICE}/{name}", *CODING)(given, metadata=metadata)
        found.append((drained(stream), *said(stream)))
    return found


def drained(stream: Any) -> list[bytes]:
    replies: list[bytes] = []
    with pytest.raises(grpc.RpcError):
        replies.extend(reply.SerializeToString() for reply in stream)
    return replies


@pytest.mark.parametrize("how", METADATA)
@pytest.mark.parametrize("name", KINDS)
def test_replies_statuses_and_metadata_are_the_same(name: str, how: str) -> None:
    kind = KINDS[name]
    add = adding(kind.one, kind.streams[0], grpc_service.gathered, kind.streams[1])
    with kind.serve(add, []) as bare, kind.serve(add, kind.ours()) as timed:
        assert answers(timed, METADATA[how]) == answers(bare, METADATA[how])


@pytest.mark.parametrize("name", ["threads", "coroutines"])
def test_a_message_that_is_returned_every_time_stays_as_it_is(name: str) -> None:
    always = PredictResponse(result="espresso")

    def same(request: Any, context: Any) -> PredictResponse:
        return always

    async def same_aio(request: Any, context: Any) -> PredictResponse:
        return always

    kind = KINDS[name]
    add = adding(same if name == "threads" else same_aio, None, None, None)
    with kind.serve(add, kind.ours()) as channel:
        told = [
            grpc_service.predict(channel, PredictRequest(enable_timing=asked))[0].timing_info
            for asked in (True, True, False)
        ]
    assert not always.timing_info
    assert [bool(entries) for entries in told] == [True, True, False]
    assert len(told[0]) == len(told[1])


def test_what_was_timed_by_hand_stays() -> None:
    def by_hand(request: Any, context: Any) -> PredictResponse:
        context.set_trailing_metadata((("x-timing-info", '{"inference": 0.25}'),))
        reply = PredictResponse()
        reply.timing_info.add(component="inference", duration_ms=250)
        return reply

    with grpc_service.by_threads(by_hand, None, None, None) as channel:
        reply, call = grpc_service.predict(channel, PredictRequest(enable_timing=True), ASKING)
    assert [entry.duration_ms for entry in reply.timing_info] == [250]
    assert mirrored(grpc_service.trailers(call)) == {"inference": 0.25}
    assert "server-timing" not in grpc_service.trailers(call)


@pytest.mark.parametrize("metadata", [(), ASKING])
@pytest.mark.parametrize("name", KINDS)
def test_a_context_is_of_the_class_that_it_was(name: str, metadata: Any) -> None:
    classes: list[type] = []

    def noting(request: Any, context: Any) -> PredictResponse:
        classes.append(context.__class__)
        assert isinstance(context, classes[0])
        return PredictResponse()

    async def noting_aio(request: Any, context: Any) -> PredictResponse:
        return noting(request, context)

    kind = KINDS[name]
    add = adding(noting_aio if name == "coroutines" else noting, None, None, None)
    with kind.serve(add, []) as bare, kind.serve(add, kind.ours()) as timed:
        for channel in (bare, timed):
            assert grpc_service.predict(channel, PredictRequest(), metadata)[0] is not None
    assert classes[0] is classes[1]


def test_a_behaviour_keeps_its_own_pool() -> None:
    threads: list[str] = []

    def unary(request: Any, context: Any) -> PredictResponse:
        threads.append(threading.current_thread().name)
        return PredictResponse()

    with ThreadPoolExecutor(1, "own") as pool:
        unary.experimental_thread_pool = pool  # type: ignore[attr-defined] # gRPC looks for it
        with grpc_service.by_threads(unary, None, None, None) as channel:
            for metadata in METADATA.values():
                grpc_service.predict(channel, PredictRequest(), metadata)
    assert [name.partition("_")[0] for name in threads] == ["own"] * 3


def test_a_behaviour_that_calls_back_is_left_alone() -> None:
    def calling_back(request: Any, context: Any, send: Any = None) -> None:
        send(PredictResponse(result="token"))
        send(None)

    calling_back.experimental_non_blocking = True  # type: ignore[attr-defined] # gRPC looks for it
    with grpc_service.by_threads(None, calling_back, None, None) as channel:
        replies = list(grpc_service.stream(channel, "Stream"))
    assert [reply.result for reply in replies] == ["token"]


# In threads of grpc.aio a cancelled stream keeps its thread for good, with or without us.
@pytest.mark.parametrize("name", ["threads", "coroutines"])
def test_a_client_that_hangs_up_leaves_a_server_that_answers(name: str) -> None:
    kind = KINDS[name]
    slow = grpc_service.replies_aio if name == "coroutines" else grpc_service.replies
    add = adding(kind.one, slow, None, slow)
    with kind.serve(add, kind.ours()) as channel:
        for _ in range(8):
            stream = grpc_service.stream(channel, "Stream")
            next(stream)
            stream.cancel()
        reply, call = grpc_service.predict(channel, PredictRequest(), ASKING)
    assert reply.result == "espresso"
    assert "server_processing" in mirrored(grpc_service.trailers(call))

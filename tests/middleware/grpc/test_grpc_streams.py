"""gRPC calls that stream: what is told of their messages, and what they leave behind."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from threading import Event
from typing import Any

import grpc
import pytest
from opentelemetry import context as otel
from opentelemetry.instrumentation.grpc import server_interceptor
from opentelemetry.trace import SpanKind

import server_middleware
from benchmarks.direct import Context, Details, Metadatum
from server_middleware import Handle, component, this_request
from server_middleware.context.scope import current
from tests.middleware.clock import Clock
from tests.middleware.grpc_service import (
    ASKING,
    CODING,
    EVERY,
    SERVICE,
    Serving,
    adding,
    by_loop,
    by_threads,
    gathered,
    replies,
    stream,
    trailers,
    unary,
)
from tests.middleware.serving import grpc_serving
from tests.middleware.span_samples import TRACEPARENT, Spans, chunks, mirrored, parent_id, span_id
from tracebench.protos.inference_pb2 import PredictRequest, PredictResponse

# Called without a server, by a clock that stands still

_Handler = Callable[[Any, Any], Any]
_DETAILS = Details(f"/{SERVICE}/Stream", (Metadatum("traceparent", TRACEPARENT),))


class Reader(Context):
    """Takes 2 ms for each message that is written to it."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(_DETAILS.invocation_metadata)
        self.clock, self.taken = clock, 0
        self.left: tuple[Any, Any] | None = None
        """What is current when the call is over."""

    async def write(self, message: Any) -> None:
        self.take()

    def take(self) -> None:
        self.taken += 1
        self.clock.go(2)


def messages(clock: Clock, count: int) -> Iterator[str]:
    """50 ms until the first message, then 10 ms a message."""
    with component("prefill"):
        clock.go(50)
    with component("decode"):
        for _ in range(count):
            yield "token"
            clock.go(10)


def by_generator(clock: Clock, count: int) -> Reader:
    handler = grpc.unary_stream_rpc_method_handler(lambda _, __: messages(clock, count))
    (interceptor,) = server_middleware.grpc.interceptors()
    timed: Any = interceptor.intercept_service(lambda _: handler, _DETAILS)
    reader = Reader(clock)
    for _ in timed.unary_stream(None, reader):
        reader.take()
    reader.left = current.get(), otel.get_current()
    return reader


def by_coroutine(clock: Clock, behaviour: _Handler, read: Callable[[Any, Reader], Any]) -> Reader:
    handler = grpc.unary_stream_rpc_method_handler(behaviour)
    (interceptor,) = server_middleware.grpc.aio_interceptors()
    reader = Reader(clock)

    async def found(_: Any) -> Any:
        return handler

    async def call() -> None:
        timed: Any = await interceptor.intercept_service(found, _DETAILS)
        await read(timed.unary_stream(None, reader), reader)
        reader.left = current.get(), otel.get_current()

    asyncio.run(call())
    return reader


def by_async_generator(clock: Clock, count: int) -> Reader:
    async def generating(_: Any, __: Any) -> AsyncIterator[str]:
        for message in messages(clock, count):
            yield message

    async def read(responses: Any, reader: Reader) -> None:
        async for _ in responses:
            reader.take()

    return by_coroutine(clock, generating, read)


def by_writing(clock: Clock, count: int) -> Reader:
    async def writing(_: Any, context: Any) -> None:
        for message in messages(clock, count):
            await context.write(message)

    async def read(handled: Any, reader: Reader) -> None:
        await handled

    return by_coroutine(clock, writing, read)


KINDS = pytest.mark.parametrize("call", [by_generator, by_async_generator, by_writing])
Call = Callable[[Clock, int], Reader]


@KINDS
def test_the_trailers_tell_when_the_messages_were_handed_over(clock: Clock, call: Call) -> None:
    reader = call(clock, 3)
    assert reader.taken == 3
    told = dict(reader.trailing_metadata())
    assert json.loads(told["x-stream-timing"]) == {
        "chunks": [[1, 0.05], [2, 0.062], [3, 0.074]],
        "last": 0.074,
        "waited": 0.006,
    }
    assert mirrored(told) == {"prefill": 0.05, "decode": 0.036, "server_processing": 0.086}
    assert list(told) == ["x-timing-info", "server-timing", "x-stream-timing"]


@KINDS
def test_so_does_the_server_span(spans: Spans, clock: Clock, call: Call) -> None:
    call(clock, 10)
    *first, last = chunks(spans.server(3))
    assert first == [("chunk", 50_000 + 12_000 * at, {"chunk.messages": at + 1}) for at in range(8)]
    assert last == ("last_chunk", 158_000, {"chunk.messages": 10, "stream.waited_ms": 20.0})
    prefill, decode, server = spans.ended()
    assert [clock.since_ms(it) for it in (prefill.start_time, prefill.end_time)] == [0, 50]
    assert [clock.since_ms(it) for it in (decode.start_time, decode.end_time)] == [50, 170]
    assert (decode.name, parent_id(decode)) == ("decode", span_id(server))


@KINDS
def test_a_stream_without_messages_tells_none(clock: Clock, call: Call) -> None:
    assert "x-stream-timing" not in dict(call(clock, 0).trailing_metadata())


@KINDS
def test_a_component_that_was_left_after_a_yield_leaves_nothing_current(
    clock: Clock, call: Call
) -> None:
    assert call(clock, 3).left == (None, otel.Context())


# On real servers


@pytest.mark.parametrize("serving", EVERY)
@pytest.mark.parametrize("name", ["Stream", "Both"])
def test_messages_20_ms_apart_are_told_so(serving: Serving, name: str) -> None:
    with serving() as channel:
        call = stream(channel, name)
        assert len(list(call)) == 5
        told = json.loads(trailers(call)["x-stream-timing"])
    stamps = [at for _, at in told["chunks"]]
    assert [count for count, _ in told["chunks"]] == [1, 2, 3, 4, 5]
    assert stamps[0] >= 0.02
    assert all(later - earlier >= 0.02 for earlier, later in pairwise(stamps))
    assert told["last"] == stamps[-1]
    assert told["waited"] >= 0


def test_the_span_of_the_official_interceptor_is_told(spans: Spans) -> None:
    official = server_interceptor(spans.provider)  # type: ignore[no-untyped-call] # it has no types
    both = [official, *server_middleware.grpc.interceptors()]
    with grpc_serving(adding(unary, replies, gathered, replies), both) as channel:
        assert len(list(stream(channel, "Stream"))) == 5
    (server,) = [span for span in spans.ended() if span.kind is SpanKind.SERVER]
    assert [name for name, *_ in chunks(server)] == ["chunk"] * 5 + ["last_chunk"]


class Endless:
    """A handler that never ends by itself, and what it leaves behind."""

    def __init__(self) -> None:
        self.ended = Event()
        self.handle: Handle | None = None

    def generated(self, request: Any, context: Any) -> Iterator[PredictResponse]:
        self.handle = this_request()
        try:
            with component("decode"):
                while True:
                    yield PredictResponse(result="token")
        finally:
            self.ended.set()

    async def generated_aio(self, request: Any, context: Any) -> AsyncIterator[PredictResponse]:
        for response in self.generated(request, context):
            yield response
            await asyncio.sleep(0.001)

    async def written(self, request: Any, context: Any) -> None:
        async for response in self.generated_aio(request, context):
            await context.write(response)


@pytest.mark.parametrize(
    ("served", "behaviour"),
    [
        (by_threads, Endless.generated),
        (by_loop, Endless.generated_aio),
        (by_loop, Endless.written),
    ],
)
def test_a_client_that_hangs_up_leaves_nothing_behind(
    spans: Spans, served: Any, behaviour: Any
) -> None:
    endless, left = Endless(), []

    def look(requests: Iterator[Any], context: Any) -> PredictResponse:
        left.append((current.get(), otel.get_current()))
        return PredictResponse()

    bound = behaviour.__get__(endless)
    with served(unary, bound, look, replies) as channel:
        call = channel.unary_stream(f"/{SERVICE}/Stream", *CODING)(
            PredictRequest(), metadata=ASKING
        )
        assert next(call).result == "token"
        call.cancel()
        assert endless.ended.wait(10)
        spans.wait_for_servers(1)
        spans.wait_for("decode")
        gather = channel.stream_unary(f"/{SERVICE}/Gather", *CODING)
        for _ in range(4):  # the threads of the pool, by turns
            gather(iter([PredictRequest()]))
    assert left == [(None, otel.Context())] * 4
    assert endless.handle is not None
    assert endless.handle.scope.recorder.over
    (server,) = [span for span in spans.ended() if span.kind is SpanKind.SERVER]
    (decode,) = [span for span in spans.ended() if span.name == "decode"]
    assert parent_id(decode) == span_id(server)
    assert "last_chunk" in [name for name, *_ in chunks(server)]

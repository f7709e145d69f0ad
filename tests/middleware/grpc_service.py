"""A gRPC service with all four kinds of calls, on real servers of each kind."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from time import sleep
from typing import Any

import grpc

import server_middleware
from server_middleware import component
from tests.middleware.serving import grpc_aio_serving, grpc_serving
from tests.middleware.span_samples import TRACEPARENT
from tracebench.protos.inference_pb2 import PredictRequest, PredictResponse

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
        if request.image_data == b"plainly":
            raise Exception("not an image")
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


def by_threads(*handlers: Any) -> AbstractContextManager[grpc.Channel]:
    """A server with threads, of the four handlers that `adding` takes."""
    return grpc_serving(adding(*handlers), server_middleware.grpc.interceptors())


def by_loop(*handlers: Any) -> AbstractContextManager[grpc.Channel]:
    """The same of `grpc.aio`."""
    return grpc_aio_serving(adding(*handlers), server_middleware.grpc.aio_interceptors())


def in_threads() -> AbstractContextManager[grpc.Channel]:
    return by_threads(unary, replies, gathered, replies)


def in_coroutines() -> AbstractContextManager[grpc.Channel]:
    return by_loop(unary_aio, replies_aio, gathered_aio, replies_aio)


def in_writing_coroutines() -> AbstractContextManager[grpc.Channel]:
    return by_loop(unary_aio, replies_written, gathered_aio, replies_written)


def in_threads_of_aio() -> AbstractContextManager[grpc.Channel]:
    return by_loop(unary, replies, gathered, replies)


EVERY = (in_threads, in_coroutines, in_writing_coroutines, in_threads_of_aio)


def predict(channel: grpc.Channel, request: PredictRequest, metadata: Any = ()) -> Any:
    """Call once; gives the call, which knows the reply, or the error."""
    method = channel.unary_unary(f"/{SERVICE}/Predict", *CODING)
    try:
        return method.with_call(request, metadata=metadata)
    except grpc.RpcError as error:
        return None, error


def stream(channel: grpc.Channel, name: str) -> Any:
    if name == "Stream":
        return channel.unary_stream(f"/{SERVICE}/Stream", *CODING)(
            PredictRequest(), metadata=ASKING
        )
    requests = iter([PredictRequest(), PredictRequest()])
    return channel.stream_stream(f"/{SERVICE}/Both", *CODING)(requests, metadata=ASKING)


def trailers(call: Any) -> dict[str, str]:
    return dict(call.trailing_metadata())

"""`grpcio`: one channel, called by threads or by tasks.

Messages go through as bytes: what protobuf takes to make them is no cost of the channel.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from itertools import cycle
from typing import Any, cast

import grpc
import grpc.aio

from server_middleware.vocabulary import TRACEPARENT
from tracebench.load.peers import workers
from tracebench.load.peers.clients import Job, Sample
from tracebench.load.prepare.grpc_preflight import channel_options, credentials
from tracebench.load.wire.grpc_request import GrpcRequest


def send(job: Job) -> list[Sample]:
    """Send a block, from threads."""
    with _channel(job, grpc.insecure_channel, grpc.secure_channel) as channel:

        @contextmanager
        def opened(_job: Job) -> Iterator[workers.BlockingCall]:
            messages = cycle(_requests(job))
            first = next(messages)
            method = channel.unary_unary(first.path.decode(), bytes, bytes)

            def call(context: str) -> str:
                message = next(messages).message
                metadata = (*_metadata(first), (TRACEPARENT, context))
                try:
                    method(message, timeout=first.timeout_s, metadata=metadata)
                except grpc.RpcError as error:
                    return str(error.code().name)
                return ""

            yield call

        return workers.run_threads(job, opened)


def send_aio(job: Job) -> list[Sample]:
    """Send a block, from tasks."""
    return workers.run_tasks(job, _opened_aio)


@asynccontextmanager
async def _opened_aio(job: Job) -> AsyncIterator[workers.AwaitedCall]:
    messages = cycle(_requests(job))
    first = next(messages)
    async with _channel(job, grpc.aio.insecure_channel, grpc.aio.secure_channel) as channel:
        method = channel.unary_unary(first.path.decode(), bytes, bytes)

        async def call(context: str) -> str:
            message = next(messages).message
            metadata = (*_metadata(first), (TRACEPARENT, context))
            try:
                await method(message, timeout=first.timeout_s, metadata=metadata)
            except grpc.aio.AioRpcError as error:
                return str(error.code().name)
            return ""

        yield call


def _requests(job: Job) -> Sequence[GrpcRequest]:
    return cast(Sequence[GrpcRequest], job.prepared.repeated)


def _metadata(request: GrpcRequest) -> Iterator[tuple[str, str | bytes]]:
    for name, value in request.metadata:
        yield name.decode(), value if name.endswith(b"-bin") else value.decode()


def _channel(job: Job, insecure: Callable[..., Any], secure: Callable[..., Any]) -> Any:
    """A channel of either kind; they have no type in common."""
    options = channel_options(_requests(job)[0].authority.decode())
    if job.prepared.endpoint.tls is None:
        return insecure(job.prepared.address, options)
    return secure(job.prepared.address, credentials(job.prepared.trust), options)

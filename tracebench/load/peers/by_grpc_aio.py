"""`grpc.aio`, which comes with grpcio: one channel for all tasks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Final

import grpc.aio

from server_middleware.vocabulary import TRACEPARENT
from tracebench.load.peers import workers
from tracebench.load.peers.by_grpcio import channel_of, metadata_of, requests_of
from tracebench.load.peers.clients import Job, Sample

TARGET: Final = "grpc"


def send(job: Job) -> list[Sample]:
    """Send a block."""
    return workers.run_tasks(job, _opened)


@asynccontextmanager
async def _opened(job: Job) -> AsyncIterator[workers.AwaitedCall]:
    messages = cycle(requests_of(job))
    first = next(messages)
    async with channel_of(job, grpc.aio.insecure_channel, grpc.aio.secure_channel) as channel:
        method = channel.unary_unary(first.path.decode(), bytes, bytes)

        async def call(context: str) -> str:
            message = next(messages).body
            metadata = (*metadata_of(first), (TRACEPARENT, context))
            try:
                await method(message, timeout=first.timeout_s, metadata=metadata)
            except grpc.aio.AioRpcError as error:
                return str(error.code().name)
            return ""

        yield call

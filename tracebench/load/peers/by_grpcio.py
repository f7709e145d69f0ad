"""`grpcio`: one channel, called by threads.

Messages are passed as bytes: serialising them is not a cost of the channel.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from typing import Any, Final, cast

import grpc

from server_middleware.vocabulary import TRACEPARENT
from tracebench.load.peers import workers
from tracebench.load.peers.clients import Job, Sample
from tracebench.load.prepare.grpc_preflight import channel_options, credentials
from tracebench.load.wire.grpc_request import GrpcRequest

TARGET: Final = "grpc"


def send(job: Job) -> list[Sample]:
    """Send a block."""
    with channel_of(job, grpc.insecure_channel, grpc.secure_channel) as channel:

        @contextmanager
        def opened(_job: Job) -> Iterator[workers.BlockingCall]:
            messages = cycle(requests_of(job))
            first = next(messages)
            method = channel.unary_unary(first.path.decode(), bytes, bytes)

            def call(context: str) -> str:
                message = next(messages).body
                metadata = (*metadata_of(first), (TRACEPARENT, context))
                try:
                    method(message, timeout=first.timeout_s, metadata=metadata)
                except grpc.RpcError as error:
                    return str(error.code().name)
                return ""

            yield call

        return workers.run_threads(job, opened)


# Shared with `grpc.aio`.


def requests_of(job: Job) -> Sequence[GrpcRequest]:
    """The calls of a gRPC target."""
    return cast(Sequence[GrpcRequest], job.prepared.repeated)


def metadata_of(request: GrpcRequest) -> Iterator[tuple[str, str | bytes]]:
    """A call's metadata as the library takes it."""
    for name, value in request.metadata:
        yield name.decode(), value if name.endswith(b"-bin") else value.decode()


def channel_of(job: Job, insecure: Callable[..., Any], secure: Callable[..., Any]) -> Any:
    """A channel of either library; they share no type."""
    options = channel_options(requests_of(job)[0].authority.decode())
    if job.prepared.endpoint.tls is None:
        return insecure(job.prepared.address, options)
    return secure(job.prepared.address, credentials(job.prepared.trust), options)

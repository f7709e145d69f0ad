"""`httpx`: one AsyncClient for all tasks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Final

import httpx

from server_middleware.vocabulary import TRACEPARENT
from tracebench.load.peers import workers
from tracebench.load.peers.clients import Job, Sample, http_calls

TARGET: Final = "rest"


def send(job: Job) -> list[Sample]:
    """Send a block."""
    return workers.run_tasks(job, _opened)


@asynccontextmanager
async def _opened(job: Job) -> AsyncIterator[workers.AwaitedCall]:
    calls = cycle(http_calls(job.prepared))
    slots, endpoint = job.slots, job.prepared.endpoint
    transport = httpx.AsyncHTTPTransport(
        verify=endpoint.tls or False,
        limits=httpx.Limits(max_connections=slots, max_keepalive_connections=slots),
        trust_env=False,
        uds=endpoint.unix_path,
    )
    async with httpx.AsyncClient(
        transport=transport, timeout=job.prepared.timeout_s, trust_env=False
    ) as client:

        async def call(context: str) -> str:
            one = next(calls)
            try:
                reply = await client.request(
                    one.method,
                    one.url,
                    content=one.body or None,
                    headers={**_encoded(one.headers), TRACEPARENT.encode(): context.encode()},
                )
            except httpx.HTTPError as error:
                return type(error).__name__
            return "" if reply.is_success else f"HTTP {reply.status_code}"

        yield call


def _encoded(headers: dict[str, str]) -> dict[bytes, bytes]:
    """Headers as bytes: as text, httpx accepts only ASCII."""
    return {name.encode("latin-1"): value.encode("latin-1") for name, value in headers.items()}

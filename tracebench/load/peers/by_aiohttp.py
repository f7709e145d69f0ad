"""`aiohttp`: one ClientSession for all tasks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Final

import aiohttp

from server_middleware.vocabulary import TRACEPARENT
from tracebench.load.engine.endpoint import Endpoint
from tracebench.load.peers import workers
from tracebench.load.peers.clients import Job, Sample, http_calls

TARGET: Final = "rest"


def send(job: Job) -> list[Sample]:
    """Send a block."""
    return workers.run_tasks(job, _opened)


@asynccontextmanager
async def _opened(job: Job) -> AsyncIterator[workers.AwaitedCall]:
    calls = cycle(http_calls(job.prepared))
    connector = _connector(job.prepared.endpoint, job.slots)
    timeout = aiohttp.ClientTimeout(total=job.prepared.timeout_s)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def call(context: str) -> str:
            one = next(calls)
            try:
                async with session.request(
                    one.method,
                    one.url,
                    data=one.body or None,
                    headers={**one.headers, TRACEPARENT: context},
                    allow_redirects=False,
                ) as reply:
                    await reply.read()
            except (aiohttp.ClientError, asyncio.TimeoutError) as error:
                return type(error).__name__
            return "" if 200 <= reply.status < 300 else f"HTTP {reply.status}"

        yield call


def _connector(endpoint: Endpoint, most: int) -> aiohttp.BaseConnector:
    if endpoint.unix_path is not None:
        return aiohttp.UnixConnector(endpoint.unix_path, limit=most)
    return aiohttp.TCPConnector(limit=most, ssl=endpoint.tls or False)

"""Calls that are awaited, each of the C workers a task of one asyncio loop."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from time import perf_counter_ns

from tracebench.load.engine.pacing import ClosedLoop
from tracebench.load.peers.job import Gate, Job, Sample
from tracebench.tracing.roots.trace_ids import IdSource, traceparent

Call = Callable[[str], Awaitable[str]]
"""Sends a request with this traceparent; gives why it did not succeed, or nothing."""


def run(job: Job, opened: Callable[[Job], AbstractAsyncContextManager[Call]]) -> list[Sample]:
    """Open one client for all workers, warm it up, and send the block."""

    async def block() -> list[Sample]:
        async with opened(job) as call:
            await _send(job.plan.concurrency, call, job.warmup)
            return await _send(job.plan.concurrency, call, job.bounds)

    return asyncio.run(block())


async def _send(workers: int, call: Call, bounds: ClosedLoop) -> list[Sample]:
    gate = Gate(bounds)
    samples: list[Sample] = []
    await asyncio.gather(*(_work(call, gate, samples) for _ in range(workers)))
    return samples


async def _work(call: Call, gate: Gate, samples: list[Sample]) -> None:
    draw = IdSource().draw
    while gate.admits():
        context = traceparent(draw())
        began_ns = perf_counter_ns()
        reason = await call(context)
        samples.append(Sample(began_ns, perf_counter_ns(), reason))

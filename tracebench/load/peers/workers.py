"""The C workers of a client library: threads, or tasks in one asyncio event loop."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AbstractContextManager, ExitStack
from time import perf_counter_ns

from tracebench.load.engine.pacing import ClosedLoop
from tracebench.load.peers.clients import Job, Sample, TurnLimit
from tracebench.tracing.roots.trace_ids import IdSource, traceparent

# Blocking calls: each of the C workers is a thread.

BlockingCall = Callable[[str], str]
"""Sends a request with this traceparent; returns why it failed, empty on success."""


def run_threads(
    job: Job, opened: Callable[[Job], AbstractContextManager[BlockingCall]]
) -> list[Sample]:
    """Open one call per worker, warm them up, and send the block."""
    with ExitStack() as stack:
        calls = [stack.enter_context(opened(job)) for _ in range(job.slots)]
        pool = stack.enter_context(ThreadPoolExecutor(len(calls)))
        _send(pool, calls, job.warmup)
        return _send(pool, calls, job.bounds)


def _send(
    pool: ThreadPoolExecutor, calls: Sequence[BlockingCall], bounds: ClosedLoop
) -> list[Sample]:
    gate = TurnLimit(bounds)
    with gate.closing():
        working = [pool.submit(_work, call, gate) for call in calls]
        return [sample for one in working for sample in one.result()]


def _work(call: BlockingCall, gate: TurnLimit) -> list[Sample]:
    samples = []
    draw = IdSource().draw
    while gate.admits():
        context = traceparent(draw())
        began_ns = perf_counter_ns()
        reason = call(context)
        samples.append(Sample(began_ns, perf_counter_ns(), reason))
    return samples


# Awaited calls: each of the C workers is a task in one asyncio event loop.

AwaitedCall = Callable[[str], Awaitable[str]]
"""Sends a request with this traceparent; resolves to why it failed, empty on success."""


def run_tasks(
    job: Job, opened: Callable[[Job], AbstractAsyncContextManager[AwaitedCall]]
) -> list[Sample]:
    """Open one client for all workers, warm it up, and send the block."""

    async def block() -> list[Sample]:
        async with opened(job) as call:
            await _send_awaited(job.slots, call, job.warmup)
            return await _send_awaited(job.slots, call, job.bounds)

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(block())
    with ThreadPoolExecutor(1) as pool:  # a notebook has a loop, beside which none may run
        return pool.submit(asyncio.run, block()).result()


async def _send_awaited(workers: int, call: AwaitedCall, bounds: ClosedLoop) -> list[Sample]:
    gate = TurnLimit(bounds)
    samples: list[Sample] = []
    await asyncio.gather(*(_work_awaited(call, gate, samples) for _ in range(workers)))
    return samples


async def _work_awaited(call: AwaitedCall, gate: TurnLimit, samples: list[Sample]) -> None:
    draw = IdSource().draw
    while gate.admits():
        context = traceparent(draw())
        began_ns = perf_counter_ns()
        reason = await call(context)
        samples.append(Sample(began_ns, perf_counter_ns(), reason))

"""Blocking calls, each of the C workers in a thread."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from time import perf_counter_ns

from tracebench.load.engine.pacing import ClosedLoop
from tracebench.load.peers.job import Gate, Job, Sample
from tracebench.tracing.roots.trace_ids import IdSource, traceparent

Call = Callable[[str], str]
"""Sends a request with this traceparent; returns why it did not succeed, or nothing."""


def run(job: Job, opened: Callable[[Job], AbstractContextManager[Call]]) -> list[Sample]:
    """Open one call for each worker, warm them up, and send the block."""
    with ExitStack() as stack:
        calls = [stack.enter_context(opened(job)) for _ in range(job.plan.concurrency)]
        pool = stack.enter_context(ThreadPoolExecutor(len(calls)))
        _send(pool, calls, job.warmup)
        return _send(pool, calls, job.bounds)


def _send(pool: ThreadPoolExecutor, calls: Sequence[Call], bounds: ClosedLoop) -> list[Sample]:
    gate = Gate(bounds)
    with gate.closing():
        working = [pool.submit(_work, call, gate) for call in calls]
        return [sample for one in working for sample in one.result()]


def _work(call: Call, gate: Gate) -> list[Sample]:
    samples = []
    draw = IdSource().draw
    while gate.admits():
        context = traceparent(draw())
        began_ns = perf_counter_ns()
        reason = call(context)
        samples.append(Sample(began_ns, perf_counter_ns(), reason))
    return samples

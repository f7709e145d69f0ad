"""The processes that shared a load, a line each."""

from collections.abc import Iterator, Sequence
from typing import Final

from tracebench.analysis.numbers import counted, milliseconds
from tracebench.model.results.workers import Worker

_MOST: Final = 16


def worker_lines(workers: Sequence[Worker]) -> Iterator[str]:
    """What each worker did, and how they differ; nothing for a load by one process.

    Of many, the first and those that were lost are told; the result file has all.
    """
    if not workers:
        return
    hosts = counted(len({one.host for one in workers}), "host")
    yield f"{counted(len(workers), 'worker')} on {hosts}{_spread(workers)}"
    told = [one for at, one in enumerate(workers) if at < _MOST or one.lost]
    yield from map(_line, told)
    if len(told) < len(workers):
        yield f"  {len(workers) - len(told)} more: see --output-json"


def _spread(workers: Sequence[Worker]) -> str:
    medians = [one.p50_ms for one in workers if one.p50_ms is not None]
    tails = [one.p99_ms for one in workers if one.p99_ms is not None]
    if not medians or not tails:
        return ""
    return f": p50 {_range(medians)}, p99 {_range(tails)}"


def _range(values_ms: Sequence[float]) -> str:
    return f"{milliseconds(min(values_ms))} to {milliseconds(max(values_ms))} ms"


def _line(worker: Worker) -> str:
    who = f"  {worker.host}:{worker.pid}"
    if worker.lost:
        return f"{who}  lost: {worker.lost}"
    parts = [counted(worker.requests, "request"), f"{worker.throughput_rps:,.0f}/s"]
    if worker.p50_ms is not None and worker.p99_ms is not None:
        parts.append(f"p50 {milliseconds(worker.p50_ms)}, p99 {milliseconds(worker.p99_ms)} ms")
    parts.append(f"CPU {worker.cpu_s:.2f} s")
    if worker.stalled_s:
        parts.append(f"stalled {milliseconds(worker.stalled_s * 1e3)} ms")
    return f"{who}  {'  '.join(parts)}"

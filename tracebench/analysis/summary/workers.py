"""How each of the processes that shared a load fared."""

from dataclasses import replace

import numpy as np

from tracebench.analysis.closure.selection import Selection
from tracebench.analysis.statistics.distribution import describe
from tracebench.model.measurement import Measurement
from tracebench.model.record.columns import Int64
from tracebench.model.record.exchange import Nanoseconds
from tracebench.model.record.requests import DRAW
from tracebench.model.results.workers import Worker

_TOLD = ("p50_ms", "p99_ms")


def of_workers(load: Measurement, known: Selection, latency_ns: Nanoseconds) -> tuple[Worker, ...]:
    """The workers of a load, with the statistics of their own requests.

    Args:
        load: what the engines recorded.
        known: the requests that latency statistics cover.
        latency_ns: their latencies.
    """
    count = len(load.workers)
    if not count:
        return ()
    number = known.column(lambda part: part.request(DRAW) % count)
    started, succeeded = _counted(load, count)
    return tuple(
        replace(
            _described(worker, latency_ns[number == at]),
            requests=int(started[at]),
            throughput_rps=int(succeeded[at]) / load.duration_s if load.duration_s else 0.0,
        )
        for at, worker in enumerate(load.workers)
    )


def _described(worker: Worker, latency_ns: Nanoseconds) -> Worker:
    if not len(latency_ns):
        return worker
    found = describe(latency_ns)
    ci95 = {name: found.ci95[name] for name in _TOLD if name in found.ci95}
    return replace(worker, p50_ms=found.p50_ms, p99_ms=found.p99_ms, ci95=ci95)


def _counted(load: Measurement, count: int) -> tuple[Int64, Int64]:
    """How many requests each worker started, and how many of them succeeded."""
    started, succeeded = np.zeros(count, np.int64), np.zeros(count, np.int64)
    for rows in load.requests.pages():
        numbers = rows[DRAW] % count
        started += np.bincount(numbers, minlength=count)
        succeeded += np.bincount(numbers[rows.succeeded], minlength=count)
    return started, succeeded

"""How each of the processes that shared a load fared."""

from dataclasses import replace

import numpy as np

from tracebench.analysis.closure.decomposition import latency, ranked
from tracebench.analysis.statistics.distribution import describe
from tracebench.model.measurement import Measurement
from tracebench.model.record.exchange import Nanoseconds
from tracebench.model.record.requests import DRAW
from tracebench.model.results.workers import Worker

_TOLD = ("p50_ms", "p99_ms")


def of_workers(load: Measurement) -> tuple[Worker, ...]:
    """The workers of a load, with the statistics of their own requests."""
    count = len(load.workers)
    if not count:
        return ()
    known = ranked(load.requests)
    latency_ns = known.column(latency)
    number = known.column(lambda part: part.request(DRAW) % count)
    started = _counted(load, count, succeeded=False)
    succeeded = _counted(load, count, succeeded=True)
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


def _counted(load: Measurement, count: int, *, succeeded: bool) -> Nanoseconds:
    """How many requests each worker started, or how many of them succeeded."""
    found = np.zeros(count, np.int64)
    for rows in load.requests.pages():
        numbers = rows[DRAW] % count
        found += np.bincount(numbers[rows.succeeded] if succeeded else numbers, minlength=count)
    return found

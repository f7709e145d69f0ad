"""Measure the queue of `fifo_server`, and what queueing theory says of it."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import inf
from typing import Any

import numpy as np

from tests.plans import plan_of
from tracebench.benchmark import run
from tracebench.load.progress import Watcher
from tracebench.model.plan import Arrival, Payload, Segment
from tracebench.model.progress import Progress
from tracebench.model.results.result import TargetResult

PAYLOAD = Payload(b"x", "application/octet-stream", "x", "data")


@contextmanager
def fifo_server(service_ms: float, workers: int = 1, *hold_s: float) -> Iterator[str]:
    """Run the server; gives its URL."""
    arguments = [str(service_ms), str(workers), *map(str, hold_s)]
    command = [sys.executable, "-m", "tests.pitfalls.fifo_server", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/"
        finally:
            process.kill()


class Stalling(Watcher):
    """Does what a busy client does: keeps the loop from its work now and then."""

    def __init__(self, stall: Callable[[], None]) -> None:
        self._stall = stall
        self._ticks = 0

    def progress(self, progress: Progress) -> None:
        """Stall at every second tick: every 200 ms."""
        self._ticks += 1
        if self._ticks % 2 == 0:
            self._stall()


def measured(
    url: str,
    *,
    rate: float | None = None,
    arrival: Arrival = "constant",
    watcher: Watcher | None = None,
    **plan: Any,
) -> TargetResult:
    """Run a plan against the server."""
    segments = None if rate is None else (Segment(rate, rate, inf),)
    plan = {"requests": None, "concurrency": 256, **plan}
    planned = plan_of(PAYLOAD, rest_url=url, rate=segments, arrival=arrival, **plan)
    return run(planned, watcher).targets["rest"]


def lindley_s(arrivals_s: Sequence[float], service_s: float) -> np.ndarray[Any, Any]:
    """How long each waits in a queue with one server of fixed service time (Lindley 1952)."""
    waits = [0.0]
    for gap_s in np.diff(np.asarray(arrivals_s)):
        waits.append(max(0.0, waits[-1] + service_s - gap_s))
    return np.array(waits)


def pollaczek_khinchine_s(utilisation: float, service_s: float) -> float:
    """The mean wait of Poisson arrivals for one server of fixed service time (M/D/1)."""
    return utilisation * service_s / (2 * (1 - utilisation))

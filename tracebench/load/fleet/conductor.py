"""Starts a worker beside itself and passes orders on to it: in the head, or in a cluster's process.

These functions are what a fleet submits to executors. They find their worker by the name of the
run, so one that was submitted earlier leaves the next what it needs.
"""

import hashlib
import os
import socket
from functools import cache
from pathlib import Path
from threading import Lock
from time import perf_counter_ns
from typing import Any, Final

import server_middleware
import tracebench
from tracebench.load.fleet.orders import ClockReading, Glance, Hello, Lost, Order, Said, Urgent
from tracebench.model.progress import Progress
from tracebench.model.record.exchange import Nanoseconds
from tracebench.system.child_process import Child

_MODULE: Final = "tracebench.load.fleet.worker"
_END_S: Final = 2.0
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_RUNS: Final[dict[str, "_Run"]] = {}


class _Run:
    """A worker and the pipe to it."""

    def __init__(self) -> None:
        self.child = Child(_MODULE, _END_S)
        self.progress: Progress | None = None
        self.latencies_ns: Nanoseconds | None = None
        self.looks = 0
        self._sending = Lock()

    def send(self, message: Order | Urgent) -> None:
        if isinstance(message, Order):
            self.progress = None  # that of an earlier order
        with self._sending:  # orders and urgent messages come from different threads
            self.child.pipe.send(message)

    def answer(self) -> Any:
        """Wait until the order is carried out, taking note of what is told meanwhile."""
        while True:
            said: Said = self.child.pipe.recv()
            if said.kind == "done":
                return said.value
            if said.kind == "progress":
                self.progress = said.value
            else:
                self.latencies_ns = said.value
                self.looks += 1


def enlist(run: str) -> Hello:
    """Start the worker of a run; returns who it is."""
    made = _RUNS[run] = _Run()
    return Hello(socket.gethostname(), made.child.pid, tracebench.__version__, sources())


def command(run: str, order: Order) -> Any:
    """Have the worker carry out an order.

    Returns:
        What its method returns, or `Refused`, or `Lost` if the worker is no longer there. Nothing
        is raised, because clusters log the arguments of tasks that fail.
    """
    if (found := _RUNS.get(run)) is None:
        return Lost("it was started anew")
    try:
        found.send(order)
        return found.answer()
    except (EOFError, OSError):
        found.child.close()
        return Lost("it died")


def tell(run: str, urgent: Urgent) -> None:
    """Tell the worker something that it heeds in the middle of an order."""
    if (found := _RUNS.get(run)) is not None:
        try:
            found.send(urgent)
        except OSError:
            return  # `command` reports it


def glance(run: str) -> Glance:
    """The latest that the worker has told."""
    if (found := _RUNS.get(run)) is None:
        return Glance(None, 0, None)
    return Glance(found.progress, found.looks, found.latencies_ns)


def dismiss(run: str) -> None:
    """End the worker of a run, if there is one."""
    if (found := _RUNS.pop(run, None)) is not None:
        found.child.end()


def clock() -> ClockReading:
    """Read this machine's monotonic clock."""
    try:
        boot = _BOOT.read_text().strip()
    except OSError:
        boot = ""
    return ClockReading(boot, perf_counter_ns())


@cache
def sources() -> str:
    """A digest of the program's source files: equal only where the same program runs."""
    digest = hashlib.sha256()
    for package in (tracebench, server_middleware):
        folder = Path(os.fspath(package.__path__[0]))
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.relative_to(folder).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]

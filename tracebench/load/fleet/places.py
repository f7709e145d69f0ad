"""Where workers run: processes of this machine, or the workers of a Dask cluster.

A place is a `concurrent.futures.Executor` whose tasks all run in one place, one after the other,
and a way to call a function there at once, while a task runs.
"""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from time import monotonic, perf_counter_ns
from typing import Any, Final, NamedTuple, Protocol

from tracebench.load.fleet import conductor
from tracebench.load.fleet.orders import ClockReading
from tracebench.model.errors import TargetError, UsageError, excerpt
from tracebench.model.plan import Workload

_PROBES: Final = 8
_CONNECTING_S: Final = 10.0
_LOOK_S, _TIMEOUT_S = 1.0, 5.0
"""How often to ask the scheduler who is there, and how long to wait for its answer."""
_LOCAL_LEAD_NS: Final = 20_000_000
_REMOTE_LEAD_NS: Final = 200_000_000
_ROUND_TRIPS: Final = 8
"""How far ahead a common start is set, in round trips of a message, besides the leads above."""


class ClockAhead(NamedTuple):
    """How far another machine's monotonic clock is ahead of ours."""

    offset_ns: int
    within_ns: int
    """The offset is known this exactly."""


class Place(Protocol):
    """Where one worker runs."""

    name: str
    executor: Executor
    glances_s: float
    """How often its worker's state may be looked at."""
    lead_ns: int
    """How long before a common start its worker must be told."""

    def at_once(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function there, whatever else runs.

        Raises:
            Exception: it is gone; see `gone`.
        """

    def gone(self) -> str:
        """Why it can no longer be reached; empty while it can."""

    def clock(self) -> ClockAhead:
        """Compare its clock with ours."""


class _Here:
    """A process of this machine, started by a thread that waits for it."""

    glances_s = 0.1
    lead_ns = _LOCAL_LEAD_NS

    def __init__(self, number: int) -> None:
        self.name = f"process {number + 1}"
        self.executor: Executor = ThreadPoolExecutor(1)

    def at_once(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    def gone(self) -> str:
        return ""

    def clock(self) -> ClockAhead:
        return ClockAhead(0, 0)


class _Cluster:
    """A Dask cluster, and who belongs to it."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self._looked_s = 0.0
        self._present: frozenset[str] | None = frozenset()

    def present(self) -> frozenset[str] | None:
        """The addresses of its workers, as of the last second; None: the scheduler went away."""
        if self.client.status != "running":
            return None
        if monotonic() - self._looked_s > _LOOK_S:
            try:
                told = self.client.sync(self.client.scheduler.ncores, callback_timeout=_TIMEOUT_S)
                self._present = frozenset(told)
            except Exception:  # whatever it is, nobody can be reached
                self._present = None
            self._looked_s = monotonic()
        return self._present


class _OnCluster:
    """A worker of a Dask cluster: tasks are pinned to it, and never tried again elsewhere."""

    glances_s = 1.0  # each is a line in the cluster's logs

    def __init__(self, cluster: _Cluster, address: str) -> None:
        self._cluster, self.name = cluster, address
        pinned = {"workers": [address], "allow_other_workers": False, "retries": 0, "pure": False}
        self.executor: Executor = cluster.client.get_executor(**pinned)
        self.lead_ns = _REMOTE_LEAD_NS

    def at_once(self, function: Callable[..., Any], *arguments: Any) -> Any:
        called = partial(function, *arguments)  # its text, unlike arguments, is not logged
        return self._cluster.client.run(called, workers=[self.name])[self.name]

    def gone(self) -> str:
        present = self._cluster.present()
        if present is None:
            return "the scheduler went away"
        return "" if self.name in present else "it left the cluster"

    def clock(self) -> ClockAhead:
        """Take the quickest of some messages: its answer was read within that time (Cristian 1989).

        Clocks of one boot are the same clock, unless a time namespace shifts one of them.
        """
        ours, found = conductor.clock(), []
        for _ in range(_PROBES):
            sent_ns = perf_counter_ns()
            theirs: ClockReading = self.at_once(conductor.clock)
            took_ns = perf_counter_ns() - sent_ns
            found.append((took_ns, theirs.now_ns - sent_ns - took_ns // 2))
        took_ns, offset_ns = min(found)
        self.lead_ns = _REMOTE_LEAD_NS + _ROUND_TRIPS * took_ns
        if theirs.boot and theirs.boot == ours.boot and abs(offset_ns) <= took_ns:
            return ClockAhead(0, 0)
        return ClockAhead(offset_ns, took_ns // 2)


@contextmanager
def places(load: Workload, most: int) -> Iterator[list[Place]]:
    """The places for a load's workers, at most `most`.

    Raises:
        UsageError: Dask is not installed.
        TargetError: the cluster cannot be used.
    """
    if load.cluster is not None:
        with _connected(load.cluster) as client:
            cluster = _Cluster(client)
            yield [_OnCluster(cluster, one) for one in _workers(client, load, most)]
        return
    here = [_Here(number) for number in range(most)]
    with ExitStack() as opened:
        for place in here:
            opened.enter_context(place.executor)
        yield list(here)


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    try:
        import distributed  # an extra, and half a second
    except ImportError:
        raise UsageError(
            "--cluster needs Dask: install it with pip install 'tracebench[cluster]'"
        ) from None
    _silence("distributed", "tornado")
    try:
        made: Any = distributed.Client  # its types are not whole
        client = made(address, timeout=_CONNECTING_S, set_as_default=False)
    except (OSError, TypeError, ValueError) as error:
        raise TargetError(
            f"--cluster {address!r} does not answer ({excerpt(str(error))}): start one with "
            "'dask scheduler', and give the address that it prints"
        ) from None
    try:
        yield client
    finally:
        client.close(timeout=2)


def _silence(*packages: str) -> None:
    """Keep libraries from printing tracebacks about what `gone` says in a line."""
    for name in (*packages, *logging.root.manager.loggerDict):
        if name.partition(".")[0] in packages:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def _workers(client: Any, load: Workload, most: int) -> list[str]:
    """The addresses of the workers to use, at most `--processes`.

    Raises:
        TargetError: the cluster has none, or fewer than were asked for.
    """
    found = sorted(client.nthreads())
    if len(found) < (load.processes or 1):
        raise TargetError(
            f"--cluster {load.cluster!r} has {len(found)} workers"
            + (f", not {load.processes}" if load.processes else "")
            + ": start them with 'dask worker --nthreads 1 ADDRESS'"
        )
    return found[: min(most, load.processes or len(found))]

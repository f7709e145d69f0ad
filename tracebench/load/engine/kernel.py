"""What the kernel reports: arrival stamps, network paths, CPU time and clocks."""

import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter_ns, time_ns
from typing import NamedTuple

# When bytes arrived (SO_TIMESTAMPING), and the state of the path (TCP_INFO).
#
# Constants and layouts are those of Linux's net_tstamp.h and tcp.h; elsewhere nothing is reported.

ANCILLARY_SIZE = 128
"""Room for the three timespecs of one SCM_TIMESTAMPING message."""
_SO_TIMESTAMPING = 37
_RX_SOFTWARE, _REPORT_SOFTWARE = 1 << 3, 1 << 4
timespec = struct.Struct("@qq").unpack_from
"""Seconds and nanoseconds of an SCM_TIMESTAMPING message."""
_NEVER_MEASURED = 2**32 - 1
"""The minimum round trip of a connection that was never established."""
_TCP_INFO = struct.Struct("@68xI28xI44xI")  # tcpi_rtt, tcpi_total_retrans, tcpi_min_rtt (µs)


def enable(sock: socket.socket) -> None:
    """Ask for receive stamps; a kernel without them sends none."""
    if sys.platform == "linux":
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, _RX_SOFTWARE | _REPORT_SOFTWARE)


def arrival_wall_ns(stamp: bytes) -> int:
    """The wall-clock time of an SCM_TIMESTAMPING message, the only kind requested.

    It is used only relative to the wall clock of the same loop iteration (`Loop.epoch_ns`), so a
    clock step spoils the reads of one iteration at most.
    """
    seconds: int
    nanoseconds: int
    seconds, nanoseconds = timespec(stamp)
    return seconds * 1_000_000_000 + nanoseconds


class PathState(NamedTuple):
    """TCP_INFO of one connection."""

    rtt_us: int
    """The smoothed round-trip time."""
    retransmits: int
    min_rtt_us: int


def crossing_ns(path: PathState | None, closing_ns: int) -> int:
    """How long before the peer's FIN arrived a request may have been sent and still cross it.

    Two round trips, for the FIN on its way here and the request on its way there, but at least the
    time that the peer may take to close once it has decided to.
    """
    return max(2_000 * path.rtt_us if path is not None else 0, closing_ns)


def path_state(sock: socket.socket) -> PathState | None:
    """The kernel's view of a connection's path; None if unavailable."""
    if sys.platform != "linux":
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
    except OSError:
        return None
    state = PathState(*_TCP_INFO.unpack(info)) if len(info) == _TCP_INFO.size else None
    return None if state is None or state.min_rtt_us == _NEVER_MEASURED else state


# The machine's CPU time and clocks.

_STAT, _NETSTAT = Path("/proc/stat"), Path("/proc/net/netstat")
_GOVERNORS = Path("/sys/devices/system/cpu"), "cpu[0-9]*/cpufreq/scaling_governor"


class CpuTimes(NamedTuple):
    """The time of all CPUs together since boot, in clock ticks (proc_stat(5))."""

    total: int
    idle: int
    stolen: int
    """The time that another virtual machine on the same host had the CPU."""

    @classmethod
    def now(cls) -> "CpuTimes | None":
        """Read them; None if the system does not report them."""
        try:
            first = _STAT.read_text(encoding="ascii").partition("\n")[0]
        except OSError:
            return None
        user, nice, system, idle, wait, irq, soft, stolen = map(int, first.split()[1:9])
        total = user + nice + system + idle + wait + irq + soft + stolen
        return cls(total, idle + wait, stolen)


class Machine(NamedTuple):
    """The state of the machine over the observed periods."""

    idle_share: float | None
    """Idle fraction of the machine's CPU time; None if the system does not report it."""
    stolen_share: float | None
    clock_step_s: float
    """How far the wall clock moved relative to the monotonic one."""
    governors: tuple[str, ...]
    """The CPU frequency governors (Linux: cpufreq); empty if unknown."""
    closed_windows: int | None
    """How often the kernel closed a TCP receive window, counted over all processes in the same
    network namespace; None if the system does not report it."""


class Observer:
    """Observes the machine, for as long as one or several blocks of `observing` last."""

    def __init__(self) -> None:
        self._cpu, self._step_ns = CpuTimes(0, 0, 0), 0
        self._closed_windows: int | None = None

    @contextmanager
    def observing(self) -> Iterator[None]:
        """Count this period in."""
        cpu, epoch_ns, closed = CpuTimes.now(), _epoch_ns(), _closed_windows()
        try:
            yield
        finally:
            self._step_ns += _epoch_ns() - epoch_ns
            if closed is not None and (now := _closed_windows()) is not None:
                self._closed_windows = (self._closed_windows or 0) + now - closed
            if cpu is not None and (after := CpuTimes.now()) is not None:
                changes = zip(self._cpu, cpu, after, strict=True)
                self._cpu = CpuTimes(*(so_far + b - a for so_far, a, b in changes))

    def machine(self) -> Machine:
        """What was seen."""
        total, idle, stolen = self._cpu
        beside = self._step_ns / 1e9, _governors(), self._closed_windows
        if not total:
            return Machine(None, None, *beside)
        return Machine(idle / total, stolen / total, *beside)


def _closed_windows() -> int | None:
    """The counter TCPToZeroWindowAdv: how often a full receive buffer made its sender wait."""
    try:
        lines = _NETSTAT.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        counters = dict(zip(names.split(), values.split(), strict=True))
        if "TCPToZeroWindowAdv" in counters:
            return int(counters["TCPToZeroWindowAdv"])
    return None


def _epoch_ns() -> int:
    """The wall clock at the monotonic clock's zero."""
    return time_ns() - perf_counter_ns()


def _governors() -> tuple[str, ...]:
    folder, pattern = _GOVERNORS
    try:
        return tuple(sorted({file.read_text("ascii").strip() for file in folder.glob(pattern)}))
    except OSError:
        return ()

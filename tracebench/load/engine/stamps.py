"""What the kernel knows: when bytes arrived (SO_TIMESTAMPING), and the path's state (TCP_INFO).

Constants and layouts are those of Linux' net_tstamp.h and tcp.h; elsewhere nothing is reported.
"""

import socket
import struct
import sys
from typing import NamedTuple

ANCILLARY_SIZE = 128
"""Room for the three timespecs of one SCM_TIMESTAMPING message."""
_SO_TIMESTAMPING = 37
_RX_SOFTWARE, _REPORT_SOFTWARE = 1 << 3, 1 << 4
timespec = struct.Struct("@qq").unpack_from
"""Seconds and nanoseconds of an SCM_TIMESTAMPING message."""
_LEAST_CROSSING_NS = 5_000_000
_NEVER_MEASURED = 2**32 - 1
"""The least round trip of a connection that never came about."""
_TCP_INFO = struct.Struct("@68xI28xI44xI")  # tcpi_rtt, tcpi_total_retrans, tcpi_min_rtt (µs)


def enable(sock: socket.socket) -> None:
    """Ask for receive stamps; a kernel that has none simply sends none."""
    if sys.platform == "linux":
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, _RX_SOFTWARE | _REPORT_SOFTWARE)


def arrival_wall_ns(stamp: bytes) -> int:
    """The wall-clock time of an SCM_TIMESTAMPING message, the only kind that is asked for.

    Only its difference to the wall clock right after the read is of use: how long the bytes had
    lain in the kernel. So a step of the clock spoils no more than the reads it falls into.
    """
    seconds: int
    nanoseconds: int
    seconds, nanoseconds = timespec(stamp)
    return seconds * 1_000_000_000 + nanoseconds


class PathState(NamedTuple):
    """TCP_INFO of one connection."""

    rtt_us: int
    """Smoothed."""
    retransmits: int
    min_rtt_us: int


def crossing_ns(path: PathState | None) -> int:
    """How long before the peer's end of a connection a request may have left, to have crossed it.

    Two round trips: the peer's FIN on its way here, and the request on its way there; and some
    time for the peer to close after it has decided to.
    """
    return max(2_000 * path.rtt_us if path is not None else 0, _LEAST_CROSSING_NS)


def path_state(sock: socket.socket) -> PathState | None:
    """The kernel's view of a connection's path, or None where it gives none."""
    if sys.platform != "linux":
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
    except OSError:
        return None
    state = PathState(*_TCP_INFO.unpack(info)) if len(info) == _TCP_INFO.size else None
    return None if state is None or state.min_rtt_us == _NEVER_MEASURED else state

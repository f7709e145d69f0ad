"""What saturates first: the component that takes most of the time by which latency has grown."""

from typing import Final

from server_middleware.vocabulary import (
    BACKLOG,
    BODY,
    CLIENT,
    CONNECT,
    INFERENCE,
    NETWORK,
    POSTPROCESSING,
    PREPROCESSING,
    QUEUE,
    SERVER_AND_NETWORK,
    SERVER_OTHER,
)
from tracebench.model.result import TcpInfo
from tracebench.model.sweep import Bottleneck, Cause, Point

COMPUTE: Final = (PREPROCESSING, INFERENCE, POSTPROCESSING, SERVER_OTHER)
"""Where a server works, rather than waits."""
_GROUPS: Final = (
    (CLIENT,),
    (CONNECT, NETWORK),
    (BODY,),
    (QUEUE,),
    COMPUTE,
    (SERVER_AND_NETWORK,),
)
"""What grows for one reason."""
_UNMOVED: Final = 0.25
"""Growth, as a fraction of the mean latency at the base, below which a server is not saturated."""
_DELAYED_ACK_MS: Final = 40.0
"""Linux holds an acknowledgement back for so long while it waits for a reply to carry it: by that
the smoothed round trip may grow where the server, and not the path, is slow."""


def bottleneck(
    base: Point, past: Point, tcp: TcpInfo | None, tcp_past: TcpInfo | None
) -> Bottleneck | None:
    """Say what saturates first.

    Args:
        base: the least load.
        past: the least load past the knee.
        tcp: what the kernel knew of the path at the base.
        tcp_past: and past the knee.

    Returns:
        None where nothing takes longer than it did.
    """
    growth_ms = {name: ms - base.mean_ms.get(name, 0.0) for name, ms in past.mean_ms.items()}
    groups = [[name for name in group if name in growth_ms] for group in _GROUPS]
    most = max(groups, key=lambda group: sum(growth_ms[name] for name in group))
    component = max(most, key=lambda name: growth_ms[name], default="")
    grown_ms = sum(growth_ms[name] for name in most)
    if growth_ms.get(BACKLOG, 0.0) > grown_ms and grown_ms < _UNMOVED * sum(base.mean_ms.values()):
        component = BACKLOG  # elsewhere it follows from whatever is short
    if growth_ms.get(component, 0.0) <= 0:
        return None
    cause = _cause(component, growth_ms[component], tcp, tcp_past)
    return Bottleneck(
        component=component,
        cause=cause,
        load=past.load,
        growth_ms=growth_ms[component],
        at_a_time=_at_a_time(cause, base, past),
    )


def _cause(component: str, growth_ms: float, tcp: TcpInfo | None, past: TcpInfo | None) -> Cause:
    if component == CLIENT:
        return "client"
    if component == BACKLOG:
        return "cap"
    if component == QUEUE:
        return "queue"
    if component in COMPUTE:
        return "compute"
    if tcp is not None and past is not None and 2 * _path_growth_ms(tcp, past) > growth_ms:
        return "path"
    if component == BODY:
        return "body"
    return "unknown" if component == SERVER_AND_NETWORK else "waiting"


def _path_growth_ms(tcp: TcpInfo, past: TcpInfo) -> float:
    """By how much a round trip of the path itself takes longer, without the server's part in it."""
    return max(past.min_rtt_ms - tcp.min_rtt_ms, past.rtt_ms - tcp.rtt_ms - _DELAYED_ACK_MS)


def _at_a_time(cause: Cause, base: Point, past: Point) -> float | None:
    """How many requests get done side by side.

    Where they wait, those that do not: Little's law over the server's parts without its queue.
    Where their work takes longer because they share cores, that work as it is alone, times their
    throughput: the number of cores' worth that is had (utilisation law).
    """
    work = {name: past.in_flight[name] for name in COMPUTE if name in past.in_flight}
    if not work or cause in ("client", "cap", "path", "body"):
        return None
    if cause == "compute":
        return past.throughput_rps * sum(base.mean_ms.get(name, 0.0) for name in work) / 1e3
    return sum(work.values())

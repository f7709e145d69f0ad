"""What one run of the engine yields."""

from collections.abc import Mapping
from dataclasses import dataclass

from tracebench.model.exchange import Nanoseconds
from tracebench.model.language import Agreement
from tracebench.model.plan import Stability
from tracebench.model.requests import Requests
from tracebench.model.result import TcpInfo, Warmup
from tracebench.model.server_times import ServerTimes
from tracebench.model.streams import Streams


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one run of the engine yields for one target."""

    requests: Requests
    times: ServerTimes
    """What the replies said of them: mirrors."""
    duration_s: float
    cpu_s: float
    """CPU time of this process during the run."""
    tcp: TcpInfo | None
    asked_rps: float = 0.0
    """Open loop: the mean rate that was asked for; 0 for a closed loop."""
    until_stable: Stability | None = None
    """How well the latency was to be known."""
    stable: bool = False
    """It was known so well, and the run ended for that."""
    stalled_s: float = 0.0
    """How long the engine's loop was kept from looking for replies, in stretches above 1 ms."""
    longest_stall_s: float = 0.0
    idle_share: float | None = None
    """Of the CPU time of the whole machine; None where the system does not tell."""
    stolen_share: float | None = None
    """The same, of what a hypervisor gave to other machines."""
    same_host: bool = False
    """Both ends of the connections have one address: the server runs on this machine."""
    unix_socket: bool = False
    """The connections are Unix sockets, whose arrivals no kernel stamps."""
    clock_step_s: float = 0.0
    """How far the wall clock went from the monotonic one between begin and end."""
    governors: tuple[str, ...] = ()
    """What decides on the frequencies of this machine's CPUs; empty where nothing tells."""
    closed_windows: int | None = None
    """How often the kernel closed a TCP receive window, of whatever process on the same network;
    None where the system does not tell."""
    compressed_share: float | None = None
    """To what share of its size deflate shrinks what was sent; None where that is not known."""
    gc_pause_s: float = 0.0
    """How long Python collected garbage during the run."""
    warmup: Warmup | None = None
    """What is not among the exchanges."""
    streams: Streams | None = None
    """Of the replies that streamed; None where none of the target's do."""
    asked_tokens: int | None = None
    """So many each request asked for, where all ask for as many; None where none is known to."""
    agreement: Agreement | None = None
    """What was settled with a language model's server, and asked of it; None for any other."""
    slo: str = ""
    """The limits that a request shall meet, as they were given; empty: none were."""
    record_problem: str = ""
    """Why the record stayed in memory when it had outgrown its bound; empty where it did not."""
    interrupted: bool = False
    done_share: float | None = None
    """How much of what was asked for came about; None where that has no end."""
    gave_up: str = ""
    """Why the run was ended early; empty where it was not."""


@dataclass(frozen=True, slots=True)
class Block:
    """A short stretch of load in a run that goes to and fro between clients."""

    latency_ns: Nanoseconds
    """Of every success."""
    errors: Mapping[str, int]
    """Reason → how often."""
    duration_s: float

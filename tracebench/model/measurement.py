"""The data that one run of the engine produces."""

from collections.abc import Mapping
from dataclasses import dataclass

from tracebench.model.language import Agreement
from tracebench.model.plan import Stability
from tracebench.model.record.exchange import Nanoseconds
from tracebench.model.record.requests import Requests
from tracebench.model.record.server_times import ServerTimes
from tracebench.model.record.streams import Streams
from tracebench.model.results.result import TcpInfo, Warmup
from tracebench.model.results.workers import Worker


@dataclass(frozen=True, slots=True)
class Measurement:
    """The data that one run of the engine produces for one target."""

    requests: Requests
    times: ServerTimes
    """The server timings that came with the replies (mirrors)."""
    duration_s: float
    """Of a run in blocks their sum."""
    cpu_s: float
    """CPU time of the processes that made the load."""
    tcp: TcpInfo | None
    asked_rps: float = 0.0
    """Open loop: the mean requested rate; 0 for a closed loop."""
    until_stable: Stability | None = None
    """The requested precision of a percentile, at which the run stops; None if not requested."""
    stable: bool = False
    """The requested precision was reached, which ended the run."""
    stalled_s: float = 0.0
    """Total time that the engine's loop was kept from checking for replies, in stalls above 1
    ms; if several processes shared the load, the mean of theirs."""
    longest_stall_s: float = 0.0
    idle_share: float | None = None
    """Idle fraction of the whole machine's CPU time; None if the system does not report it."""
    stolen_share: float | None = None
    """Fraction of the whole machine's CPU time that a hypervisor gave to other guests; None if the
    system does not report it."""
    same_host: bool = False
    """Both ends of the connections have the same address, so the server runs on this machine."""
    unix_socket: bool = False
    """The connections are Unix sockets, for which the kernel records no arrival stamps."""
    clock_step_s: float = 0.0
    """How far the wall clock moved relative to the monotonic clock during the run."""
    governors: tuple[str, ...] = ()
    """The CPU frequency governors of this machine; empty if the system does not report them."""
    closed_windows: int | None = None
    """How often the kernel closed a TCP receive window during the run, counted over all processes
    in the same network namespace; None if the system does not report it."""
    block_ends: tuple[int, ...] = ()
    """Row numbers at which the blocks of a run that alternates between targets end; empty if the
    run was one block."""
    blocks_s: tuple[float, ...] = ()
    """How long each of these blocks took."""
    compressed_share: float | None = None
    """Compressed size of the payload (deflate) as a fraction of its original size; None if
    unknown."""
    gc_pause_s: float = 0.0
    """Time that Python spent collecting garbage during the run."""
    warmup: Warmup | None = None
    """The warm-up that was removed from the record; None if none was removed."""
    left_out: Requests | None = None
    """The requests of that warm-up, if they were recorded."""
    streams: Streams | None = None
    """The streamed replies; None if no reply of this target is a stream."""
    asked_tokens: int | None = None
    """Tokens requested per request, if all requests ask for the same number; None otherwise."""
    agreement: Agreement | None = None
    """What was settled with a language model's server, and asked of it; None for any other."""
    hang_up_after: str = ""
    """When the client was to hang up streams (`20 tokens`); empty if it was not."""
    slo: str = ""
    """What each request should meet, as the user wrote it; empty if nothing was given."""
    goodput: float | None = None
    """The share of requests that should meet the limits in `slo`; None if it has limits only, whose
    share is to be reported."""
    record_problem: str = ""
    """Why the record stayed in memory after outgrowing its limit; empty if it did not."""
    workers: tuple[Worker, ...] = ()
    """The processes that shared the load, without statistics; a request's is its draw modulo their
    number. Empty if it was this one alone."""
    processes: int | None = None
    """The number of processes that was asked for; None if it was left open."""
    interrupted: bool = False
    done_share: float | None = None
    """Fraction of the requested work that was done; None if the run has no fixed end."""
    gave_up: str = ""
    """Why the run was ended early; empty if it was not."""


@dataclass(frozen=True, slots=True)
class Record:
    """Every request of a target, and what is told of each: what becomes `--output-samples`."""

    requests: Requests
    times: ServerTimes
    """What servers said of each, from whichever source."""
    streams: Streams | None
    epoch_ns: int
    """What to add to the requests' times to have ns since the epoch."""


@dataclass(frozen=True, slots=True)
class Block:
    """A short stretch of load from one client, in a run that alternates between clients."""

    latency_ns: Nanoseconds
    """Latency of every success."""
    errors: Mapping[str, int]
    """Reason → number of failed requests."""
    duration_s: float

"""What happened to each request, and how its time is split into components."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Nanoseconds = npt.NDArray[np.int64]

CameWith: TypeAlias = Literal["end", "head", "stream"]
"""Where in the reply the server's timing was. `end`: where the end of the reply is already known.
`head`: in the headers, so it cannot cover the rest of the reply. `stream`: in the headers of a
reply that is sent in pieces as the server produces them."""


class Outcome(Enum):
    """How a request ended. Every request that was started has exactly one."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"
    """The client hung up the stream, as it was asked to."""


class Stamp(Enum):
    """How `arrived_ns` was obtained."""

    KERNEL = "kernel"
    USER = "user"
    """No kernel stamp, or an implausible one: the time when the client read the reply."""
    SHARED = "shared"
    """A kernel stamp of a later reply in the same read: an upper bound (HTTP/2 only)."""


class Lost(Enum):
    """Why the first attempt at a request was lost before any of its reply arrived."""

    CLOSED = "closed"
    """The server closed a kept-alive connection just as the request was sent."""
    GOAWAY = "goaway"
    """HTTP/2: the server's GOAWAY says that it did not process this request."""
    REFUSED = "refused"
    """HTTP/2: the server refused the stream (REFUSED_STREAM)."""


class Reply(NamedTuple):
    """A server's reply, in terms common to both protocols."""

    status: str
    """HTTP status code in digits, or the name of a gRPC status; empty if there was no reply."""
    headers: Mapping[str, str]
    """Names in lower case; gRPC initial and trailing metadata together."""
    body: bytes
    """The first part of the body (HTTP), or the message without its prefix (gRPC)."""
    late: frozenset[str] = frozenset()
    """Names of the headers that came after the body: trailers, trailing metadata."""
    whole: bool = False
    """The body is known to be complete; HTTP only."""


class Exchange(NamedTuple):
    """One request: its ids, its stamps (see the timeline in docs/design.md), and its outcome.

    A stamp that was never reached is 0.
    """

    trace_id: str
    span_id: str
    scheduled_ns: int
    connect_ns: int
    """Time spent connecting for this request, between `scheduled_ns` and `ready_ns`; includes the
    time of a lost first attempt."""
    ready_ns: int
    sent_ns: int
    first_byte_ns: int
    arrived_ns: int
    done_ns: int
    write_lag_ns: int
    """Upper bound on how long a partial write waited for the client to resume it."""
    outcome: Outcome
    stamp: Stamp
    reply: Reply
    reason: str
    """Why the request did not succeed; empty for a success."""
    variant: int = 0
    """Index of the request among the target's payload variants."""
    slot: int = 0
    """Index of the slot that sent it, among the exchanges that may be in flight at once."""
    lost: Lost | None = None
    """Why the request was sent a second time, in which case the stamps are those of the second
    attempt; None if it was sent once."""


class ServerSpan(NamedTuple):
    """One span that a server recorded, on the server's own clock."""

    span_id: str
    parent_id: str
    """Empty if the span has no parent."""
    name: str
    start_ns: int
    end_ns: int
    component: str | None
    """The component that the span's own time belongs to; None: the same as its parent's."""
    links: tuple[str, ...] = ()
    """Ids of the spans that it worked for, as a batch span does for many requests."""


class HandedOver(NamedTuple):
    """A piece of a streamed reply, as the server saw it leave."""

    size: int
    """Size of the stream up to and including this piece: bytes of the body, or messages of a gRPC
    call."""
    at_ns: int
    """Time since the request's entry span began."""


class StreamTiming(NamedTuple):
    """What a server reports about a streamed reply, besides its component times."""

    handed_over: tuple[HandedOver, ...] = ()
    """The first pieces, in order."""
    first_ns: int | None = None
    """Time to the first token since the entry span began; None if the server does not know about
    tokens."""
    waited_ns: int = 0
    """Total time that the stream stood still because the reader was slow."""


class Timing(NamedTuple):
    """One server's timing of one request: exclusive times that never exceed their total."""

    total_ns: int
    parts_ns: Mapping[str, int]
    """Name → ns. Holds the standard parts except `server_other`, which is the remainder; `prefill`
    and `decode`, which are further parts of `inference`; and parts with custom names, which belong
    to that remainder."""
    source: Literal["otlp", "mirror", "backend"]
    scaled: bool = False
    """A rounded mirror exceeded its total by less than its last digit, and was scaled down."""
    started_ns: int | None = None
    """When the entry span began, on the server's clock; None for a mirror, which does not say."""
    left_out: tuple[str, ...] = ()
    """Custom part names, from the server's author or a proxy that adds to the mirror, whose times
    do not fit within the total."""
    unlisted: int = 0
    """How many more custom names there was no room for."""
    came_with: CameWith = "end"
    strays: int = 0
    """Components that ran outside any request while this one was in flight."""
    differs_ns: Mapping[str, int] | None = None
    """Component → ns that spans report beyond the reply, if the difference exceeds the resolution;
    None if only one of the two sources reported."""
    stream: StreamTiming | None = None
    """What the server reports about a stream; None if it reports nothing."""


class Differing(NamedTuple):
    """How far apart two sources are on one component."""

    requests: int
    median_ns: float
    """Median of the absolute differences."""


class Undecomposed(Enum):
    """Why a successful request has no decomposition."""

    NO_TIMING = "the server reported no timing"
    MALFORMED = "the reported timing cannot be read"
    NO_TOTAL = "the reported timing has no total"
    EXCESS = "the reported parts exceed their total"
    NEGATIVE_NETWORK = "the server reported more time than the client waited"
    NOT_TRACED = "not traced (--trace-share), and the reply has no timing"


class ClockOffset(NamedTuple):
    """What to subtract from the server's times to get the client's: an interval."""

    low_ns: int
    high_ns: int
    moved_ns: int
    """Lower bound on how far the offset moved during the run, by a step or by drift; 0 if one
    offset fits the whole run."""


@dataclass(frozen=True, slots=True)
class StreamTimes:
    """What servers reported about streams, one row per decomposed request; `ABSENT`: unknown."""

    draws: Nanoseconds
    """The draw of each row's request."""
    parts_ns: Mapping[str, Nanoseconds]
    """Part → ns, for parts that can be assigned to the time before or after the first token: queue,
    prefill and so on."""
    first_ns: Nanoseconds
    """See `StreamTiming.first_ns`."""
    waited_ns: Nanoseconds
    sizes: Nanoseconds
    """The sizes in `StreamTiming.handed_over`, one column per piece."""
    at_ns: Nanoseconds
    """The times in `StreamTiming.handed_over`, one column per piece."""


@dataclass(frozen=True, slots=True)
class Decomposition:
    """Components of every decomposed request: columns of equal length, in scheduled order."""

    count: int
    columns: Mapping[str, Nanoseconds]
    """Component → ns per request; −1 if the server did not report the component. Each column is
    computed anew on access."""
    undecomposed: Mapping[Undecomposed, int]
    sources: Mapping[str, int]
    scaled: int
    clock: ClockOffset | None = None
    """Offset between the server's clock and the exchanges' clock; None if no spans were
    received."""
    own: tuple[str, ...] = ()
    """The columns with custom names, which are parts of `server_other`; largest first."""
    of_inference: tuple[str, ...] = ()
    """The columns that are parts of `inference`."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Custom name → number of requests in which its time did not fit within the total."""
    unlisted: int = 0
    """How many more custom names there were, which have no column."""
    scheduled: Callable[[], Nanoseconds] = lambda: np.zeros(0, np.int64)
    """Returns when each request was due, in ns."""
    before_reply: Callable[[], Nanoseconds] = lambda: np.zeros(0, np.int64)
    """Returns a lower bound on how much of each request's `network` passed before the reply began,
    in ns."""
    with_both: int = 0
    """Requests reported by both a reply and spans; in `disagreed` of them the two differ."""
    disagreed: int = 0
    differing: Mapping[str, Differing] = field(default_factory=dict)
    bodies: int = 0
    """Requests with a separate `body` component."""
    streamed: int = 0
    """Requests whose `body` is the time of a stream."""
    strays: int = 0
    """Requests during which components ran outside any request."""
    draws: Callable[[], Nanoseconds] = lambda: np.zeros(0, np.int64)
    """Gives whose each row is: the draw of each request's ids."""
    streams: Callable[[], StreamTimes | None] = lambda: None
    """Returns what servers reported about streams; None if they reported nothing about these
    requests."""
    of_rows: Callable[[Nanoseconds], "Decomposition"] = lambda _places: Decomposition(
        0, {}, {}, {}, 0
    )
    """Decomposes only the requests at these places of the record."""

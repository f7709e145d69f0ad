"""What happened to each request, and how its time divides."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Nanoseconds = npt.NDArray[np.int64]

CameWith: TypeAlias = Literal["end", "head", "stream"]
"""Where in a reply the server's timing stood: where its end is known, or in the head of a reply,
whose rest it cannot cover; `stream`: of one whose rest came in pieces, as the server made them."""


class Outcome(Enum):
    """How a request ended. Every request that was started has exactly one."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"


class Stamp(Enum):
    """How `arrived_ns` was had."""

    KERNEL = "kernel"
    USER = "user"
    """No kernel stamp, or an implausible one: the time at which the client read the reply."""
    SHARED = "shared"
    """A kernel stamp of a later reply in the same read: an upper bound (HTTP/2 only)."""


class Lost(Enum):
    """Why the first attempt at a request was lost without any of its reply."""

    CLOSED = "closed"
    """The server closed a kept connection as the request left: neither knew of the other."""
    GOAWAY = "goaway"
    """HTTP/2: the server's farewell says that it took no request this late."""
    REFUSED = "refused"
    """HTTP/2: the server refused the stream (REFUSED_STREAM)."""


class Reply(NamedTuple):
    """What a server answered, in terms common to both protocols."""

    status: str
    """HTTP status code in digits, or the name of a gRPC status; empty where there was none."""
    headers: Mapping[str, str]
    """Names in lower case; gRPC initial and trailing metadata together."""
    body: bytes
    """The first part of the body (HTTP), or the message without its prefix (gRPC)."""
    late: frozenset[str] = frozenset()
    """Names of those headers that came after the body: trailers, trailing metadata."""
    whole: bool = False
    """The body is known to be all of it; only of HTTP."""


class Exchange(NamedTuple):
    """One request: its ids, its stamps (see the timeline in docs/design.md), and its end.

    A stamp that was never reached is 0.
    """

    trace_id: str
    span_id: str
    scheduled_ns: int
    connect_ns: int
    """Time spent on connecting for this request, between `scheduled_ns` and `ready_ns`: with it
    that of an attempt that was lost."""
    ready_ns: int
    sent_ns: int
    first_byte_ns: int
    arrived_ns: int
    done_ns: int
    write_lag_ns: int
    """At most this long a partial write waited for the client to go on with it."""
    outcome: Outcome
    stamp: Stamp
    reply: Reply
    reason: str
    """Why it did not succeed; empty for a success."""
    variant: int = 0
    """Which of the target's requests it sent."""
    slot: int = 0
    """Which of the exchanges that may be under way at once it was."""
    lost: Lost | None = None
    """Why it was sent again, once; its stamps are those of the second attempt."""


class ServerSpan(NamedTuple):
    """One span that a server recorded, on the server's own clock."""

    span_id: str
    parent_id: str
    """Empty where it has no parent."""
    name: str
    start_ns: int
    end_ns: int
    component: str | None
    """What its own time belongs to; None: what that of the span above it belongs to."""
    links: tuple[str, ...] = ()
    """Ids of the spans that it worked for, as a batch does for many requests."""


class HandedOver(NamedTuple):
    """A part of a streamed reply, as its server saw it leave."""

    size: int
    """Of the stream with it and all before: bytes of the body, or messages of a gRPC call."""
    at_ns: int
    """Since the request's entry span began."""


class StreamTiming(NamedTuple):
    """What a server tells of a reply that streams, besides how its time divides."""

    handed_over: tuple[HandedOver, ...] = ()
    """The first parts, in order."""
    first_ns: int | None = None
    """How long it took to the first token, where the server knows of tokens itself."""
    waited_ns: int = 0
    """So long it stood still because the reader was slow."""


class Timing(NamedTuple):
    """One server's account of one request: exclusive times that never exceed their total."""

    total_ns: int
    parts_ns: Mapping[str, int]
    """Of the standard parts but `server_other`, which is the rest; of `prefill` and `decode`, which
    are parts of `inference` beside what is told of that itself; and of those by names of the
    author's own, which are parts of that rest."""
    source: Literal["otlp", "mirror", "backend"]
    scaled: bool = False
    """A rounded mirror exceeded its total by less than its last digit, and was scaled down."""
    started_ns: int | None = None
    """When the entry span began, on the server's clock; a mirror does not tell."""
    left_out: tuple[str, ...] = ()
    """Names of the author's own, or of whoever adds to a mirror on its way, whose times do not fit
    beside the others."""
    unlisted: int = 0
    """So many more own names there was no room for."""
    came_with: CameWith = "end"
    strays: int = 0
    """Components that ran outside any request while this one was under way."""
    differs_ns: Mapping[str, int] | None = None
    """Component → what spans tell more than the reply, where that is beyond resolution; None where
    there were not both."""
    stream: StreamTiming | None = None
    """None where the server tells nothing of a stream."""


class Differing(NamedTuple):
    """How far two sources are apart about one component."""

    requests: int
    median_ns: float
    """Of the differences without their signs."""


class Undecomposed(Enum):
    """Why a successful request has no decomposition."""

    NO_TIMING = "the server reported no timing"
    MALFORMED = "the reported timing cannot be read"
    NO_TOTAL = "the reported timing has no total"
    EXCESS = "the reported parts exceed their total"
    NEGATIVE_NETWORK = "the server reported more time than the client waited"


class ClockOffset(NamedTuple):
    """What to take off the server's times to have the client's: an interval."""

    low_ns: int
    high_ns: int
    moved_ns: int
    """How far it went during the run at least: a step, or a drift; 0 where one offset fits all."""


@dataclass(frozen=True, slots=True)
class StreamTimes:
    """What servers told of streams, a row a decomposed request; `ABSENT` where they did not."""

    draws: Nanoseconds
    """Of the requests: each is that of one."""
    parts_ns: Mapping[str, Nanoseconds]
    """What belongs to the time before the first token or after it: queue, prefill and so on."""
    first_ns: Nanoseconds
    """As `StreamTiming.first_ns`."""
    waited_ns: Nanoseconds
    sizes: Nanoseconds
    """Of `StreamTiming.handed_over`, a column a part."""
    at_ns: Nanoseconds
    """The same of their times."""


@dataclass(frozen=True, slots=True)
class Decomposition:
    """Components of every decomposed request: equal columns, in the order of scheduling."""

    count: int
    columns: Mapping[str, Nanoseconds]
    """Component → ns per request; −1 where the server did not report the component. Each is made
    anew when it is asked for."""
    undecomposed: Mapping[Undecomposed, int]
    sources: Mapping[str, int]
    scaled: int
    clock: ClockOffset | None = None
    """Between the server's clock and that of the exchanges; None where no spans came."""
    own: tuple[str, ...] = ()
    """The columns that are parts of `server_other`, by names of the author's own; the largest
    comes first."""
    of_inference: tuple[str, ...] = ()
    """The columns that are parts of `inference`."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Name → requests in which its time did not fit beside the others."""
    unlisted: int = 0
    """So many more own names there were, which have no column."""
    before_reply: Callable[[], Nanoseconds] = lambda: np.zeros(0, np.int64)
    """Gives how much of each request's `network` passed before the reply began, at least."""
    with_both: int = 0
    """Requests of which both a reply and spans tell; so many `disagreed`."""
    disagreed: int = 0
    differing: Mapping[str, Differing] = field(default_factory=dict)
    bodies: int = 0
    """Requests of which a `body` stands apart."""
    streamed: int = 0
    """Those of which it is the time of a stream."""
    strays: int = 0
    """Requests during which components ran outside any request."""
    draws: Callable[[], Nanoseconds] = lambda: np.zeros(0, np.int64)
    """Gives whose each row is: the draw of each request's ids."""
    streams: Callable[[], StreamTimes | None] = lambda: None
    """Gives what servers told of streams; None where they told nothing that concerns these."""

"""What the engine and a protocol exchange: slots, and bytes in, finished slots out."""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol

from tracebench.model.exchange import Lost, Stamp

# One of the C exchanges that may be under way at once.

RawReply = tuple[bytes, ...]
"""HTTP/1.1: (head and the first part of the body,).
gRPC: (initial header block, length-prefixed message, trailing header block)."""


KEPT_BODY_BYTES = 1_024
"""So much of a longer HTTP reply's body is kept."""


GRPC_STREAM: Final = "application/grpc"
"""The media type of a stream of gRPC's messages."""


class Mark(NamedTuple):
    """Up to where a read went in a stream's body."""

    size: int
    """Of the body after it."""
    came_ns: int
    stamp: Stamp
    """How `came_ns` was had."""


class StreamLog:
    """What has come of a reply that streams: all of its body, and where in it each read ended.

    Args:
        kind: its media type.
    """

    __slots__ = ("body", "kind", "marks")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.body = bytearray()
        self.marks: list[Mark] = []

    def mark(self, came_ns: int, stamp: Stamp) -> None:
        """A read has ended here."""
        size = len(self.body)
        if size != (self.marks[-1].size if self.marks else 0):
            self.marks.append(Mark(size, came_ns, stamp))


NO_REPLY: Final = "the server closed the connection without a reply"
CUT_SHORT: Final = "the server closed the connection in mid-reply"


class Carrier(Protocol):
    """What has a slot's exchange in its hands: a connection, or the channel it waits for."""

    def abandon(self, slot: "Slot") -> None:
        """Give the slot's exchange up; it has been accounted for."""


class Slot:
    """The stamps of the exchange under way; used again for the slot's next one."""

    __slots__ = (
        "asked_ns",
        "carrier",
        "connect_ns",
        "draw",
        "error",
        "first_byte_ns",
        "freed_ns",
        "ids",
        "lost",
        "number",
        "ready_ns",
        "reply",
        "scheduled_ns",
        "sent_ns",
        "stream",
        "submit",
        "unanswered",
        "variant",
        "write_lag_ns",
    )

    def __init__(self, submit: Callable[["Slot"], None], number: int = 0) -> None:
        self.submit = submit
        """Sends the slot's request."""
        self.number = number
        """Among the slots of a run."""
        self.carrier: Carrier | None = None
        """What had the last exchange in its hands, or has the present one."""
        self.ids = b""
        """Of the exchange under way; empty where none is."""
        self.draw = 0
        """How many exchanges of the window were started before it."""
        self.freed_ns = 0
        """When the last exchange ended."""
        self.scheduled_ns = self.asked_ns = self.connect_ns = self.ready_ns = 0
        self.sent_ns = self.first_byte_ns = self.write_lag_ns = 0
        self.variant = 0
        """Which of the target's requests it sends."""
        self.reply: RawReply | None = None
        self.stream: StreamLog | None = None
        """What has come of the reply, where it streams."""
        self.error = ""
        self.unanswered: Lost | None = None
        """Set with the error by a codec that knows that none of the reply has come, and why."""
        self.lost: Lost | None = None
        """Why the first attempt at this exchange was lost; None: this is the first."""

    def heard_ns(self) -> int:
        """When the last of a stream came; 0 where none has."""
        stream = self.stream
        return stream.marks[-1].came_ns if stream is not None and stream.marks else 0

    def begin_again(self, now_ns: int) -> None:
        """Forget the attempt that was lost: what it took counts as `connect`."""
        self.lost, self.unanswered, self.error = self.unanswered, None, ""
        self.connect_ns += now_ns - self.ready_ns
        self.ready_ns = now_ns
        self.asked_ns = now_ns - self.connect_ns
        self.sent_ns = self.first_byte_ns = self.write_lag_ns = 0


# What the engine asks of a protocol: bytes in, finished slots out; no socket, no clock.
#
# A protocol is a codec and the requests that it repeats; a target that is made ready names both.
# A codec serves one connection. It is handed slots, knows them only as tokens, and marks a slot
# as finished by setting its `reply` (or its `error`, and `unanswered` where a second attempt may
# be right). It keeps replies as bytes; they are read after the run, because parsing them inside
# the window would be the client's lag.


class ProtocolError(Exception):
    """The peer broke the protocol: every exchange on the connection fails with this reason."""


class Request(Protocol):
    """One of a target's requests, complete but for the ids."""

    @property
    def body(self) -> bytes:
        """What it carries: as large as the user gave it, without the protocol's framing."""


class Codec(Protocol):
    """One connection's protocol state."""

    def __init__(self, *requests: Any) -> None:
        """Take the target's requests, of the protocol's own type; each slot names its own."""

    multiplexed: bool
    """Several exchanges may be open at once, and a reply may end before its request does."""
    established: bool
    """The connection may carry requests (HTTP/2: the peer's SETTINGS have arrived)."""
    reusable: bool
    """It may carry one more request after those under way."""
    served: bool
    """It has carried a whole reply: the requests that follow are on a kept connection."""

    def busy(self) -> bool:
        """Whether any exchange is open."""

    @property
    def room(self) -> int:
        """How many more exchanges may be opened now."""

    def preface(self) -> bytes:
        """What to send when the connection is made; empty for HTTP/1.1."""

    def request(self, slot: Slot, ids: bytes) -> list[bytes]:
        """Open an exchange; returns what may be sent at once, in order.

        Args:
            slot: its `reply` is None and its `error` empty.
            ids: 49 bytes, `<trace id>-<span id>` in lower-case hex.
        """

    def receive(self, data: bytes) -> Sequence[Slot]:
        """Take bytes from the peer; returns the slots they belonged to, the last one last.

        Each slot that got any byte of its reply is returned once; where its reply is now complete
        (or refused), its `reply` (or `error`) is set and the codec has forgotten it.

        Raises:
            ProtocolError: the connection cannot be used any more.
        """

    def outgoing(self) -> list[bytes]:
        """Drain what the codec itself has to say: acknowledgements, and bodies now let through."""

    def cancel(self, slot: Slot) -> list[bytes] | None:
        """Give a slot's exchange up; returns what to send, or None: close the connection."""

    def end_of_file(self) -> Sequence[Slot]:
        """The peer has closed its side: finish every slot still open, with a reply or an error."""

"""The interface of engine and protocol: bytes in, finished slots out."""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol

from tracebench.model.record.exchange import Lost, Stamp

# One of the C exchanges that may be in flight at once.

RawReply = tuple[bytes, ...]
"""HTTP/1.1: (head and the first part of the body,).
gRPC: (initial header block, length-prefixed message, trailing header block)."""


KEPT_BODY_BYTES = 1_024
"""How much is kept of the body of a longer HTTP reply."""


GRPC_STREAM: Final = "application/grpc"
"""The media type of a stream of gRPC messages."""


class Mark(NamedTuple):
    """Where a read ended in a stream's body."""

    size: int
    """Size of the body after the read, in bytes."""
    came_ns: int
    stamp: Stamp
    """The source of `came_ns`."""


class StreamLog:
    """The body of a streaming reply so far, and where in it each read ended.

    Args:
        kind: its media type.
    """

    __slots__ = ("body", "kind", "marks")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.body = bytearray()
        self.marks: list[Mark] = []

    def mark(self, came_ns: int, stamp: Stamp) -> None:
        """Note that a read has ended here."""
        size = len(self.body)
        if size != (self.marks[-1].size if self.marks else 0):
            self.marks.append(Mark(size, came_ns, stamp))


NO_REPLY: Final = "the server closed the connection without a reply"
CUT_SHORT: Final = "the server closed the connection in the middle of a reply"


class Carrier(Protocol):
    """What is responsible for a slot's exchange: a connection, or the channel it waits in."""

    def abandon(self, slot: "Slot") -> None:
        """Give up the slot's exchange, which has already been recorded."""


class Slot:
    """The stamps of the exchange in flight; reused for the slot's next one."""

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
        """Index among the slots of a run."""
        self.carrier: Carrier | None = None
        """The carrier of the current exchange, or of the last one."""
        self.ids = b""
        """The ids of the exchange in flight; empty if there is none."""
        self.draw = 0
        """How many exchanges of the window started before it."""
        self.freed_ns = 0
        """When the last exchange ended."""
        self.scheduled_ns = self.asked_ns = self.connect_ns = self.ready_ns = 0
        self.sent_ns = self.first_byte_ns = self.write_lag_ns = 0
        self.variant = 0
        """Which of the target's requests it sends."""
        self.reply: RawReply | None = None
        self.stream: StreamLog | None = None
        """The reply so far, if it streams."""
        self.error = ""
        self.unanswered: Lost | None = None
        """Why no reply came: set with the error by a codec that knows that none did."""
        self.lost: Lost | None = None
        """Why the first attempt at this exchange was lost; None: this is the first."""

    def heard_ns(self) -> int:
        """When the latest part of a stream came; 0 if none has."""
        stream = self.stream
        return stream.marks[-1].came_ns if stream is not None and stream.marks else 0

    def begin_again(self, now_ns: int) -> None:
        """Reset after a lost attempt, whose duration counts as `connect`."""
        self.lost, self.unanswered, self.error = self.unanswered, None, ""
        self.connect_ns += now_ns - self.ready_ns
        self.ready_ns = now_ns
        self.asked_ns = now_ns - self.connect_ns
        self.sent_ns = self.first_byte_ns = self.write_lag_ns = 0


# What the engine asks of a protocol: bytes in, finished slots out; no socket, no clock.
#
# A protocol is a codec and the requests that it repeats; a prepared target names both. A codec
# serves one connection. It treats slots as opaque tokens, and marks one as finished by setting its
# `reply` (or its `error`, and `unanswered` if a second attempt may be right). It keeps replies as
# bytes, to be read after the run, because parsing them within the window would add client lag.


class ProtocolError(Exception):
    """The peer broke the protocol: every exchange on the connection fails with this reason."""


class Request(Protocol):
    """One of a target's requests, complete but for the ids."""

    @property
    def body(self) -> bytes:
        """The payload as the user gave it, without the protocol's framing."""


class Codec(Protocol):
    """One connection's protocol state."""

    def __init__(self, *requests: Any) -> None:
        """Take the target's requests, of the protocol's own type, indexed by `Slot.variant`."""

    multiplexed: bool
    """Several exchanges may be open at once, and a reply may end before its request does."""
    established: bool
    """The connection may carry requests (HTTP/2: the peer's SETTINGS have arrived)."""
    reusable: bool
    """The connection can carry another request after those in flight."""
    served: bool
    """The connection has carried a whole reply, so later requests use it kept alive."""

    def busy(self) -> bool:
        """Whether any exchange is open."""

    @property
    def room(self) -> int:
        """How many more exchanges may be opened now."""

    def preface(self) -> bytes:
        """What to send once connected; empty for HTTP/1.1."""

    def request(self, slot: Slot, ids: bytes) -> list[bytes]:
        """Open an exchange; returns what may be sent at once, in order.

        Args:
            slot: its `reply` is None and its `error` empty.
            ids: 49 bytes, `<trace id>-<span id>` in lower-case hex.
        """

    def receive(self, data: bytes) -> Sequence[Slot]:
        """Take bytes from the peer; returns the slots they belonged to, the latest one last.

        Each slot that got any byte of its reply is returned once; if its reply is now complete (or
        refused), its `reply` (or `error`) is set and the codec has forgotten it.

        Raises:
            ProtocolError: the connection cannot be used any more.
        """

    def outgoing(self) -> list[bytes]:
        """Drain pending output: acknowledgements, and bodies that flow control now allows."""

    def cancel(self, slot: Slot) -> list[bytes] | None:
        """Give up a slot's exchange; returns what to send, or None to close the connection."""

    def end_of_file(self) -> Sequence[Slot]:
        """The peer has closed: finish every open slot, with a reply or an error."""

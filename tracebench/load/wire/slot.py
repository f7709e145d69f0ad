"""One of the C exchanges that may be under way at once."""

from collections.abc import Callable
from typing import Protocol

from tracebench.model.exchange import Lost

RawReply = tuple[bytes, ...]
"""HTTP/1.1: (head and the first part of the body,).
gRPC: (initial header block, length-prefixed message, trailing header block)."""


EXCERPT = 1_024
"""So much of a longer HTTP reply's body is kept."""


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
        self.error = ""
        self.unanswered: Lost | None = None
        """Set with the error by a codec that knows that none of the reply has come, and why."""
        self.lost: Lost | None = None
        """Why the first attempt at this exchange was lost; None: this is the first."""

    def begin_again(self, now_ns: int) -> None:
        """Forget the attempt that was lost: what it took counts as `connect`."""
        self.lost, self.unanswered, self.error = self.unanswered, None, ""
        self.connect_ns += now_ns - self.ready_ns
        self.ready_ns = now_ns
        self.asked_ns = now_ns - self.connect_ns
        self.sent_ns = self.first_byte_ns = self.write_lag_ns = 0

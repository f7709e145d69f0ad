"""One HTTP/2 exchange: how much of its request has been sent, and what has come of its reply."""

from typing import Final

from tracebench.load.wire.codec import ProtocolError
from tracebench.load.wire.slot import RawReply, Slot

KEPT_BYTES: Final = 65_536
"""A reply's body is kept up to this size."""


class Stream:
    """An open stream."""

    __slots__ = ("body_bytes", "id", "initial", "message", "parts", "sent_bytes", "slot", "window")

    def __init__(self, stream_id: int, slot: Slot, message: bytes, window: int) -> None:
        self.id = stream_id
        self.slot = slot
        self.message = message
        """The body of the request."""
        self.window = window
        """How many bytes of it the peer still takes; negative after it has shrunk its windows."""
        self.sent_bytes = 0
        """Of the message."""
        self.initial = b""
        """The reply's first header block, undecoded."""
        self.parts: list[bytes] = []
        self.body_bytes = 0

    def headers(self, block: bytes) -> None:
        """Take a header block that does not end the reply.

        It replaces the one before: only that of an interim reply (1xx) can be followed by another.
        """
        if self.body_bytes:
            raise ProtocolError("the server sent headers in the middle of a reply's body")
        self.initial = block

    def data(self, payload: bytes) -> None:
        """Take a part of the body; what exceeds `KEPT_BYTES` is only counted."""
        if not self.initial:
            raise ProtocolError("the server sent a reply's body before its headers")
        if payload and self.body_bytes < KEPT_BYTES:
            self.parts.append(payload)
        self.body_bytes += len(payload)

    def has_reply(self) -> bool:
        """Whether any of the reply has come."""
        return bool(self.initial)

    def reply(self, trailing: bytes) -> RawReply:
        """The reply as it is kept; its size is added where the body is kept only in part.

        Args:
            trailing: the header block that ended it; empty where a body did.
        """
        body = b"".join(self.parts)
        if self.body_bytes <= KEPT_BYTES:
            return self.initial, body, trailing
        return self.initial, body[:KEPT_BYTES], trailing, b"%d" % self.body_bytes

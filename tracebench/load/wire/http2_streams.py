"""The streams of one HTTP/2 connection, and flow control for sending on them."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from tracebench.load.wire.codec import ProtocolError, RawReply, Slot
from tracebench.load.wire.http2_frames import (
    DATA,
    END_STREAM,
    LARGEST_31_BIT,
    LARGEST_MAX_FRAME,
    SMALLEST_MAX_FRAME,
    frame_header,
)
from tracebench.model.record.exchange import Lost

# One HTTP/2 exchange: how much of its request has been sent, and its reply so far.

KEPT_MESSAGE_BYTES: Final = 65_536
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
        """Flow-control window in bytes; negative once the peer has shrunk its windows."""
        self.sent_bytes = 0
        """How much of the message has been sent."""
        self.initial = b""
        """The reply's first header block, undecoded."""
        self.parts: list[bytes] = []
        self.body_bytes = 0

    def headers(self, block: bytes) -> None:
        """Take a header block that does not end the reply.

        It replaces an earlier one, which can only be that of an interim reply (1xx).
        """
        if self.body_bytes:
            raise ProtocolError("the server sent headers in the middle of a reply's body")
        self.initial = block

    def data(self, payload: bytes) -> None:
        """Take a part of the body; what exceeds `KEPT_MESSAGE_BYTES` is only counted."""
        if not self.initial:
            raise ProtocolError("the server sent a reply's body before its headers")
        if payload and self.body_bytes < KEPT_MESSAGE_BYTES:
            self.parts.append(payload)
        self.body_bytes += len(payload)

    def has_reply(self) -> bool:
        """Whether any of the reply has arrived."""
        return bool(self.initial)

    def reply(self, trailing: bytes) -> RawReply:
        """The reply as it is kept; its size is added if the body is kept only in part.

        Args:
            trailing: the header block that ended it; empty if a body did.
        """
        body = b"".join(self.parts)
        if self.body_bytes <= KEPT_MESSAGE_BYTES:
            return self.initial, body, trailing
        return self.initial, body[:KEPT_MESSAGE_BYTES], trailing, b"%d" % self.body_bytes


# HTTP/2 flow control, sending side: request bodies are sent as the peer's windows allow.
#
# RFC 9113, section 5.2. There is one window for the connection, and one for each stream.

FIRST_WINDOW: Final = 65_535
"""The default size of every window."""


class Outflow:
    """Sends the streams' messages under flow control."""

    def __init__(self) -> None:
        self.first_window = FIRST_WINDOW
        """The window of a new stream."""
        self._window = FIRST_WINDOW
        self._largest_frame = SMALLEST_MAX_FRAME
        self.blocked: dict[int, Stream] = {}
        """Streams whose bodies wait for a window, by id."""

    def write(self, stream: Stream, out: list[bytes]) -> None:
        """Append what may be sent of a stream's body; the rest waits for `flush`."""
        body, stream_id = stream.message, stream.id
        size, at = len(body), stream.sent_bytes
        while at < size:
            count = min(size - at, self._largest_frame, self._window, stream.window)
            if count <= 0:
                self.blocked[stream_id] = stream
                return
            end = at + count
            out.append(frame_header(count, DATA, END_STREAM if end == size else 0, stream_id))
            out.append(_part(body, at, end))
            self._window -= count
            stream.window -= count
            stream.sent_bytes = at = end

    def flush(self, out: list[bytes]) -> None:
        """Append what may now be sent of the waiting bodies, the oldest first."""
        waiting, self.blocked = self.blocked, {}
        for stream in waiting.values():
            self.write(stream, out)

    def widen(self, stream: Stream | None, increment: int) -> None:
        """Take a WINDOW_UPDATE for a stream, or for the connection (None)."""
        if stream is None:
            self._window = _checked(self._window + increment)
        else:
            stream.window = _checked(stream.window + increment)

    def resize(self, first_window: int, streams: Iterable[Stream]) -> None:
        """Take SETTINGS_INITIAL_WINDOW_SIZE, which also adjusts the windows of open streams."""
        change = _checked(first_window) - self.first_window
        self.first_window = first_window
        for stream in streams:
            stream.window = _checked(stream.window + change)

    def limit_frames(self, largest: int) -> None:
        """Take SETTINGS_MAX_FRAME_SIZE."""
        if not SMALLEST_MAX_FRAME <= largest <= LARGEST_MAX_FRAME:
            raise ProtocolError(f"the server set a frame size of {largest} bytes")
        self._largest_frame = largest


@lru_cache(maxsize=256)
def _part(message: bytes, at: int, end: int) -> bytes:
    """A part of a message that is sent repeatedly, cached: copying 16 KB takes 2 µs."""
    return message[at:end]


def _checked(window: int) -> int:
    if window > LARGEST_31_BIT:
        raise ProtocolError("the server opened a flow-control window beyond 2^31 - 1 bytes")
    return window


# The streams of one HTTP/2 connection, and which of them the bytes of a read belonged to.

_FIRST_ID: Final = 1
LAST_ID: Final = LARGEST_31_BIT
"""Once it is used, the connection can carry no more requests."""


class Streams:
    """Opens, finds and closes streams; a closed one is forgotten."""

    def __init__(self, outflow: Outflow) -> None:
        self.open: dict[int, Stream] = {}
        self._outflow = outflow
        self._next_id = _FIRST_ID
        self._touched: dict[Slot, None] = {}

    def begin(self, slot: Slot, message: bytes) -> Stream:
        """Open a stream for a message."""
        stream = Stream(self._next_id, slot, message, self._outflow.first_window)
        self.open[stream.id] = stream
        self._next_id += 2
        return stream

    def find(self, stream_id: int) -> Stream | None:
        """The open stream with this id; None if it has been closed.

        Raises:
            ProtocolError: it was never opened.
        """
        stream = self.open.get(stream_id)
        if stream is None and (stream_id % 2 == 0 or stream_id >= self._next_id):
            raise ProtocolError(f"the server used stream {stream_id}, which was never opened")
        return stream

    def touch(self, stream_id: int) -> Stream | None:
        """Like `find`, and note that the read's latest bytes belong to the stream's slot."""
        stream = self.find(stream_id)
        if stream is not None:
            self._touched.pop(stream.slot, None)
            self._touched[stream.slot] = None
        return stream

    def touched(self) -> Sequence[Slot]:
        """The slots touched since the last call, in order."""
        if not self._touched:
            return ()
        touched, self._touched = self._touched, {}
        return tuple(touched)

    def close(self, stream: Stream) -> bool:
        """Forget a stream; returns whether some of its request was still unsent."""
        del self.open[stream.id]
        return self._outflow.blocked.pop(stream.id, None) is not None

    def fail(self, stream: Stream, error: str, unanswered: Lost | None = None) -> None:
        """Close a stream whose reply will not come.

        Args:
            stream: an open stream.
            error: why.
            unanswered: why it may be resent; the first request of a connection never is.
        """
        self.touch(stream.id)
        self.close(stream)
        stream.slot.error = error
        if stream.id != _FIRST_ID and not stream.has_reply():
            stream.slot.unanswered = unanswered

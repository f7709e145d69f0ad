"""HTTP/2 flow control, the sending half: request bodies go out as the peer's windows allow.

RFC 9113, section 5.2. There is a window for the connection, and one for each stream.
"""

from collections.abc import Iterable
from typing import Final

from tracebench.load.wire.codec import ProtocolError
from tracebench.load.wire.http2_frames import (
    DATA,
    END_STREAM,
    LARGEST_31_BIT,
    LARGEST_MAX_FRAME,
    SMALLEST_MAX_FRAME,
    frame_header,
)
from tracebench.load.wire.http2_stream import Stream

FIRST_WINDOW: Final = 65_535
"""Every window's size before anything was said about it."""


class Outflow:
    """Sends the streams' messages."""

    def __init__(self) -> None:
        self.first_window = FIRST_WINDOW
        """What a new stream's window is."""
        self._window = FIRST_WINDOW
        self._largest_frame = SMALLEST_MAX_FRAME
        self._blocked: dict[int, Stream] = {}

    def is_blocked(self) -> bool:
        """Whether any body waits for a window."""
        return bool(self._blocked)

    def write(self, stream: Stream, out: list[bytes]) -> None:
        """Append what may be sent of a stream's body; the rest waits for `flush`."""
        body, stream_id = stream.message, stream.id
        size, at = len(body), stream.sent_bytes
        while at < size:
            count = min(size - at, self._largest_frame, self._window, stream.window)
            if count <= 0:
                self._blocked[stream_id] = stream
                return
            end = at + count
            out.append(frame_header(count, DATA, END_STREAM if end == size else 0, stream_id))
            out.append(body[at:end])
            self._window -= count
            stream.window -= count
            stream.sent_bytes = at = end

    def flush(self, out: list[bytes]) -> None:
        """Append what may be sent by now of the bodies that wait, the oldest first."""
        waiting, self._blocked = self._blocked, {}
        for stream in waiting.values():
            self.write(stream, out)

    def forget(self, stream: Stream) -> bool:
        """Send no more of a stream's body; tells whether there was more to send."""
        return self._blocked.pop(stream.id, None) is not None

    def widen(self, stream: Stream | None, increment: int) -> None:
        """Take a WINDOW_UPDATE for a stream, or for the connection (None)."""
        if stream is None:
            self._window = _checked(self._window + increment)
        else:
            stream.window = _checked(stream.window + increment)

    def resize(self, first_window: int, streams: Iterable[Stream]) -> None:
        """Take SETTINGS_INITIAL_WINDOW_SIZE, which moves the windows of open streams as well."""
        change = _checked(first_window) - self.first_window
        self.first_window = first_window
        for stream in streams:
            stream.window = _checked(stream.window + change)

    def limit_frames(self, largest: int) -> None:
        """Take SETTINGS_MAX_FRAME_SIZE."""
        if not SMALLEST_MAX_FRAME <= largest <= LARGEST_MAX_FRAME:
            raise ProtocolError(f"the server set a frame size of {largest} bytes")
        self._largest_frame = largest


def _checked(window: int) -> int:
    if window > LARGEST_31_BIT:
        raise ProtocolError("the server opened a flow-control window beyond 2^31 - 1 bytes")
    return window

"""The streams of one HTTP/2 connection, and which of them the bytes of a read belonged to."""

from collections.abc import Sequence
from typing import Final

from tracebench.load.wire.codec import ProtocolError
from tracebench.load.wire.flow import Outflow
from tracebench.load.wire.http2_frames import LARGEST_31_BIT
from tracebench.load.wire.http2_stream import Stream
from tracebench.load.wire.slot import Slot
from tracebench.model.exchange import Lost

_FIRST_ID: Final = 1


class Streams:
    """Opens streams, finds them, and closes them; a closed one is forgotten."""

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

    def exhausted(self) -> bool:
        """Whether the last stream id has been used."""
        return self._next_id > LARGEST_31_BIT

    def find(self, stream_id: int) -> Stream | None:
        """An open stream; None where it has been closed.

        Raises:
            ProtocolError: it was never opened.
        """
        stream = self.open.get(stream_id)
        if stream is None and (stream_id % 2 == 0 or stream_id >= self._next_id):
            raise ProtocolError(f"the server used stream {stream_id}, which was never opened")
        return stream

    def touch(self, stream_id: int) -> Stream | None:
        """Like `find`; its slot is now the last one that the read belonged to."""
        stream = self.find(stream_id)
        if stream is not None:
            self._touched.pop(stream.slot, None)
            self._touched[stream.slot] = None
        return stream

    def touched(self) -> Sequence[Slot]:
        """The slots that were touched since this was last asked, in order."""
        if not self._touched:
            return ()
        touched, self._touched = self._touched, {}
        return tuple(touched)

    def close(self, stream: Stream) -> bool:
        """Forget a stream; tells whether some of its request was still to be sent."""
        del self.open[stream.id]
        return self._outflow.forget(stream)

    def fail(self, stream: Stream, error: str, unanswered: Lost | None = None) -> None:
        """Close a stream whose reply will not come.

        Args:
            stream: is open.
            error: why.
            unanswered: why it may be sent again; the first request of a connection never is.
        """
        self.touch(stream.id)
        self.close(stream)
        stream.slot.error = error
        if stream.id != _FIRST_ID and not stream.has_reply():
            stream.slot.unanswered = unanswered

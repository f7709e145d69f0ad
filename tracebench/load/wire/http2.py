"""HTTP/2 for unary gRPC: the codec (RFC 9113).

Header blocks are neither built nor read here. The request's is constant; the peer is told to use
no dynamic table (SETTINGS_HEADER_TABLE_SIZE 0), so that each block of a reply can be read on its
own, after the run. `benchmarks/http2_codec.py` measures the cost of a call.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NoReturn

from tracebench.load.wire import http2_frames
from tracebench.load.wire.codec import (
    CUT_SHORT,
    GRPC_STREAM,
    KEPT_BODY_BYTES,
    NO_REPLY,
    Codec,
    ProtocolError,
    Slot,
    StreamLog,
)
from tracebench.load.wire.grpc_request import GrpcRequest
from tracebench.load.wire.http2_frames import (
    ACK,
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    LARGEST_31_BIT,
    PING,
    SETTINGS,
    SMALLEST_MAX_FRAME,
    FrameSplitter,
    frame,
    frame_header,
)
from tracebench.load.wire.http2_framing import Framing, WholeReply
from tracebench.load.wire.http2_streams import FIRST_WINDOW, LAST_ID, Outflow, Stream, Streams
from tracebench.model.errors import excerpt
from tracebench.model.record.exchange import Lost

MOST_HEADER_BYTES: Final = 65_536
MOST_ANSWERS: Final = 1_000
"""How many acknowledgements one read may demand."""
MOST_FRAMINGS: Final = 64
REPLENISH_BYTES: Final = 2**30
"""The connection's receive window is refilled once this much of it is used."""
PREFACE: Final = (
    http2_frames.CLIENT_PREFACE
    + http2_frames.settings(
        (http2_frames.HEADER_TABLE_SIZE, 0),
        (http2_frames.ENABLE_PUSH, 0),
        (http2_frames.INITIAL_WINDOW_SIZE, LARGEST_31_BIT),
        (http2_frames.MAX_HEADER_LIST_SIZE, MOST_HEADER_BYTES),
    )
    + http2_frames.window_update(0, LARGEST_31_BIT - FIRST_WINDOW)
)
NOT_HTTP2: Final = "the server does not speak HTTP/2"


class Http2Codec(Codec):
    """One HTTP/2 connection that repeats gRPC calls, indexed by `Slot.variant`."""

    multiplexed = True

    def __init__(self, *requests: GrpcRequest) -> None:
        self.established = self.served = False
        self.reusable = True
        self._requests = requests
        self._outflow = Outflow()
        self._streams = Streams(self._outflow)
        self._most_streams = LARGEST_31_BIT
        self._splitter = FrameSplitter()
        self._framings: dict[int, Framing | None] = {}
        """Size of a read → its framing; None: a read of this size is not one whole reply."""
        self._expected: int | None = SETTINGS
        """The required type of the next frame; None: any."""
        self._block, self._block_flags, self._block_stream = bytearray(), 0, 0
        self._owed: list[bytes] = []
        self._used_bytes = 0
        """How much of the connection's receive window is used."""
        self._farewell = ""
        """The text of the peer's GOAWAY."""
        self._taken_up_to = 0
        """The last stream that the GOAWAY accepts; up to it, a close never causes a resend."""
        self._handlers = {
            http2_frames.DATA: self._on_data,
            HEADERS: self._on_headers,
            http2_frames.RST_STREAM: self._on_reset,
            SETTINGS: self._on_settings,
            http2_frames.PUSH_PROMISE: self._on_push,
            PING: self._on_ping,
            http2_frames.GOAWAY: self._on_goaway,
            http2_frames.WINDOW_UPDATE: self._on_window_update,
            CONTINUATION: self._on_continuation,
        }

    def busy(self) -> bool:
        """Whether any exchange is open."""
        return bool(self._streams.open)

    @property
    def room(self) -> int:
        """How many more streams the peer allows."""
        return self._most_streams - len(self._streams.open)

    def preface(self) -> bytes:
        """The connection preface and our SETTINGS."""
        return PREFACE

    # ── requests out ─────────────────────────────────────────────────────────────────────────

    def request(self, slot: Slot, ids: bytes) -> list[bytes]:
        """Open a stream; returns its headers, and as much of the message as the windows allow.

        Pending output goes first: once acknowledged, the peer relies on its new settings.
        """
        out = self.outgoing()
        request = self._requests[slot.variant]
        stream = self._streams.begin(slot, request.framed)
        if stream.id >= LAST_ID:
            self.reusable = False
        block = request.head + ids + request.tail
        if len(block) <= SMALLEST_MAX_FRAME:
            out.append(frame_header(len(block), HEADERS, END_HEADERS, stream.id) + block)
        else:
            out += _continued(stream.id, block)
        self._outflow.write(stream, out)
        return out

    def outgoing(self) -> list[bytes]:
        """Drain acknowledgements, and bodies that the windows now allow."""
        if not self._owed and not self._outflow.blocked:
            return []
        out, self._owed = self._owed, []
        self._outflow.flush(out)
        return out

    def cancel(self, slot: Slot) -> list[bytes] | None:
        """Give up a slot's exchange; anything that still comes for it is ignored."""
        for stream in self._streams.open.values():
            if stream.slot is slot:
                self._streams.close(stream)
                return [http2_frames.rst_stream(stream.id, http2_frames.CANCEL)]
        return []

    # ── replies in ───────────────────────────────────────────────────────────────────────────

    def receive(self, data: bytes) -> Sequence[Slot]:
        """Take bytes from the peer; see `Codec.receive`."""
        framing = self._framings.get(len(data))
        if framing is not None and (slot := self._take_reply(framing.take(data))) is not None:
            return (slot,)
        learns = self._splitter.is_between_frames() and len(self._framings) < MOST_FRAMINGS
        try:
            self._take_frames(data)
        except ProtocolError:
            if not self.established:
                raise ProtocolError(NOT_HTTP2) from None
            raise
        touched = self._streams.touched()
        if learns and touched and touched[-1].reply is not None:
            self._learn(data)
        return touched

    def _learn(self, data: bytes) -> None:
        """Learn the framing of a read that ended a reply."""
        self._framings[len(data)] = Framing.of(data)

    def end_of_file(self) -> Sequence[Slot]:
        """Fail the open streams; also returns the slots of a read that broke off."""
        self.reusable = False
        for stream in tuple(self._streams.open.values()):
            error = CUT_SHORT if stream.has_reply() else NO_REPLY
            crossed = self.served and stream.id > self._taken_up_to
            self._streams.fail(
                stream,
                f"{error} ({self._farewell})" if self._farewell else error,
                Lost.CLOSED if crossed else None,
            )
        return self._streams.touched()

    def _take_reply(self, found: WholeReply | None) -> Slot | None:
        """Take a reply contained in one read; None if the frames must be handled one by one."""
        if found is None or self._expected is not None or not self._splitter.is_between_frames():
            return None
        stream_id, reply, beside = found
        stream = self._streams.open.get(stream_id)
        if stream is None or stream.initial:
            return None
        for kind, flags, beside_id, payload in beside:
            self._handlers[kind](flags, beside_id, payload)
        self._use(len(reply[1]))
        self._close(stream)
        stream.slot.reply = reply
        return stream.slot

    # ── one frame each ───────────────────────────────────────────────────────────────────────

    def _take_frames(self, data: bytes) -> None:
        for kind, flags, stream_id, payload in self._splitter.split(data):
            if self._expected is not None and kind != self._expected:
                self._unexpected()
            handler = self._handlers.get(kind)
            if handler is not None:
                handler(flags, stream_id, payload)

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._use(len(payload))
        stream = self._streams.touch(stream_id)
        if stream is not None:
            stream.data(http2_frames.without_padding(flags, payload))
            if flags & END_STREAM:
                self._complete(stream, b"")

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._streams.touch(stream_id)
        fragment = http2_frames.header_fragment(flags, payload)
        if flags & END_HEADERS:
            self._take_block(stream_id, flags, fragment)
        else:
            self._expected = CONTINUATION
            self._block = bytearray(fragment)
            self._block_stream, self._block_flags = stream_id, flags

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        if self._expected != CONTINUATION or stream_id != self._block_stream:
            self._unexpected()
        self._block += payload
        if len(self._block) > MOST_HEADER_BYTES:
            raise ProtocolError(f"the server sent more than {MOST_HEADER_BYTES} bytes of headers")
        if flags & END_HEADERS:
            self._expected = None
            self._take_block(stream_id, self._block_flags, bytes(self._block))

    def _take_block(self, stream_id: int, flags: int, block: bytes) -> None:
        stream = self._streams.touch(stream_id)
        if stream is None:
            return
        if flags & END_STREAM:
            self._complete(stream, block)
        else:
            stream.headers(block)

    def _on_reset(self, _flags: int, stream_id: int, payload: bytes) -> None:
        code = http2_frames.read_uint32(payload)
        stream = self._streams.touch(stream_id)
        if stream is not None:
            error = f"the server reset the stream: {http2_frames.error_name(code)}"
            refused = code == http2_frames.REFUSED_STREAM
            self._streams.fail(stream, error, Lost.REFUSED if refused else None)

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id or (flags & ACK and (payload or not self.established)):
            raise ProtocolError("the server sent an invalid SETTINGS frame")
        if flags & ACK:
            return
        for identifier, value in http2_frames.read_settings(payload):
            self._set(identifier, value)
        self._expected = None
        self.established = True
        self._answer(frame(SETTINGS, ACK, 0))

    def _set(self, identifier: int, value: int) -> None:
        if identifier == http2_frames.MAX_CONCURRENT_STREAMS:
            self._most_streams = value
        elif identifier == http2_frames.INITIAL_WINDOW_SIZE:
            self._outflow.resize(value, self._streams.open.values())
        elif identifier == http2_frames.MAX_FRAME_SIZE:
            self._outflow.limit_frames(value)

    def _on_push(self, _flags: int, _stream_id: int, _payload: bytes) -> None:
        raise ProtocolError("the server pushed a stream, although it was told not to")

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id or len(payload) != 8:
            raise ProtocolError("the server sent an invalid PING frame")
        if not flags & ACK:
            self._answer(frame(PING, ACK, 0, payload))

    def _on_goaway(self, _flags: int, _stream_id: int, payload: bytes) -> None:
        last_id, code, debug = http2_frames.read_goaway(payload)
        self.reusable = False
        said = debug.decode(errors="replace")
        self._farewell = excerpt(f"GOAWAY {http2_frames.error_name(code)} {said}")
        if last_id != LARGEST_31_BIT:  # a graceful shutdown begins so, with no limit yet
            self._taken_up_to = last_id
        for stream in tuple(self._streams.open.values()):
            if stream.id > last_id:
                error = f"the server did not take the request ({self._farewell})"
                self._streams.fail(stream, error, Lost.GOAWAY)

    def _on_window_update(self, _flags: int, stream_id: int, payload: bytes) -> None:
        increment = http2_frames.read_uint32(payload) & LARGEST_31_BIT
        if not increment:
            raise ProtocolError("the server sent a WINDOW_UPDATE frame of zero bytes")
        if not stream_id:
            self._outflow.widen(None, increment)
        elif (stream := self._streams.find(stream_id)) is not None:
            self._outflow.widen(stream, increment)

    # ── helpers ──────────────────────────────────────────────────────────────────────────────

    def _complete(self, stream: Stream, trailing: bytes) -> None:
        self._close(stream)
        stream.slot.reply = stream.reply(trailing)

    def _close(self, stream: Stream) -> None:
        """The reply has ended; any unsent rest of the request is dropped."""
        if self._streams.close(stream):
            self._owed.append(http2_frames.rst_stream(stream.id, http2_frames.CANCEL))
        self.served = True

    def _use(self, size: int) -> None:
        """Account for bytes of the connection's receive window."""
        self._used_bytes += size
        if self._used_bytes >= REPLENISH_BYTES:
            self._owed.append(http2_frames.window_update(0, self._used_bytes))
            self._used_bytes = 0

    def _answer(self, acknowledgement: bytes) -> None:
        self._owed.append(acknowledgement)
        if len(self._owed) > MOST_ANSWERS:
            raise ProtocolError("the server floods the connection with PING or SETTINGS frames")

    def _unexpected(self) -> NoReturn:
        raise ProtocolError("the server sent a header block that is not in order")


class StreamingHttp2Codec(Http2Codec):
    """The codec for streaming calls, which keeps all their messages and when each part came."""

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._use(len(payload))
        stream = self._streams.touch(stream_id)
        if stream is None:
            return
        part, slot = http2_frames.without_padding(flags, payload), stream.slot
        if stream.body_bytes < KEPT_BODY_BYTES:
            stream.data(part)  # enough to show to users
        if slot.stream is None:
            slot.stream = StreamLog(GRPC_STREAM)
        slot.stream.body += part
        if flags & END_STREAM:
            self._complete(stream, b"")

    def _learn(self, data: bytes) -> None:
        """Do nothing: a read that holds a whole stream is not worth learning."""


def _continued(stream_id: int, block: bytes) -> Iterator[bytes]:
    """The frames of a header block that is too large for one."""
    for at in range(0, len(block), SMALLEST_MAX_FRAME):
        part = block[at : at + SMALLEST_MAX_FRAME]
        last = END_HEADERS if at + len(part) == len(block) else 0
        yield frame(CONTINUATION if at else HEADERS, last, stream_id, part)

"""HTTP/2 frames (RFC 9113, sections 4 and 6): constants, packing and splitting."""

from collections.abc import Iterator
from struct import Struct
from typing import Final

from tracebench.load.wire.codec import ProtocolError

DATA: Final = 0x0
HEADERS: Final = 0x1
PRIORITY: Final = 0x2
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PUSH_PROMISE: Final = 0x5
PING: Final = 0x6
GOAWAY: Final = 0x7
WINDOW_UPDATE: Final = 0x8
CONTINUATION: Final = 0x9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
WITH_PRIORITY: Final = 0x20

HEADER_TABLE_SIZE: Final = 0x1
ENABLE_PUSH: Final = 0x2
MAX_CONCURRENT_STREAMS: Final = 0x3
INITIAL_WINDOW_SIZE: Final = 0x4
MAX_FRAME_SIZE: Final = 0x5
MAX_HEADER_LIST_SIZE: Final = 0x6

REFUSED_STREAM: Final = 0x7
CANCEL: Final = 0x8
_ERRORS: Final = (
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
)

CLIENT_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SMALLEST_MAX_FRAME: Final = 16_384
"""The limit that every peer must accept, and the only one that we accept."""
LARGEST_MAX_FRAME: Final = 2**24 - 1
LARGEST_31_BIT: Final = 2**31 - 1
"""The largest window, and the largest stream id."""

HEADER_SIZE: Final = 9
_HEADER = Struct(">HBBBI")
_SETTING = Struct(">HI")
_UINT32 = Struct(">I")
_TWO_UINT32 = Struct(">II")

Frame = tuple[int, int, int, bytes]
"""kind, flags, stream id, payload."""


def frame_header(size: int, kind: int, flags: int, stream_id: int) -> bytes:
    """Pack the nine bytes that precede a payload of `size` bytes."""
    return _HEADER.pack(size >> 8, size & 0xFF, kind, flags, stream_id)


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """Pack a whole frame."""
    return frame_header(len(payload), kind, flags, stream_id) + payload


def settings(*pairs: tuple[int, int]) -> bytes:
    """Pack a SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*pair) for pair in pairs))


def window_update(stream_id: int, increment: int) -> bytes:
    """Pack a WINDOW_UPDATE frame."""
    return frame(WINDOW_UPDATE, 0, stream_id, _UINT32.pack(increment))


def rst_stream(stream_id: int, error: int) -> bytes:
    """Pack a RST_STREAM frame."""
    return frame(RST_STREAM, 0, stream_id, _UINT32.pack(error))


def error_name(code: int) -> str:
    """The name of an error code, or its number."""
    return _ERRORS[code] if code < len(_ERRORS) else f"error {code}"


def read_settings(payload: bytes) -> Iterator[tuple[int, int]]:
    """Read (identifier, value) pairs."""
    if len(payload) % _SETTING.size:
        raise ProtocolError("the server sent a SETTINGS frame of the wrong size")
    return _SETTING.iter_unpack(payload)


def read_uint32(payload: bytes) -> int:
    """Read the number in a RST_STREAM or WINDOW_UPDATE frame."""
    if len(payload) != _UINT32.size:
        raise ProtocolError("the server sent a RST_STREAM or WINDOW_UPDATE frame of the wrong size")
    number: int = _UINT32.unpack(payload)[0]
    return number


def read_goaway(payload: bytes) -> tuple[int, int, bytes]:
    """Read (last stream id, error code, debug data)."""
    if len(payload) < _TWO_UINT32.size:
        raise ProtocolError("the server sent a GOAWAY frame of the wrong size")
    last, code = _TWO_UINT32.unpack_from(payload)
    return last & LARGEST_31_BIT, code, payload[_TWO_UINT32.size :]


def without_padding(flags: int, payload: bytes) -> bytes:
    """A DATA or HEADERS payload without its padding."""
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise ProtocolError("the server sent a frame with more padding than payload")
    return payload[1 : len(payload) - payload[0]]


def header_fragment(flags: int, payload: bytes) -> bytes:
    """The header block fragment in a HEADERS payload."""
    fragment = without_padding(flags, payload)
    if not flags & WITH_PRIORITY:
        return fragment
    if len(fragment) < 5:
        raise ProtocolError("the server sent a HEADERS frame of the wrong size")
    return fragment[5:]


class FrameSplitter:
    """Splits a byte stream into frames; each byte is examined a bounded number of times."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._needed = HEADER_SIZE
        """With fewer bytes than this, no further frame or header is complete."""

    def is_between_frames(self) -> bool:
        """Whether the next byte begins a frame."""
        return not self._rest

    def split(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that `data` completes; exhaust it before the next call.

        Raises:
            ProtocolError: a frame is larger than a peer may send us.
        """
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return
            data = bytes(self._rest)
        at, size, needed = 0, len(data), HEADER_SIZE
        while size - at >= HEADER_SIZE:
            high, low, kind, flags, stream_id = _HEADER.unpack_from(data, at)
            payload_size = high << 8 | low
            if payload_size > SMALLEST_MAX_FRAME:
                raise ProtocolError(f"the server sent a frame of {payload_size} bytes, too large")
            end = at + HEADER_SIZE + payload_size
            if end > size:
                needed = end - at
                break
            yield kind, flags, stream_id & LARGEST_31_BIT, data[at + HEADER_SIZE : end]
            at = end
        self._rest = bytearray(data[at:])
        self._needed = needed

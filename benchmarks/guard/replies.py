"""What the guard's servers read and answer, REST and gRPC; no socket and no clock."""

import re
from collections.abc import Iterator
from functools import lru_cache
from struct import Struct
from typing import Final, NamedTuple, Protocol

from tracebench.protos.inference_pb2 import PredictResponse, TimingInfo


class Times(NamedTuple):
    """What a server says of a request."""

    preprocessing_ns: int
    inference_ns: int
    postprocessing_ns: int
    server_processing_ns: int

    def named(self) -> Iterator[tuple[str, int]]:
        return ((field.removesuffix("_ns"), ns) for field, ns in self._asdict().items())


class Replies(Protocol):
    """One connection: bytes in, and which requests are complete."""

    greeting: bytes
    """What is sent as soon as the connection stands."""

    def receive(self, data: bytes) -> tuple[bytes, list[int]]:
        """Take bytes; returns what to send at once, and the streams to answer."""

    def answer(self, stream: int, times: Times) -> bytes:
        """The reply on a stream."""


class Rest(Replies):
    """HTTP/1.1, one request at a time, with a Content-Length."""

    greeting = b""
    _length: Final = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)

    def __init__(self) -> None:
        self._head = b""
        self._missing = 0
        """Bytes of the body that are still to come."""

    def receive(self, data: bytes) -> tuple[bytes, list[int]]:
        if self._missing:
            self._missing -= len(data)
        else:
            head = self._head + data
            if (end := head.find(b"\r\n\r\n")) < 0:
                self._head = head
                return b"", []
            self._head = b""
            length = self._length.search(head, 0, end)
            self._missing = end + 4 + (int(length[1]) if length else 0) - len(head)
        return b"", [] if self._missing else [0]

    def answer(self, stream: int, times: Times) -> bytes:
        return _rest_reply(times)


@lru_cache
def _rest_reply(times: Times) -> bytes:
    seconds = ", ".join(f'"{name}": {ns / 1e9:.9f}' for name, ns in times.named())
    head = f"HTTP/1.1 200 OK\r\nX-Timing-Info: {{{seconds}}}\r\nContent-Length: 2\r\n\r\n"
    return head.encode() + b"ok"


_HEADER: Final = Struct(">HBBBI")  # RFC 9113, section 4.1; a length of 24 bits comes first
_DATA, _HEADERS, _SETTINGS, _PING, _WINDOW_UPDATE = 0, 1, 4, 6, 8
_ACK = _END_STREAM = 1
_END_HEADERS, _INITIAL_WINDOW, _LARGEST = 4, 4, 2**31 - 1
_PREFACE_SIZE: Final = len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    size = len(payload)
    return _HEADER.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


def _literal(name: bytes, value: bytes) -> bytes:
    """A header that no table needs to know (RFC 7541, section 6.2.2)."""
    return b"\0%c%b%c%b" % (len(name), name, len(value), value)


_INITIAL: Final = b"\x88" + _literal(b"content-type", b"application/grpc")  # 0x88: status 200
_TRAILING: Final = _literal(b"grpc-status", b"0")


class Grpc(Replies):
    """Unary gRPC over HTTP/2: any call is answered with a `PredictResponse`."""

    greeting = _frame(_SETTINGS, 0, 0, Struct(">HI").pack(_INITIAL_WINDOW, _LARGEST)) + _frame(
        _WINDOW_UPDATE, 0, 0, (_LARGEST - 65_535).to_bytes(4, "big")
    )

    def __init__(self) -> None:
        self._data = b""
        self._skip = _PREFACE_SIZE
        """Bytes that are still to come and do not matter: the preface."""
        self._used = 0

    def receive(self, data: bytes) -> tuple[bytes, list[int]]:
        self._data += data
        if self._skip:
            self._data, self._skip = self._data[self._skip :], max(0, self._skip - len(self._data))
        control, complete = b"", []
        for kind, flags, stream, payload in self._frames():
            if kind == _DATA:
                control += self._refilled(len(payload))
                if flags & _END_STREAM:
                    complete.append(stream)
            elif kind in (_SETTINGS, _PING) and not flags & _ACK:
                control += _frame(kind, _ACK, 0, payload if kind == _PING else b"")
        return control, complete

    def _frames(self) -> Iterator[tuple[int, int, int, bytes]]:
        data, at = self._data, 0
        while len(data) >= at + 9:
            high, low, kind, flags, stream = _HEADER.unpack_from(data, at)
            end = at + 9 + (high << 8 | low)
            if len(data) < end:
                break
            yield kind, flags, stream, data[at + 9 : end]
            at = end
        self._data = data[at:]

    def _refilled(self, size: int) -> bytes:
        """Give back the connection's window when half of it is used."""
        self._used += size
        if self._used < _LARGEST // 2:
            return b""
        used, self._used = self._used, 0
        return _frame(_WINDOW_UPDATE, 0, 0, used.to_bytes(4, "big"))

    def answer(self, stream: int, times: Times) -> bytes:
        return (
            _frame(_HEADERS, _END_HEADERS, stream, _INITIAL)
            + _frame(_DATA, 0, stream, _message(times))
            + _frame(_HEADERS, _END_HEADERS | _END_STREAM, stream, _TRAILING)
        )


@lru_cache
def _message(times: Times) -> bytes:
    info = [TimingInfo(component=name, duration_ms=ns / 1e6) for name, ns in times.named()]
    content = PredictResponse(result="ok", timing_info=info).SerializeToString()
    return b"\0" + len(content).to_bytes(4, "big") + content

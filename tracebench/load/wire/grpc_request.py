"""A gRPC request repeated with new ids: its header block and its message, built once.

The block is HPACK (RFC 7541) without its tables: literals without indexing depend on nothing sent
before, so one block serves every request on every connection.
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from struct import Struct
from typing import Final

from server_middleware.vocabulary import TRACEPARENT
from tracebench import __version__

PREFIX: Final = Struct(">BI")
"""The prefix of a message: whether it is compressed, and its size in bytes."""
TRACE_HEAD: Final = b"00-"
_TRACEPARENT_SIZE = 55
_UNITS = ((1_000_000_000, "n"), (1_000_000, "u"), (1_000, "m"), (1, "S"))


@dataclass(frozen=True, slots=True)
class GrpcRequest:
    """A call repeated with new ids: `head + ids + tail`, then the message, `framed`."""

    path: bytes
    authority: bytes
    scheme: bytes
    metadata: tuple[tuple[bytes, bytes], ...]
    """Names in lower case; values of `-bin` names before base64."""
    body: bytes
    """The message."""
    timeout_s: float | None
    """The `grpc-timeout` sent to the server; None: not sent."""
    sampled: bool = True
    """The server is asked to trace the call."""
    head: bytes = field(init=False, repr=False)
    """The header block up to and including `traceparent: 00-`."""
    tail: bytes = field(init=False, repr=False)
    """The end of the block: the flags of `traceparent`."""
    framed: bytes = field(init=False, repr=False)
    """The message with its prefix."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "head", _head(self))
        object.__setattr__(self, "tail", b"-01" if self.sampled else b"-00")
        object.__setattr__(self, "framed", PREFIX.pack(0, len(self.body)) + self.body)


def timeout_text(timeout_s: float) -> str:
    """A grpc-timeout: at most 8 digits, in the finest unit that can hold it."""
    for per_second, unit in _UNITS:
        if (count := round(timeout_s * per_second)) < 100_000_000:
            return f"{max(count, 1)}{unit}"
    return "99999999S"


def literal(name: bytes, value: bytes) -> bytes:
    """A literal header field without indexing (RFC 7541, section 6.2.2)."""
    return b"\0" + _string(name) + _string(value)


def _head(request: GrpcRequest) -> bytes:
    fields = b"".join(literal(name, value) for name, value in _fields(request))
    return fields + b"\0" + _string(TRACEPARENT.encode()) + _integer(_TRACEPARENT_SIZE) + TRACE_HEAD


def _fields(request: GrpcRequest) -> Iterator[tuple[bytes, bytes]]:
    yield b":method", b"POST"
    yield b":scheme", request.scheme
    yield b":path", request.path
    yield b":authority", request.authority
    yield b"te", b"trailers"
    yield b"content-type", b"application/grpc"
    if not any(name == b"user-agent" for name, _ in request.metadata):
        yield b"user-agent", f"tracebench/{__version__}".encode()
    yield b"grpc-accept-encoding", b"identity,gzip"
    if request.timeout_s is not None:
        yield b"grpc-timeout", timeout_text(request.timeout_s).encode()
    for name, value in request.metadata:
        binary = name.endswith(b"-bin")
        yield name, base64.b64encode(value).rstrip(b"=") if binary else value


def _string(text: bytes) -> bytes:
    """A string without Huffman coding (RFC 7541, section 5.2)."""
    return _integer(len(text)) + text


def _integer(number: int) -> bytes:
    """A number with a 7-bit prefix (RFC 7541, section 5.1)."""
    if number < 127:
        return bytes((number,))
    number -= 127
    digits = bytearray((127,))
    while number >= 128:
        digits.append(number & 127 | 128)
        number >>= 7
    digits.append(number)
    return bytes(digits)

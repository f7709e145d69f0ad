"""Reading kept gRPC replies, after the run.

The rules are those of "gRPC over HTTP/2" (github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md).
"""

import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

import grpc
from hpack import Decoder, HPACKError

from tracebench.load.wire.codec import RawReply
from tracebench.load.wire.grpc_request import PREFIX
from tracebench.load.wire.http2_streams import KEPT_MESSAGE_BYTES
from tracebench.model.errors import excerpt
from tracebench.model.record.exchange import Reply

MOST_HEADER_LIST_BYTES: Final = 65_536
MOST_MESSAGE_BYTES: Final = 16 * 2**20
_STATUS_NAMES: Final = {str(code.value[0]): code.name for code in grpc.StatusCode}
_OK = "OK"
_GZIP = 31  # zlib's name for "with gzip's header and trailer"


class _MalformedError(Exception):
    """A reply is not a valid unary gRPC reply; says why."""


def read_reply(raw: RawReply) -> tuple[Reply, str]:
    """Read one reply.

    Args:
        raw: initial header block, length-prefixed message, trailing header block; then, if only
            the first part of the message was kept, its full size in digits.

    Returns:
        The reply, and why it failed: empty for an OK with one message.
    """
    try:
        headers = _headers(raw[0], raw[2])
    except HPACKError as error:
        return Reply("", {}, b""), f"the reply's headers cannot be read: {excerpt(str(error))}"
    http_status = headers.pop(":status", "")
    status = _status(headers, http_status)
    body = b""
    try:
        _check_status(status, http_status, headers)
        body = _message(raw, headers.get("grpc-encoding", "identity"))
    except _MalformedError as error:
        return Reply(status, headers, body), excerpt(str(error))
    return Reply(status, headers, body, _late(raw[2])), ""


def status_of(raw: RawReply) -> str:
    """The status of a kept reply; empty if it cannot be read."""
    try:
        headers = _headers(raw[0], raw[2])
    except HPACKError:
        return ""
    return _status(headers, headers.get(":status", ""))


def _status(headers: Mapping[str, str], http_status: str) -> str:
    number = headers.get("grpc-status")
    return http_status if number is None else _STATUS_NAMES.get(number, f"grpc-status {number}")


def read_streamed(raw: RawReply) -> tuple[Reply, str]:
    """Read what is kept of a streaming reply: like `read_reply`, with the first message as body."""
    reply, reason = read_reply((*raw[:1], _NO_MESSAGE, raw[2]))
    if reason or len(raw[1]) < PREFIX.size:
        return reply._replace(body=b""), reason
    compressed, size = PREFIX.unpack_from(raw[1])
    first = raw[1][PREFIX.size : PREFIX.size + size]
    return reply._replace(body=b"" if compressed or len(first) < size else first), reason


_NO_MESSAGE: Final = PREFIX.pack(0, 0)


def _headers(initial: bytes, trailing: bytes) -> dict[str, str]:
    """All headers; the values of repeated names are joined by commas."""
    fields = _decoded(trailing)
    if not any(name == ":status" for name, _ in fields):  # otherwise a trailers-only reply
        fields = _decoded(initial) + fields
    headers: dict[str, str] = {}
    for name, value in fields:
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


@lru_cache(maxsize=256)
def _decoded(block: bytes) -> tuple[tuple[str, str], ...]:
    """The fields of a header block; blocks do not depend on earlier ones (see `http2.py`)."""
    decoder = Decoder(MOST_HEADER_LIST_BYTES)
    decoder.max_allowed_table_size = decoder.header_table_size = 0
    fields = decoder.decode(block, raw=True)
    return tuple(
        (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in fields
    )


def _late(trailing: bytes) -> frozenset[str]:
    """The names in the trailing metadata, which the server wrote when its work was done."""
    return _names(tuple(name for name, _ in _decoded(trailing)))


@lru_cache(maxsize=256)
def _names(names: tuple[str, ...]) -> frozenset[str]:
    """One shared object for all replies with the same names."""
    return frozenset(names)


def _check_status(status: str, http_status: str, headers: Mapping[str, str]) -> None:
    content_type = headers.get("content-type", "")
    if "grpc-status" in headers and status != _OK:
        text = unquote(headers.get("grpc-message", ""), errors="replace")
        raise _MalformedError(f"{status}: {text}" if text else status)
    if http_status != "200":
        raise _MalformedError(f"HTTP {http_status} from the gRPC port")
    if not content_type.startswith("application/grpc"):
        raise _MalformedError(f"the reply is not gRPC: its content type is {content_type!r}")
    if "grpc-status" not in headers:
        raise _MalformedError("the reply has no grpc-status")


def _message(raw: RawReply, encoding: str) -> bytes:
    """The one message of an OK reply, or the first part of it."""
    kept = raw[1]
    size = int(raw[3]) if len(raw) > 3 else len(kept)
    if not size:
        raise _MalformedError("OK, but without a message")
    if size < PREFIX.size:
        raise _MalformedError(f"the message is cut short: {size} bytes")
    compressed, length = PREFIX.unpack_from(kept)
    if size < PREFIX.size + length:
        raise _MalformedError(f"the message is cut short: {size - PREFIX.size} of {length} bytes")
    if size > PREFIX.size + length:
        raise _MalformedError("more than one message in the reply of a unary call")
    content = kept[PREFIX.size :]
    if not compressed:
        return content
    if compressed != 1 or encoding != "gzip":
        raise _MalformedError(f"the message has an encoding that was not offered: {encoding}")
    return _unpacked(content, whole=len(kept) == size)


def _unpacked(content: bytes, *, whole: bool) -> bytes:
    unpacker = zlib.decompressobj(_GZIP)
    try:
        plain = unpacker.decompress(content, MOST_MESSAGE_BYTES)
    except zlib.error as error:
        raise _MalformedError(f"the message is not valid gzip: {error}") from None
    if unpacker.unconsumed_tail:
        raise _MalformedError(f"the message unpacks to more than {MOST_MESSAGE_BYTES} bytes")
    if whole and not unpacker.eof:
        raise _MalformedError("the message's gzip is cut short")
    return plain[:KEPT_MESSAGE_BYTES]

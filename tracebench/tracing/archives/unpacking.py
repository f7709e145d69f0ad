"""Unpack files of spans: gzip, zstd, and length-prefixed messages."""

import gzip
import sys
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, Final, cast

from tracebench.model.errors import UsageError
from tracebench.tracing.otlp.checks import OtlpError

zstd: Any
try:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
except ModuleNotFoundError:  # no wheel for this platform: other files can still be read
    zstd = None

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_LENGTH_BYTES: Final = 4
_LONGEST_VARINT: Final = 5
CUT_SHORT: Final = (EOFError, OSError, zlib.error, *([zstd.ZstdError] if zstd else []))
"""Raised if a file is truncated or damaged."""


def unpacked(file: BinaryIO) -> BinaryIO:
    """The content of a file that may be compressed."""
    start = file.read(_LENGTH_BYTES)
    file.seek(0)
    if start.startswith(_GZIP):
        return cast(BinaryIO, gzip.GzipFile(fileobj=file, mode="rb"))
    if start == _ZSTD:
        return cast(BinaryIO, _known_zstd().ZstdFile(file))
    return file


def _known_zstd() -> Any:
    if zstd is None:
        raise UsageError("the spans are compressed with zstd: pip install backports.zstd")
    return zstd


def messages(file: BinaryIO, longest: int) -> Iterator[bytes]:
    """The messages of a collector's file exporter, each with a length prefix.

    It writes this format with `format: proto`, and with `compression: zstd`, which then compresses
    each message. Source: https://github.com/open-telemetry/opentelemetry-collector-contrib,
    fileexporter

    Raises:
        CUT_SHORT: the file is truncated, a length is invalid, or a message cannot be unpacked.
    """
    while head := file.read(_LENGTH_BYTES):
        size = int.from_bytes(head, "big")
        if not 0 < size <= longest:
            raise EOFError(f"{size} is not a valid message length")
        message = file.read(size)
        if len(message) < size:
            raise EOFError(f"only {len(message)} of {size} bytes of a message are there")
        yield _message(message, longest)


def _message(message: bytes, longest: int) -> bytes:
    """One message, decompressed up to the size limit."""
    if not message.startswith(_ZSTD):
        return message
    one = _known_zstd().ZstdDecompressor()
    plain: bytes = one.decompress(message, longest)
    if not one.eof:
        raise EOFError("a message is cut short, or larger than the limit")
    return plain


def delimited(data: bytes) -> Iterator[bytes]:
    """The messages of a file in protobuf's delimited form, each prefixed by its length as a varint.

    Raises:
        OtlpError: it is truncated, or has another form.
    """
    at = 0
    while at < len(data):
        size, at = _varint(data, at)
        if not size or at + size > len(data):
            raise OtlpError(f"{size} is not a valid message length")
        yield data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Decode a varint (seven bits per byte, lowest first); returns it, and where it ends."""
    number = 0
    for place, byte in enumerate(data[at : at + _LONGEST_VARINT]):
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return number, at + place + 1
    raise OtlpError("the length of a message is missing")

"""What a file of spans is packed in: gzip, zstd, and messages with their lengths before them."""

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
except ModuleNotFoundError:  # there is no wheel for the platform: all other files can be read
    zstd = None

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_LENGTH_BYTES: Final = 4
_LONGEST_VARINT: Final = 5
CUT_SHORT: Final = (EOFError, OSError, zlib.error, *([zstd.ZstdError] if zstd else []))
"""What is raised where a file ends in the middle, or was damaged."""


def unpacked(file: BinaryIO) -> BinaryIO:
    """What is in a file, which may be compressed."""
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
    """The messages of a collector's file exporter, each with its length before it.

    It writes them so with `format: proto`, and with `compression: zstd`, which then is that of
    each message. Nothing where the first length is none that fits.
    Source: https://github.com/open-telemetry/opentelemetry-collector-contrib, fileexporter

    Raises:
        CUT_SHORT: the file ends in the middle, or a message cannot be unpacked.
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
    """One message, of which no more is unpacked than may be read."""
    if not message.startswith(_ZSTD):
        return message
    one = _known_zstd().ZstdDecompressor()
    plain: bytes = one.decompress(message, longest)
    if not one.eof:
        raise EOFError("a message is cut short, or larger than the limit")
    return plain


def delimited(data: bytes) -> Iterator[bytes]:
    """The messages of a file as protobuf delimits them: each with a varint of its length.

    Raises:
        OtlpError: it ends in the middle, or is none.
    """
    at = 0
    while at < len(data):
        size, at = _varint(data, at)
        if not size or at + size > len(data):
            raise OtlpError(f"{size} is not a valid message length")
        yield data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the least first, and where what follows begins."""
    number = 0
    for place, byte in enumerate(data[at : at + _LONGEST_VARINT]):
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return number, at + place + 1
    raise OtlpError("the length of a message is missing")

"""Decompression that stops in time: a bomb costs no more memory than an honest body."""

import zlib
from typing import Final

ENCODINGS: Final = ("identity", "gzip", "deflate")
_GZIP_OR_ZLIB: Final = zlib.MAX_WBITS | 32


class TooLargeError(ValueError):
    """There is more of it than the limit allows."""


class Body:
    """Collects a body that comes in pieces.

    Args:
        encoding: one of ENCODINGS.
        limit_bytes: before and after decompression.
    """

    def __init__(self, encoding: str, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._came_bytes = 0
        self._content = bytearray()
        self._inflater = None if encoding == "identity" else zlib.decompressobj(_GZIP_OR_ZLIB)

    def feed(self, piece: bytes) -> None:
        """Take a piece.

        Raises:
            TooLargeError: the body exceeds the limit.
            zlib.error: it is not compressed as it says.
        """
        self._came_bytes += len(piece)
        room_bytes = self._limit_bytes - len(self._content)
        if self._inflater is not None:
            piece = self._inflater.decompress(piece, room_bytes + 1)
        if self._came_bytes > self._limit_bytes or len(piece) > room_bytes:
            raise TooLargeError(f"a body of more than {self._limit_bytes} bytes")
        self._content += piece

    def __len__(self) -> int:
        return len(self._content)

    def whole(self) -> bytes:
        """All of it.

        Raises:
            zlib.error: it ends too early.
        """
        if self._inflater is not None and self._came_bytes and not self._inflater.eof:
            raise zlib.error("the compressed body ends too early")
        return bytes(self._content)

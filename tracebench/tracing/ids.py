"""Trace and span ids, drawn ahead so that the hot path only takes the next one."""

import os
import struct
from collections.abc import Callable, Iterator
from itertools import chain

TRACE_DIGITS = 32
SIZE = 49
"""Bytes of one draw: `<trace id>-<span id>`, 32 and 16 hexadecimal digits in lower case."""

_BLOCK = 128
_DIVIDE = struct.Struct(f"{SIZE}s" * _BLOCK).unpack
_INVALID_SPAN_ID = b"0" * 16


class IdSource:
    """An endless supply of ids from the system's randomness, never from a seed.

    A pool that two processes inherit would give both the same ids: make one in each process.

    Args:
        entropy: gives so many random bytes.
    """

    __slots__ = ("draw",)

    def __init__(self, entropy: Callable[[int], bytes] = os.urandom) -> None:
        self.draw: Callable[[], bytes] = chain.from_iterable(_blocks(entropy)).__next__
        """Takes the next ids: `SIZE` bytes, the part of `traceparent` between its version and
        its flags."""


def _blocks(entropy: Callable[[int], bytes]) -> Iterator[tuple[bytes, ...]]:
    while True:
        yield _DIVIDE(_block(entropy))


def _block(entropy: Callable[[int], bytes]) -> bytes:
    """Ids end to end. One digit of each is drawn in vain, as the place of its hyphen."""
    while True:
        digits = bytearray(entropy(_BLOCK * SIZE // 2).hex(), "ascii")
        # Zeros are invalid as an id. A run of them is so rare that the whole block may go.
        if _INVALID_SPAN_ID not in digits:
            digits[TRACE_DIGITS::SIZE] = b"-" * _BLOCK
            return bytes(digits)


def traceparent(ids: bytes) -> str:
    """The W3C Trace Context header that carries the ids, sampled."""
    return f"00-{ids.decode()}-01"

"""Trace and span ids: drawn ahead, so that the hot path only takes the next one, and not stored.

A block of ids is SHAKE-128 (FIPS 202) of a key that the system's randomness gives each run, the
number of the shard and that of the block. So ids are as good as random, nobody can tell the run's
other ids from one of them, and a row needs no more than the number of its draw to have its ids.
"""

import os
import struct
from collections.abc import Callable, Iterator
from functools import lru_cache
from hashlib import shake_128
from itertools import chain, count
from typing import Final

TRACE_DIGITS: Final = 32
SIZE: Final = 49
"""Bytes of one draw: `<trace id>-<span id>`, 32 and 16 hexadecimal digits in lower case."""

_BLOCK: Final = 128
_DIVIDE: Final = struct.Struct(f"{SIZE}s" * _BLOCK).unpack
_KEY_BYTES: Final = 16
_NUMBERS: Final = struct.Struct(">IQ")
_INVALID_SPAN_ID: Final = b"0" * 16
_INSTEAD: Final = b"0" * 15 + b"1"


class IdSource:
    """An endless supply of ids from the system's randomness, never from a seed.

    Args:
        key: 16 random bytes; None: the system's.
        shard: of the processes that share a key, which one this is: no two draw the same.
    """

    __slots__ = ("_blocks", "_key", "_shard", "draw")

    def __init__(self, key: bytes | None = None, shard: int = 0) -> None:
        self._key, self._shard = key or os.urandom(_KEY_BYTES), shard
        self._blocks = lru_cache(maxsize=4)(self._block)
        self.draw: Callable[[], bytes] = chain.from_iterable(self._ahead()).__next__
        """Takes the next ids: `SIZE` bytes, the part of `traceparent` between its version and
        its flags."""

    def ids(self, draw: int) -> tuple[str, str]:
        """The trace id and the span id that a draw gave, counted from 0."""
        text = self._blocks(draw // _BLOCK)[draw % _BLOCK].decode()
        return text[:TRACE_DIGITS], text[TRACE_DIGITS + 1 :]

    def _ahead(self) -> Iterator[tuple[bytes, ...]]:
        return map(self._block, count())

    def _block(self, number: int) -> tuple[bytes, ...]:
        """Ids end to end. One digit of each is drawn in vain, as the place of its hyphen."""
        seed = self._key + _NUMBERS.pack(self._shard, number)
        digits = bytearray(shake_128(seed).hexdigest(_BLOCK * SIZE // 2), "ascii")
        digits[TRACE_DIGITS::SIZE] = b"-" * _BLOCK
        return _DIVIDE(digits.replace(_INVALID_SPAN_ID, _INSTEAD))


def traceparent(ids: bytes) -> str:
    """The W3C Trace Context header that carries the ids, sampled."""
    return f"00-{ids.decode()}-01"

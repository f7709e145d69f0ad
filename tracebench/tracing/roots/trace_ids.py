"""Trace and span ids: drawn ahead, so that the hot path only takes the next one, and not stored.

A block of ids is SHAKE-128 (FIPS 202) of a random key per run, the shard number and the block
number. So ids are as good as random, none reveals the run's other ids, and a row only needs the
number of its draw to recover its ids.
"""

import os
import struct
from collections.abc import Callable, Iterator
from functools import lru_cache
from hashlib import shake_128
from itertools import chain, count
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tracebench.model.record.columns import Int64
from tracebench.model.record.span_columns import Words

TRACE_DIGITS: Final = 32
SIZE: Final = 49
"""Bytes of one draw: `<trace id>-<span id>`, 32 and 16 hexadecimal digits in lower case."""

_BLOCK: Final = 128
_DIVIDE: Final = struct.Struct(f"{SIZE}s" * _BLOCK).unpack
_KEY_BYTES: Final = 16
_NUMBERS: Final = struct.Struct(">IQ")
_INVALID_SPAN_ID: Final = b"0" * 16
_INSTEAD: Final = b"0" * 15 + b"1"
_BLOCKS_AT_ONCE: Final = 512
_DIGITS, _LETTERS = ord("0"), ord("a")


class IdSource:
    """An endless supply of ids from system randomness, never from a seed.

    Args:
        key: 16 random bytes; None: drawn from the system.
        shard: index of this process among those that share a key: no two draw the same ids.
    """

    __slots__ = ("_blocks", "_key", "_shard", "draw")

    def __init__(self, key: bytes | None = None, shard: int = 0) -> None:
        self._key, self._shard = key or os.urandom(_KEY_BYTES), shard
        self._blocks = lru_cache(maxsize=4)(self._block)
        self.draw: Callable[[], bytes] = chain.from_iterable(self._ahead()).__next__
        """Returns the next ids: `SIZE` bytes, the part of `traceparent` between its version and
        its flags."""

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy knows the same ids, and draws from the first on."""
        return IdSource, (self._key, self._shard)

    def ids(self, draw: int) -> tuple[str, str]:
        """The trace id and the span id of a draw, counted from 0."""
        text = self._blocks(draw // _BLOCK)[draw % _BLOCK].decode()
        return text[:TRACE_DIGITS], text[TRACE_DIGITS + 1 :]

    def since(self, first: int) -> "Drawn":
        """The ids of the draws from the given one on."""
        return Drawn(self, first)

    def words(self, draws: Int64) -> tuple[Words, Words, Words]:
        """Both halves of the trace ids, and the span ids, of many draws: 0.3 µs each."""
        found = np.empty((3, len(draws)), np.uint64)
        blocks = draws // _BLOCK
        order = np.argsort(blocks, kind="stable")
        numbers, starts = np.unique(blocks[order], return_index=True)
        for at in range(0, len(numbers), _BLOCKS_AT_ONCE):
            some = numbers[at : at + _BLOCKS_AT_ONCE]
            end = starts[at + len(some)] if at + len(some) < len(starts) else len(draws)
            here = order[starts[at] : end]
            digits = b"".join(b"".join(self._block(number)) for number in some.tolist())
            rows = np.searchsorted(some, blocks[here]) * _BLOCK + draws[here] % _BLOCK
            found[:, here] = _words(np.frombuffer(digits, np.uint8).reshape(-1, SIZE)[rows])
        return found[0], found[1], found[2]

    def _ahead(self) -> Iterator[tuple[bytes, ...]]:
        return map(self._block, count())

    def _block(self, number: int) -> tuple[bytes, ...]:
        seed = self._key + _NUMBERS.pack(self._shard, number)
        return block_of(bytearray(shake_128(seed).hexdigest(_BLOCK * SIZE // 2), "ascii"))


def block_of(digits: bytearray) -> tuple[bytes, ...]:
    """Divide hexadecimal digits into ids; one digit of each is replaced by the hyphen."""
    digits[TRACE_DIGITS::SIZE] = b"-" * _BLOCK
    return _DIVIDE(digits.replace(_INVALID_SPAN_ID, _INSTEAD))


class Drawn:
    """The ids of the draws from a given one on.

    Args:
        source: where they were drawn.
        first: the draw that counts as 0.
    """

    __slots__ = ("_first", "_source")

    def __init__(self, source: IdSource, first: int) -> None:
        self._source, self._first = source, first

    def __call__(self, draw: int) -> tuple[str, str]:
        """The trace id and the span id of a draw."""
        return self._source.ids(self._first + draw)

    def words(self, draws: Int64) -> tuple[Words, Words, Words]:
        """The ids of many draws, as words."""
        return self._source.words(self._first + draws)


def _words(digits: npt.NDArray[np.uint8]) -> Words:
    """Three words per row, from its lower-case hexadecimal digits."""
    values = digits - np.where(digits >= _LETTERS, _LETTERS - 10, _DIGITS).astype(np.uint8)
    parts = [values[:, :16], values[:, 16:TRACE_DIGITS], values[:, TRACE_DIGITS + 1 :]]
    bytes_of = [(part[:, ::2] << 4 | part[:, 1::2]) for part in parts]
    return np.array([np.ascontiguousarray(one).view(">u8")[:, 0] for one in bytes_of], np.uint64)


def traceparent(ids: bytes) -> str:
    """The W3C Trace Context header that carries the ids, sampled."""
    return f"00-{ids.decode()}-01"

"""Timings in a gRPC reply's `timing_info`: a message with gaps for doubles."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from struct import Struct
from typing import Final

import numpy as np

from tracebench.model.record.exchange import Reply
from tracebench.tracing.mirror.layout import Floats

_DOUBLE: Final = Struct("<d")
_TIMING_INFO: Final = 2 << 3 | 2
_DURATION: Final = 2 << 3 | 1
_LENGTH_DELIMITED, _FIXED64, _FIXED32, _VARINT = 2, 1, 5, 0


@dataclass(frozen=True, slots=True)
class MessageTemplate:
    """The end of a `PredictResponse`, from its first `timing_info` on, with gaps for durations."""

    sample: bytes
    at: tuple[int, ...]
    """Offsets of its doubles."""

    @classmethod
    def of(cls, timing: bytes) -> "MessageTemplate | None":
        """The template that these fields are an instance of; None if they are not a message."""
        try:
            return cls(timing, tuple(_doubles(timing)))
        except (IndexError, ValueError):
            return None

    @property
    def gaps(self) -> int:
        """The number of durations."""
        return len(self.at)

    @property
    def pattern(self) -> bytes:
        """A regular expression for such fields, where `.` is any byte."""
        pattern, done = b"", 0
        for at in self.at:
            pattern += re.escape(self.sample[done:at]) + b".{%d}" % _DOUBLE.size
            done = at + _DOUBLE.size
        return pattern + re.escape(self.sample[done:])

    def render(self, numbers: Sequence[Decimal]) -> bytes:
        """The fields with these durations; see `Template.render`."""
        text = bytearray(self.sample)
        for at, number in zip(self.at, numbers, strict=True):
            _DOUBLE.pack_into(text, at, float(number))
        return bytes(text)

    def reply(self, text: bytes) -> Reply:
        """A reply whose message consists of only these fields."""
        return Reply("OK", {}, text)

    def divide(self, texts: bytes | memoryview, count: int) -> Sequence[bytes]:
        """Split this many concatenated texts, each as long as the sample."""
        size = len(self.sample)
        return [bytes(texts[at : at + size]) for at in range(0, count * size, size)]

    def numbers(self, texts: bytes | memoryview, count: int) -> Floats:
        """The durations in this many texts; see `Template.numbers`."""
        rows = np.frombuffer(texts, np.uint8).reshape(count, len(self.sample))
        columns = [np.ascontiguousarray(rows[:, at : at + _DOUBLE.size]) for at in self.at]
        return np.concatenate([column.view("<f8") for column in columns], axis=1)


def _doubles(fields: bytes) -> Iterator[int]:
    """Offsets of the durations of all `timing_info`.

    Raises:
        IndexError, ValueError: it is not a protobuf message.
    """
    for tag, start, end in read_fields(fields, 0, len(fields)):
        if tag == _TIMING_INFO:
            for inner, at, _ in read_fields(fields, start, end):
                if inner == _DURATION:
                    yield at


def timing_starts(message: bytes) -> int | None:
    """Offset of a message's first `timing_info`; None if it has none, or is not a message."""
    try:
        at = 0
        for tag, _, end in read_fields(message, 0, len(message)):
            if tag == _TIMING_INFO:
                return at
            at = end
    except (IndexError, ValueError):
        return None
    return None


def read_fields(message: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The fields of a protobuf message: tag, start and end of the content.

    Raises:
        IndexError, ValueError: it is not a message.
    """
    while at < end:
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == _LENGTH_DELIMITED:
            size, at = _varint(message, at)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        elif kind == _VARINT:
            size = _varint(message, at)[1] - at
        else:
            raise ValueError(f"wire type {kind}")
        if at + size > end:
            raise ValueError("a field is cut short")
        yield tag, at, at + size
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A varint, and the offset after it."""
    value, shift = 0, 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at

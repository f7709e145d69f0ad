"""Timings in headers: text with gaps for numbers, read for many replies at once."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate
from typing import Final

import numpy as np
import numpy.typing as npt

from tracebench.model.record.columns import Int64
from tracebench.model.record.exchange import Reply
from tracebench.tracing.mirror.layout import Floats

END: Final = b"\r"
"""Follows each header's value, which cannot contain it."""
_NUMBER: Final = rb"(?:0|[1-9][0-9]{0,16})(?:\.[0-9]{1,30})?"
_FRACTION: Final = rb"(?:0|[1-9][0-9]*)\.[0-9]+"
"""Matches in two thirds of the time; used if the sample has a decimal point."""
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|(?<![\w.+-])' + _NUMBER + rb"(?![\w.+-])")
_RUN: Final = re.compile(rb"[0-9.]+")
_OF_NUMBERS: Final = np.isin(np.arange(256), np.frombuffer(b"0123456789.", np.uint8))
_DOT: Final = ord(".")
_ZERO: Final = ord("0")
_MOST_DIGITS: Final = 18
"""They fit into 64 bits."""
_EXACT: Final = 2**53
"""Below this, a float holds every integer, and the quotient of two is the nearest float."""
_POWERS: Final = 10 ** np.arange(_MOST_DIGITS + 1, dtype=np.int64)

Characters = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class TextTemplate:
    """The values of some headers, which differ only in their numbers."""

    headers: tuple[str, ...]
    """Names in lower case."""
    literals: tuple[bytes, ...]
    """The text around the gaps: one more than there are gaps."""
    fractions: tuple[bool, ...]
    """For each gap, whether its number had a decimal point; if so, all must have one."""

    @classmethod
    def of(cls, headers: Sequence[str], values: Sequence[bytes]) -> "TextTemplate":
        """The template that these values are an instance of.

        Numbers in quotes, with a sign or an exponent, or within a word are not gaps.
        """
        text = b"".join(value + END for value in values)
        literals, fractions, at = [], [], 0
        for token in _TOKEN.finditer(text):
            if not token[0].startswith(b'"'):
                literals.append(text[at : token.start()])
                fractions.append(b"." in token[0])
                at = token.end()
        return cls(tuple(headers), (*literals, text[at:]), tuple(fractions))

    @property
    def gaps(self) -> int:
        """The number of gaps."""
        return len(self.literals) - 1

    @property
    def patterns(self) -> list[bytes]:
        """For each header, a regular expression for its value."""
        gaps = [_FRACTION if has_point else _NUMBER for has_point in self.fractions]
        literals = [re.escape(literal) for literal in self.literals]
        pairs = zip(gaps, literals[1:], strict=True)
        whole = literals[0] + b"".join(gap + literal for gap, literal in pairs)
        return whole.split(re.escape(END))[: len(self.headers)]

    def render(self, numbers: Sequence[Decimal]) -> bytes:
        """The text with these numbers; see `Template.render`."""
        texts = (f"{number:f}".encode() for number in numbers)
        return self.literals[0] + b"".join(
            text + literal for text, literal in zip(texts, self.literals[1:], strict=True)
        )

    def reply(self, text: bytes) -> Reply:
        """A reply with only these headers."""
        values = text.decode("latin-1").split(END.decode())
        return Reply("", dict(zip(self.headers, values, strict=False)), b"")

    def divide(self, texts: bytes | memoryview, count: int) -> Sequence[bytes]:
        """Split this many concatenated texts."""
        values, size = bytes(texts).split(END), len(self.headers)
        return [END.join(values[at : at + size]) for at in range(0, count * size, size)]

    def numbers(self, texts: bytes | memoryview, count: int) -> Floats:
        """The numbers in this many texts; see `Template.numbers`."""
        characters = np.frombuffer(texts, np.uint8)
        edges = np.flatnonzero(np.diff(_OF_NUMBERS[characters], prepend=False, append=False))
        literal_runs = [len(_RUN.findall(literal)) for literal in self.literals]
        runs = edges.reshape(count, sum(literal_runs) + self.gaps, 2)
        gaps = [at + before for at, before in enumerate(accumulate(literal_runs[:-1]))]
        starts, ends = runs[:, gaps, 0].ravel(), runs[:, gaps, 1].ravel()
        return _read(characters, starts, ends).reshape(count, self.gaps)


def _read(characters: Characters, starts: Int64, ends: Int64) -> Floats:
    """Read decimal numbers from the right: all last digits, then all before them, and so on."""
    values, decimals, places = np.zeros((3, len(starts)), np.int64)
    lengths = ends - starts
    for back in range(min(int(lengths.max(initial=0)), _MOST_DIGITS + 1)):
        character = characters[np.maximum(ends - 1 - back, 0)]
        is_digit = (back < lengths) & (character != _DOT)
        decimals[(back < lengths) & ~is_digit] = back
        values += np.where(is_digit, character - _ZERO, 0) * _POWERS[places]
        places += is_digit & (places < _MOST_DIGITS)
    numbers = values / _POWERS[np.minimum(decimals, _MOST_DIGITS)]
    long = np.flatnonzero((lengths > _MOST_DIGITS) | (values >= _EXACT))
    for at, start, end in zip(long, starts[long].tolist(), ends[long].tolist(), strict=True):
        numbers[at] = float(characters[start:end].tobytes())
    return numbers

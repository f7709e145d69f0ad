"""The vocabulary: all bytes, the end of a text, and syllables, with and without a space before.

Any text can be cut into tokens and put together again; an ordinary English word takes two to four.
"""

import re
from itertools import product
from typing import Final

_ONSETS, _NUCLEI, _CODAS = "bcdfghjklmnprstvwz", "aeiou", "dklmnrst"
_BYTES: Final = 256

END: Final = _BYTES
"""The token that ends a text."""
FIRST_SYLLABLE: Final = END + 1
_SYLLABLES: Final = [
    "".join(parts) for parts in product(("", " "), ("", *_ONSETS), _NUCLEI, ("", *_CODAS))
]
SIZE: Final = FIRST_SYLLABLE + len(_SYLLABLES)
_NUMBERS: Final = {text: number for number, text in enumerate(_SYLLABLES, FIRST_SYLLABLE)}
_PIECES: Final = re.compile(f" ?[{_ONSETS}]?[{_NUCLEI}][{_CODAS}]?|.", re.DOTALL)


def encode(text: str) -> list[int]:
    """Cut a text into tokens: the longest syllable at each place, else the bytes of a character."""
    tokens: list[int] = []
    for piece in _PIECES.findall(text):
        number = _NUMBERS.get(piece)
        if number is None:
            tokens += piece.encode("utf-8", "replace")
        else:
            tokens.append(number)
    return tokens


def decode(tokens: list[int]) -> str:
    """Put tokens together again; `END` is no text."""
    return b"".join(map(_content, tokens)).decode("utf-8", "replace")


def _content(token: int) -> bytes:
    if token < _BYTES:
        return bytes([token])
    return b"" if token == END else _SYLLABLES[token - FIRST_SYLLABLE].encode()

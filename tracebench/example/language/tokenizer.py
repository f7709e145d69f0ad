"""The vocabulary: all bytes, an end token, and syllables with and without a leading space.

Any text can be tokenised and restored; an ordinary English word takes two to four tokens.
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
    """Tokenise a text: the longest syllable at each position, else the bytes of a character."""
    tokens: list[int] = []
    for piece in _PIECES.findall(text):
        number = _NUMBERS.get(piece)
        if number is None:
            tokens += piece.encode("utf-8", "replace")
        else:
            tokens.append(number)
    return tokens


def decode(tokens: list[int]) -> str:
    """Turn tokens back into text; `END` adds nothing."""
    return b"".join(map(_content, tokens)).decode("utf-8", "replace")


def _content(token: int) -> bytes:
    if token < _BYTES:
        return bytes([token])
    return b"" if token == END else _SYLLABLES[token - FIRST_SYLLABLE].encode()

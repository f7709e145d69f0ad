"""Texts of a given number of words, generated from a seed."""

from collections.abc import Iterator
from functools import lru_cache
from random import Random
from typing import Final

from tracebench.load.wire.prompt_request import WORD_SIZE, WORDS

_CORPUS_WORDS: Final = 1 << 16
_STEP: Final = WORD_SIZE + 1


@lru_cache(maxsize=8)
def _corpus(seed: str) -> str:
    drawn = Random(seed).choices(WORDS, k=_CORPUS_WORDS)
    return b" ".join(drawn).decode() + " "


def text(words: int, seed: str, start: int) -> str:
    """Take `words` words from the seed's corpus, beginning at `start` and wrapping around.

    All words have the same size, so a text is a slice.
    """
    corpus = _corpus(seed)
    at = start % _CORPUS_WORDS * _STEP
    size = words * _STEP - 1
    if size < 0:
        return ""
    times = -(-(at + size) // len(corpus))
    return (corpus * times)[at : at + size]


def starts(seed: str) -> Iterator[int]:
    """Yield start positions, endlessly."""
    draw = Random(f"starts {seed}").randrange
    while True:
        yield draw(_CORPUS_WORDS)

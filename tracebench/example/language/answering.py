"""Shared by both protocols: checks a question and streams the answer, timing each component."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from server_middleware import component
from server_middleware.vocabulary import DECODE, PREFILL, PREPROCESSING, QUEUE
from tracebench.example.language.decoder import CONTEXT
from tracebench.example.language.engine import Asked, Generation, Piece
from tracebench.example.language.tokenizer import END, SIZE, encode

MODEL: Final = "tracebench-syllables"
USUAL_MOST: Final = 16
"""Default `max_tokens` of OpenAI's completions."""
_HOTTEST: Final = 2.0


class RefusedError(Exception):
    """A question that cannot be answered."""


class UnknownModelError(RefusedError):
    """The question names a model that is not served."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request's parameters, not yet checked."""

    prompt: str | tuple[int, ...]
    """A text, or its tokens."""
    model: str = ""
    """Empty: the only model served."""
    most: int | None = None
    """Most tokens to generate; None: until the text ends or the context is full."""
    ignores_end: bool = False
    temperature: float = 1.0
    seed: int = 0


def checked(question: Question) -> Asked:
    """Check a question and tokenise its prompt (its preprocessing).

    Raises:
        RefusedError: it cannot be answered.
    """
    if question.model not in ("", MODEL):
        raise UnknownModelError(f"The model {question.model!r} does not exist: use {MODEL!r}")
    with component(PREPROCESSING):
        prompt = question.prompt
        tokens = tuple(encode(prompt)) if isinstance(prompt, str) else prompt
    _check_tokens(tokens)
    if not 0 <= question.temperature <= _HOTTEST:
        raise RefusedError(f"temperature is {question.temperature}: use 0 to {_HOTTEST:g}")
    room = CONTEXT - len(tokens)
    most = room if question.most is None else question.most
    if most < 1 <= room:
        raise RefusedError(f"max_tokens is {most}: use at least 1")
    if most > room or room < 1:
        raise RefusedError(
            f"This model's maximum context length is {CONTEXT} tokens, and {len(tokens)} of the "
            f"prompt with {max(most, 1)} to generate are more: shorten one of them"
        )
    return Asked(tokens, most, question.ignores_end, question.temperature, question.seed)


def spoken(stream: Generation) -> Iterator[Piece]:
    """Yield the answer piece by piece; closing the iterator cancels the rest.

    Raises:
        Stopped: the engine ended before the text did.
    """
    try:
        with component(QUEUE):
            stream.admitted()
        pieces = stream.pieces()
        with component(PREFILL):
            first = next(pieces)
        with component(DECODE):
            yield first
            yield from pieces
    finally:
        stream.cancel()


def _check_tokens(tokens: tuple[int, ...]) -> None:
    if not tokens:
        raise RefusedError("the prompt is empty: send at least one token")
    if unknown := [one for one in tokens if not 0 <= one < SIZE or one == END]:
        raise RefusedError(f"the prompt has the token {unknown[0]}: use 0 to {SIZE - 1}, not {END}")

"""Finds out before the run which fields a server accepts and how it counts tokens."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np

from tracebench.load.language.interface import Interface, Message
from tracebench.load.language.made_up import text
from tracebench.load.language.tokenizer import Tokenizer
from tracebench.load.streams.events import Event, cut_for
from tracebench.load.streams.tokens import Answer
from tracebench.load.wire.http1 import STREAM_TYPES
from tracebench.load.wire.prompt_request import NONCE_WORDS, PLACE, nonce
from tracebench.model.errors import TargetError, excerpt
from tracebench.model.language import CountedBy, WordCount
from tracebench.tracing.roots.trace_ids import IdSource

_SUCCESS: Final = range(200, 300)
_REFUSALS: Final = (400, 404, 422)
_FEWEST_WORDS, _MOST_WORDS = 16, 1_024
"""Words in a prompt that is sent to have its tokens counted."""


class Said(NamedTuple):
    """A server's reply."""

    status: int
    media_type: str
    body: bytes
    shown: str
    """The start of the body, for messages, with secrets hidden."""


Post = Callable[[bytes], Said]
"""Posts a body to the endpoint for prompts."""


@dataclass(slots=True)
class Dialogue:
    """Sends prompts to a server, asking for one token each.

    Args:
        post: posts a request body.
        models: returns the names of the server's models; empty if it does not say.
        address: the server's address, for messages.
        interface: how requests are written; fields that the server rejects are removed from it.
        reuse: whether prompts may repeat earlier ones.
    """

    post: Post
    models: Callable[[], list[str]]
    address: str
    interface: Interface
    reuse: bool
    dropped: dict[str, str] = field(default_factory=dict)
    """Rejected field → the server's message."""

    def ask(self, messages: Sequence[Message]) -> int:
        """Send a prompt; returns its tokens by the server's usage, or -1 if it reports none.

        Raises:
            TargetError: the server does not answer it.
        """
        for _ in range(4):  # each reply may reject another field
            reply = self.post(self._filled(self.interface.body(messages, 1)))
            if reply.status in _SUCCESS:
                return self._usage(reply)
            told = reply.body.decode(errors="replace")
            other = self.interface.without(told) if reply.status in _REFUSALS else None
            if other is None:
                break
            self.interface, name = other
            self.dropped[name] = reply.shown
        raise TargetError(f"{self.address}: HTTP {reply.status}: {reply.shown}{self._advice()}")

    def _advice(self) -> str:
        there = self.models()
        if not there or self.interface.model in there:
            return ""
        return f": it has no model {self.interface.model!r}: give --llm {' or '.join(there[:3])}"

    def ask_words(self, words: int) -> int:
        """Like `ask`, with a prompt of `words` words, including the nonce."""
        made_up = text(words - NONCE_WORDS, "calibration", 0)
        return self.ask([("user", f"{PLACE.decode()} {made_up}")])

    def _filled(self, body: bytes) -> bytes:
        """Insert a fresh nonce, unless prompts may be reused."""
        ids = b"0" * 32 if self.reuse else IdSource().draw()
        return body.replace(PLACE, nonce(ids), 1)

    def _usage(self, reply: Said) -> int:
        answer = Answer()
        if reply.media_type in STREAM_TYPES:
            events = cut_for(reply.media_type)(reply.body)
        else:
            events = iter((Event(len(reply.body), reply.body),))
        for event in events:
            answer.take(event)
        if answer.error:
            raise TargetError(f"{self.address}: {answer.error}")
        return answer.input


def count_words(dialogue: Dialogue, tokens: int, tokenizer: Tokenizer | None) -> WordCount:
    """Find out how many tokens a word has and how many the chat template adds.

    Fits a straight line to the counts of a few prompts, up to the length used in the run. The fit
    is exact if all words have the same number of tokens, as in most vocabularies.

    Args:
        dialogue: the dialogue with the server.
        tokens: length of the prompts in the run.
        tokenizer: counts tokens instead of the server.

    Raises:
        TargetError: the server does not answer.
    """
    if tokenizer is not None:
        return _by_tokenizer(dialogue, tokenizer)
    counted = {_FEWEST_WORDS: dialogue.ask_words(_FEWEST_WORDS)}
    if counted[_FEWEST_WORDS] < 0:
        return WordCount()
    for share in (2, 1):
        words = min(_fitted(counted).words(tokens / share), _MOST_WORDS)
        if words > max(counted):
            counted[words] = dialogue.ask_words(words)
    if len(counted) == 1:  # the prompts are short
        counted[2 * _FEWEST_WORDS] = dialogue.ask_words(2 * _FEWEST_WORDS)
    return _fitted(counted, "usage")


def _by_tokenizer(dialogue: Dialogue, tokenizer: Tokenizer) -> WordCount:
    """Count words by the tokenizer; the server's usage gives the overhead."""
    made_up = {words: text(words, "calibration", 0) for words in (_FEWEST_WORDS, _MOST_WORDS)}
    fit = _fitted({words: tokenizer.count(one) for words, one in made_up.items()})
    told = dialogue.ask_words(_FEWEST_WORDS)
    overhead = told - fit.per_word * _FEWEST_WORDS if told >= 0 else fit.overhead
    return WordCount(overhead, fit.per_word, "tokenizer")


def _fitted(counted: dict[int, int], by: CountedBy = "none") -> WordCount:
    """Fit a line by least squares, or through the origin if there is a single count."""
    words, tokens = (np.array(list(one), np.float64) for one in (counted, counted.values()))
    if len(counted) == 1:
        return WordCount(0.0, float(tokens[0] / words[0]), by)
    per_word, overhead = np.polyfit(words, tokens, 1)
    if per_word <= 0:
        return WordCount(0.0, float(tokens[-1] / words[-1]), by)
    worst = np.abs(overhead + per_word * words - tokens).max()
    return WordCount(round(float(overhead), 6), round(float(per_word), 6), by, float(worst))


def models_at(get: Callable[[str], tuple[int, str, Any]], url: str) -> list[str]:
    """The names of a server's models (`GET /v1/models`); empty if it does not say."""
    base = url.partition("/chat/completions")[0].removesuffix("/completions")
    with suppress(TargetError, LookupError, TypeError):
        _, _, found = get(f"{base}/models")
        return [excerpt(str(one["id"])) for one in found["data"]]
    return []

"""Prompts whose first words are unique: a nonce, filled in as each request is sent.

A server that caches prefixes then has nothing to reuse, however often a prompt is sent: in the
preflight, the warm-up, other blocks, other steps, or a later run. The nonce is derived from the
request's trace id, which is never drawn twice, so nothing has to be remembered.

Every word has four letters, so that all nonces have the same size, and is one token in the
vocabularies of Llama 3 and 4, Qwen, DeepSeek and Mistral, with or without a space before it: there,
a prompt of N words has N tokens.
"""

import re
from dataclasses import dataclass
from typing import Final

from tracebench.load.wire.http1 import HttpRequest

WORDS: Final = (
    b"""
    this that with from have self will your more they data name true time over type part work
    when been were file year some said like also than just them into what list case back only
    need user then test make long read form want size look know hand most text show find used
    play help pass down even item last high line here very call well view many good such open
    next game path each sign best same made mark main take free real head must week code team
    fact home left page life base book date care full turn body keep come hard link feel less
    rest site cell cost done days stop able give copy lead step four room once talk mass mean
    area kind side camp miss plan away near sent past move city tell late hold sort task word
    host role deal ever info face save food send news fail card root pick pack wait fund mode
    seen live hope went fire mind bill draw easy walk five land half rate fall idea film sell
    term loss stay exit pour tree ball fast unit blog menu soon join flag note upon risk lock
    tool feed song ways plus deep lost road held uses goal grid rule seek drop grad door bank
    safe park ones chat town slow blue cast club loop flow eyes nice hour felt roll shot gold
    fair pair hear star skin pull edge kids hair wide jobs math keys vote mask fine rock race
    rows wall exam cool
    """
).split()
"""256 words, one for each value of a byte."""
WORD_SIZE: Final = len(WORDS[0])
NONCE_WORDS: Final = 8
_DIGITS: Final = 2 * NONCE_WORDS
_LENGTH: Final = re.compile(rb"(?i)(?<=\r\ncontent-length: )\d+")
PLACE: Final = b" ".join([b"####"] * NONCE_WORDS)
"""Marks the place of the nonce in a body."""


def nonce(ids: bytes) -> bytes:
    """Make eight words from the first 64 bits of a trace id, of the size of `PLACE`, in 1 µs.

    Args:
        ids: 32 or more hexadecimal digits.
    """
    return b" ".join([WORDS[byte] for byte in bytes.fromhex(ids[:_DIGITS].decode())])


def with_length(head: bytes, size: int) -> bytes:
    """Replace the Content-Length in the head of a request."""
    return _LENGTH.sub(b"%d" % size, head, count=1)


@dataclass(frozen=True, slots=True)
class PromptRequest(HttpRequest):
    """A request with a nonce in its body."""

    nonce_at: int
    """Offset of `PLACE` in the body."""

    def buffers(self, ids: bytes) -> list[bytes]:
        """See `HttpRequest.buffers`."""
        body, at = self.body, self.nonce_at
        end = at + len(PLACE)
        return [self.head + ids + self.tail, body[:at], nonce(ids), body[end:]]

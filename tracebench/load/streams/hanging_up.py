"""Clients that hang up: which requests they give up, and when, counting tokens as they come."""

import sys
from random import Random
from typing import Final

from tracebench.load.streams.events import cut_for
from tracebench.load.streams.reading import Streaming, item, taker
from tracebench.load.streams.tokens import Answer
from tracebench.load.wire.codec import GRPC_STREAM, Slot, StreamLog
from tracebench.model.plan import HangUp
from tracebench.model.shards import WHOLE, Endless, Shard

_DRAWN: Final = 2**16
"""How many choices are drawn before the run; they repeat eventually."""


class HangingUp:
    """Decides which streams are hung up, and when.

    Args:
        asked: after what, and which share of the requests.
        seed: seed of the choice.
        how: how to read the events of streams.
        shard: which part of the requests is sent here.
    """

    def __init__(self, asked: HangUp, seed: int, how: Streaming, shard: Shard = WHOLE) -> None:
        draw = Random(f"hang up {seed}").random
        drawn = [draw() < asked.share for _ in range(_DRAWN)]
        self._chosen = Endless(drawn).dealt(shard).elements
        self._most, self._how = asked.tokens, how
        self._counts: dict[int, TokensSoFar] = {}
        """The number of a slot → the tokens of its stream, or of an earlier one."""
        self.after_ns = sys.maxsize if asked.after_s is None else round(asked.after_s * 1e9)
        """How long after it was sent a stream is hung up."""
        self.reason = f"hung up after {asked}"

    @property
    def counts_tokens(self) -> bool:
        """Whether streams are hung up after a number of tokens, not after a time."""
        return self._most is not None

    def due_ns(self, slot: Slot) -> int:
        """When the exchange of a slot is hung up, unless it has ended by then; in ns."""
        if not slot.sent_ns or not self._gives_up(slot):
            return sys.maxsize
        return slot.sent_ns + self.after_ns

    def _gives_up(self, slot: Slot) -> bool:
        return self._chosen[slot.draw % len(self._chosen)]

    def has_enough(self, slot: Slot) -> bool:
        """Whether the stream of a slot has brought the tokens after which it is hung up."""
        if self._most is None or slot.stream is None or not self._gives_up(slot):
            return False
        count = self._counts.get(slot.number)
        if count is None or count.log is not slot.stream:
            count = self._counts[slot.number] = TokensSoFar(slot.stream, self._how)
        return count.count() >= self._most


# The tokens of a stream that goes on.

_BLANK_LINES: Final = (b"\n\n", b"\r\n\r\n", b"\r\r", b"\r\n\n", b"\n\r\n")
_LINE_ENDS: Final = (b"\n",)


class TokensSoFar:
    """The tokens of one stream, as `read_stream` would count them; each event is read once.

    Args:
        log: the stream.
        how: how to read its events.
    """

    def __init__(self, log: StreamLog, how: Streaming) -> None:
        self.log = log
        self._answer = Answer(how.path)
        self._cut, self._take = cut_for(log.kind), taker(log.kind, how)
        self._ends = _BLANK_LINES if log.kind == "text/event-stream" else _LINE_ENDS
        self._at = self._tokens = self._items = 0

    def count(self) -> int:
        """Read the events that have come since the last call; returns how many tokens there are."""
        body = self.log.body
        part = bytes(body[self._at : self._complete_up_to()])
        size = 0
        for event in self._cut(part):
            size = event.end
            if event.data or self.log.kind == GRPC_STREAM:
                self._tokens += self._take(self._answer, event)
                self._items += item(self._answer, event)
        self._at += size
        unknown = self.log.kind != GRPC_STREAM and not self._answer.known
        return self._items if unknown else self._tokens

    def _complete_up_to(self) -> int:
        """Where the last whole event ends; messages tell their own size."""
        body, at = self.log.body, self._at
        if self.log.kind == GRPC_STREAM:
            return len(body)
        found = [(body.rfind(end, at), len(end)) for end in self._ends]
        return max((place + size for place, size in found if place >= 0), default=at)

"""Clients that hang up: which requests they give up, and when."""

import sys
from random import Random
from typing import Final

from tracebench.load.streams.reading import Streaming
from tracebench.load.streams.under_way import TokensSoFar
from tracebench.load.wire.codec import Slot
from tracebench.model.plan import HangUp

_DRAWN: Final = 2**16
"""How many choices are drawn before the run; they repeat eventually."""


class HangingUp:
    """Decides which streams are hung up, and when.

    Args:
        asked: after what, and which share of the requests.
        seed: seed of the choice.
        how: how to read the events of streams.
    """

    def __init__(self, asked: HangUp, seed: int, how: Streaming) -> None:
        draw = Random(f"hang up {seed}").random
        self._chosen = [draw() < asked.share for _ in range(_DRAWN)]
        self._most, self._how = asked.tokens, how
        self._counts: dict[int, TokensSoFar] = {}
        """The number of a slot → the tokens of its stream, or of an earlier one."""
        self.after_ns = sys.maxsize if asked.after_s is None else round(asked.after_s * 1e9)
        """How long after it was sent a stream is hung up."""
        self.reason = f"hung up after {asked}"

    def due_ns(self, slot: Slot) -> int:
        """When the exchange of a slot is hung up, unless it has ended by then; in ns."""
        if not slot.sent_ns or not self._chosen[slot.draw % _DRAWN]:
            return sys.maxsize
        return slot.sent_ns + self.after_ns

    def has_enough(self, slot: Slot) -> bool:
        """Whether the stream of a slot has brought the tokens after which it is hung up."""
        if self._most is None or slot.stream is None or not self._chosen[slot.draw % _DRAWN]:
            return False
        count = self._counts.get(slot.number)
        if count is None or count.log is not slot.stream:
            count = self._counts[slot.number] = TokensSoFar(slot.stream, self._how)
        return count.count() >= self._most

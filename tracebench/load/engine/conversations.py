"""Dispatch of conversations: a slot waits for its answer, thinks, and sends the next turn.

The answer becomes part of the next request, so it has to be read before that can be sent: a little
at a time, as other streams' stamps must not suffer, and while the user thinks, if users do. What it
takes beyond that is between `ready` and `sent`, and so the tool's own time.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Protocol

from tracebench.load.engine.dispatch import ClosedDispatch, Dispatch, Ledger, dispatch
from tracebench.load.engine.loop import Loop
from tracebench.load.engine.pacing import ClosedLoop, Pacing
from tracebench.load.streams.recorder import SLICE_NS
from tracebench.load.wire.codec import Slot, StreamLog


class Talk(Protocol):
    """One slot's conversations, one after the other."""

    def hear(self, log: StreamLog) -> None:
        """Take the answer to what was sent last; it is not read yet."""

    def go_on(self) -> Iterator[None]:
        """Make the next request, a little at a time: another turn, or a new conversation.

        Without an answer to the last one, a new conversation begins.
        """

    @property
    def variant(self) -> int:
        """Which of the target's requests that is; it tells the turn."""

    def think_ns(self) -> int:
        """How long the user thinks before it; 0 at the begin of a conversation."""


def dispatch_of(talks: Sequence[Talk], pacing: Pacing, ledger: Ledger, loop: Loop) -> Dispatch:
    """Make the dispatch for a pacing.

    Args:
        talks: by the number of the slot; empty: each request stands for itself.
        pacing: closed, if there are any.
        ledger: of the window.
        loop: of the engine.
    """
    if talks and isinstance(pacing, ClosedLoop):
        return ConversationDispatch(talks, pacing, ledger, loop)
    return dispatch(pacing, ledger, loop)


class ConversationDispatch(ClosedDispatch):
    """Each slot goes on with its conversation once it is free."""

    def __init__(
        self, talks: Sequence[Talk], pacing: ClosedLoop, ledger: Ledger, loop: Loop
    ) -> None:
        super().__init__(pacing, ledger, loop)
        self._talks = talks
        self._waiting: dict[Slot, int] = {}
        """Slots that have nothing under way → when their last exchange ended."""

    def begin(self, slots: Sequence[Slot], now_ns: int) -> None:
        """Start every slot."""
        self._ledger.streams.hear = self._hear
        super().begin(slots, now_ns)

    def freed(self, slot: Slot, at_ns: int) -> None:
        """Prepare the slot's next exchange, or let the slot leave."""
        if not self._ledger.goes_on(at_ns):
            return super().freed(slot, at_ns)
        self._waiting[slot] = at_ns
        return self._prepare(slot, at_ns, self._talks[slot.number].go_on())

    def idle(self) -> bool:
        """Whether all think: then nobody waits for a server."""
        return len(self._waiting) == self._taking_part

    def finish(self) -> None:
        """Let every slot leave when it is free, and those that think at once."""
        super().finish()
        self._release()

    def _hear(self, slot: Slot, log: StreamLog) -> None:
        self._talks[slot.number].hear(log)

    def _prepare(self, slot: Slot, at_ns: int, work: Iterator[None]) -> None:
        """Make the next request, with a look for replies in between."""
        if slot not in self._waiting:
            return None  # it has left
        until_ns = self._loop.now_ns() + SLICE_NS
        for _ in work:
            if (now_ns := self._loop.now_ns()) >= until_ns:
                return self._loop.call_at(now_ns, partial(self._prepare, slot, at_ns, work))
        talk = self._talks[slot.number]
        slot.variant = talk.variant
        due_ns = at_ns + talk.think_ns()
        if due_ns >= self._ledger.until_ns or due_ns <= self._loop.now_ns():
            return self._send(slot, due_ns)
        return self._loop.call_at(due_ns, partial(self._send, slot, due_ns))

    def _send(self, slot: Slot, due_ns: int) -> None:
        if slot not in self._waiting:
            return  # it has left
        del self._waiting[slot]
        super().freed(slot, due_ns)
        if self._ledger.started >= self._ledger.most_started:
            self._release()

    def _release(self) -> None:
        """Nothing more will start: let those that think leave, however long they meant to."""
        waiting, self._waiting = self._waiting, {}
        for slot, at_ns in waiting.items():
            super().freed(slot, at_ns)

"""Dispatch of conversations: a slot waits for its answer, thinks, and sends the next turn.

The answer becomes part of the next request, so it must be read before that can be sent: in small
slices, so that the stamps of other streams stay exact, and while the user thinks, if there is a
think time. Reading that takes longer falls between `ready` and `sent`, and is the tool's own time.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Protocol

from tracebench.load.engine.dispatch import ClosedDispatch, Dispatch, Ledger, dispatch
from tracebench.load.engine.loop import Loop
from tracebench.load.engine.pacing import ClosedLoop, Pacing
from tracebench.load.streams.recorder import SLICE_NS
from tracebench.load.wire.codec import Request, Slot, StreamLog
from tracebench.model.shards import Shard


class Talk(Protocol):
    """The conversations of one slot, one after the other."""

    def hear(self, log: StreamLog) -> None:
        """Take the answer to the last request, to be read by `go_on`."""

    def go_on(self) -> Iterator[None]:
        """Make the next request in small steps: another turn, or the first of a new conversation.

        Without an answer to the last request, a new conversation begins.
        """

    @property
    def variant(self) -> int:
        """The index of the next request among the target's; it identifies the turn."""

    def think_ns(self) -> int:
        """The think time before the next request, in ns; 0 at the start of a conversation."""


class Talks(Protocol):
    """The conversations of all slots, which share their texts."""

    @property
    def of_slots(self) -> Sequence[Talk]:
        """The conversations of each slot."""

    def requests(self) -> Sequence[Request]:
        """The target's requests, by the variants of the conversations."""

    def dealt(self, shard: Shard) -> "Talks":
        """The conversations of the slots that a shard takes."""


def dispatch_of(talks: Sequence[Talk], pacing: Pacing, ledger: Ledger, loop: Loop) -> Dispatch:
    """Make the dispatch for a pacing.

    Args:
        talks: the conversations of each slot; empty: requests are independent.
        pacing: a closed loop if there are conversations.
        ledger: the window's ledger.
        loop: the engine's event loop.
    """
    if talks and isinstance(pacing, ClosedLoop):
        return ConversationDispatch(talks, pacing, ledger, loop)
    return dispatch(pacing, ledger, loop)


class ConversationDispatch(ClosedDispatch):
    """Continues each slot's conversation once the slot is free."""

    def __init__(
        self, talks: Sequence[Talk], pacing: ClosedLoop, ledger: Ledger, loop: Loop
    ) -> None:
        super().__init__(pacing, ledger, loop)
        self._talks = talks
        self._waiting: dict[Slot, int] = {}
        """Slots without an exchange in flight → when their last exchange ended, in ns."""

    def begin(self, slots: Sequence[Slot], now_ns: int) -> None:
        """Start every slot."""
        self._ledger.streams.hear = self._hear
        super().begin(slots, now_ns)

    def freed(self, slot: Slot, at_ns: int) -> None:
        """Prepare the slot's next exchange, or retire the slot."""
        if not self._ledger.goes_on(at_ns):
            return super().freed(slot, at_ns)
        self._waiting[slot] = at_ns
        return self._prepare(slot, at_ns, self._talks[slot.number].go_on())

    def idle(self) -> bool:
        """Whether all users are thinking, so that no reply is awaited."""
        return len(self._waiting) + len(self._to_start) == self._taking_part

    def finish(self) -> None:
        """Retire every slot when it is free, and those whose users think at once."""
        super().finish()
        self._release()

    def _hear(self, slot: Slot, log: StreamLog) -> None:
        self._talks[slot.number].hear(log)

    def _prepare(self, slot: Slot, at_ns: int, work: Iterator[None]) -> None:
        """Make the next request, letting the loop check for replies between slices."""
        if slot not in self._waiting:
            return None  # retired meanwhile
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
            return  # retired meanwhile
        del self._waiting[slot]
        super().freed(slot, due_ns)
        if self._ledger.started >= self._ledger.most_started:
            self._release()

    def _release(self) -> None:
        """Retire all slots whose users think: no further exchange will start."""
        waiting, self._waiting = self._waiting, {}
        for slot, at_ns in waiting.items():
            super().freed(slot, at_ns)

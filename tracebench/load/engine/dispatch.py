"""Dispatch: which slot sends next, when a slot becomes free or a request becomes due."""

import sys
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from tracebench.load.engine.loop import Loop
from tracebench.load.engine.pacing import ClosedLoop, OpenLoop, Pacing
from tracebench.load.recording.rows import RowRecorder
from tracebench.load.streams.recorder import StreamRecorder
from tracebench.load.wire.codec import Slot
from tracebench.model.record.exchange import Outcome, Stamp

# The ledger of a window: whether slots may still start, and what happens when exchanges end.

BACKOFF_NS = 100_000_000
"""How long a slot waits after a failure to connect."""
_HUNG_UP = Outcome.ABANDONED  # enum look-ups are slow


class Ledger:
    """State shared by all slots; the hot path in `memory_mapped.py` uses its fields directly."""

    __slots__ = (
        "_freed",
        "_loop",
        "choose",
        "draw",
        "drawn_before",
        "heard_ns",
        "most_started",
        "recorder",
        "started",
        "streams",
        "tired",
        "until_ns",
    )

    def __init__(
        self, loop: Loop, draw: Callable[[], bytes], choose: Callable[[], int] | None = None
    ) -> None:
        self._loop = loop
        self.draw, self.choose = draw, choose
        self.started = self.heard_ns = 0
        self.most_started = self.until_ns = 0
        """A free slot starts at once while fewer ids were drawn for the record, before
        `until_ns`."""
        self.drawn_before = 0
        """How many ids were drawn before this record: one for each exchange started."""
        self.recorder: RowRecorder
        self.streams: StreamRecorder
        self.tired: Callable[[Slot], bool] | None = None
        """Is told of each read of a stream that goes on; returns whether it hung up the slot's
        exchange. None: nobody hangs up."""

    def open(
        self,
        recorder: RowRecorder,
        streams: StreamRecorder,
        freed: Callable[[Slot, int], None],
        now_ns: int,
        drawn_before: int,
    ) -> None:
        """Begin a window.

        Args:
            recorder: takes its rows, perhaps after those of earlier windows.
            streams: the same of its streams.
            freed: gets each slot whose exchange has ended, and the time.
            now_ns: the time.
            drawn_before: how many ids had been drawn when the record began.
        """
        self._freed, self.recorder, self.streams = freed, recorder, streams
        self.started, self.drawn_before = self.drawn - drawn_before, drawn_before
        self.most_started = self.until_ns = 0
        self.heard_ns = now_ns

    @property
    def drawn(self) -> int:
        """How many ids have been drawn so far."""
        return self.drawn_before + self.started

    def goes_on(self, now_ns: int) -> bool:
        """Whether a free slot starts its next exchange at once."""
        return self.started < self.most_started and now_ns < self.until_ns

    def start(self, slot: Slot, scheduled_ns: int, ready_ns: int) -> None:
        """Start an exchange that was due at `scheduled_ns` and could start at `ready_ns`."""
        self.identify(slot)
        if self.choose is not None:
            slot.variant = self.choose()
        slot.scheduled_ns, slot.ready_ns = scheduled_ns, ready_ns
        slot.connect_ns = slot.sent_ns = slot.first_byte_ns = slot.write_lag_ns = 0
        slot.reply = slot.lost = None
        slot.error = ""
        slot.submit(slot)

    def identify(self, slot: Slot) -> None:
        """Give a slot the ids of its next exchange, which counts as started."""
        slot.ids, slot.draw = self.draw(), self.started
        self.started += 1

    def finished(
        self,
        slot: Slot,
        arrived_ns: int,
        done_ns: int,
        stamp: Stamp,
        outcome: Outcome | None = None,
    ) -> None:
        """Write the row of an exchange that has ended, and free its slot.

        Args:
            slot: holds its reply or its error.
            arrived_ns: when the reply's last byte arrived.
            done_ns: when it was recognised as complete, or given up.
            stamp: the source of `arrived_ns`.
            outcome: None if the reply or the error determines it.
        """
        self.recorder.write(slot, arrived_ns, done_ns, stamp, outcome)
        if slot.stream is not None:
            self.streams.take(slot, hung_up=outcome is _HUNG_UP)
        slot.ids = b""
        if slot.sent_ns:
            if outcome is None:
                self.heard_ns = done_ns
            self._freed(slot, done_ns)
        else:
            when_ns = done_ns + BACKOFF_NS
            self._loop.call_at(when_ns, partial(self._freed, slot, when_ns))


# Dispatch: which slot sends next.

NEVER_SENT = "never sent: no slot became free in time"


class Dispatch(Protocol):
    """Gives slots their exchanges, and stops the loop after the last."""

    def begin(self, slots: Sequence[Slot], now_ns: int) -> None:
        """Start whatever can start."""

    def freed(self, slot: Slot, at_ns: int) -> None:
        """Take back a slot whose exchange has ended."""

    def active(self) -> bool:
        """Whether anything is in flight or still to come."""

    def idle(self) -> bool:
        """Whether nothing is in flight and no slot is backing off."""

    def finish(self) -> None:
        """Let nothing more become due; requests already due are still sent."""

    def stop(self, now_ns: int) -> None:
        """Start nothing more."""

    def drop_late(self, now_ns: int, patience_ns: int) -> None:
        """Give up waiting requests, once `patience_ns` has passed since the last was due."""


def dispatch(pacing: Pacing, ledger: Ledger, loop: Loop) -> Dispatch:
    """Make the dispatch for a pacing."""
    if isinstance(pacing, OpenLoop):
        return OpenDispatch(pacing, ledger, loop)
    return ClosedDispatch(pacing, ledger, loop)


class ClosedDispatch:
    """Each slot sends again once it is free; `memory_mapped.py` does the same, via the ledger."""

    def __init__(self, pacing: ClosedLoop, ledger: Ledger, loop: Loop) -> None:
        self._pacing, self._ledger, self._loop = pacing, ledger, loop
        self._taking_part = 0
        self._to_start: deque[Slot] = deque()
        """Slots whose turn in the ramp-up has not come."""

    def begin(self, slots: Sequence[Slot], now_ns: int) -> None:
        """Start every slot, or the first one of a ramp-up."""
        self._taking_part = len(slots)
        if ramp_ns := self._pacing.ramp_up_ns:
            self._ledger.most_started = sys.maxsize
            self._ledger.until_ns = now_ns + ramp_ns + self._pacing.duration_ns
            self._to_start = deque(slots)
            self._loop.call_at(now_ns + ramp_ns, self._ramped_up)
            return self._ramp_up(now_ns, ramp_ns, 0)
        self._limit(now_ns)
        for slot in slots:
            self.freed(slot, self._loop.now_ns())
        return None

    def _limit(self, now_ns: int) -> None:
        """Let the limits apply from now on."""
        left = sys.maxsize - self._ledger.started
        self._ledger.most_started = self._ledger.started + min(self._pacing.requests, left)
        self._ledger.until_ns = now_ns + self._pacing.duration_ns

    def _ramp_up(self, began_ns: int, ramp_ns: int, number: int) -> None:
        """Start the slots whose turn has come; the n-th of C has it after n/C of the ramp-up."""
        shard = self._pacing.shard
        slots = (number + len(self._to_start)) * shard.of
        while self._to_start:
            due_ns = began_ns + ramp_ns * (number * shard.of + shard.number) // slots
            if due_ns > self._loop.now_ns():
                again = partial(self._ramp_up, began_ns, ramp_ns, number)
                return self._loop.call_at(due_ns, again)
            number += 1
            self.freed(self._to_start.popleft(), due_ns)

    def _ramped_up(self) -> None:
        if self._ledger.most_started:
            self._limit(self._loop.now_ns())

    def freed(self, slot: Slot, at_ns: int) -> None:
        """Start the slot's next exchange, or let the slot leave."""
        if self._ledger.goes_on(at_ns):
            return self._ledger.start(slot, at_ns, at_ns)
        self._taking_part -= 1
        if not self._taking_part:
            self._loop.stop()

    def active(self) -> bool:
        """Whether any slot has not left yet."""
        return self._taking_part > 0

    def idle(self) -> bool:
        """Never: each slot has an exchange, is backing off, or has left."""
        return False

    def finish(self) -> None:
        """Let every slot leave when it is free."""
        self._ledger.most_started = 0
        unstarted, self._to_start = self._to_start, deque()
        for slot in unstarted:
            self.freed(slot, self._loop.now_ns())

    def stop(self, now_ns: int) -> None:
        """Same as `finish`: no request waits to be sent."""
        self.finish()

    def drop_late(self, now_ns: int, patience_ns: int) -> None:
        """Do nothing: no request waits to be sent."""


class OpenDispatch:
    """Requests start when they are due, or wait for the next free slot.

    The slot freed last is used first, so that no more connections are opened than needed and those
    in use stay warm.
    """

    def __init__(self, pacing: OpenLoop, ledger: Ledger, loop: Loop) -> None:
        self._arrivals_ns, self._ledger, self._loop = pacing.arrivals_ns, ledger, loop
        self._next, self._count = 0, len(pacing.arrivals_ns)
        self._began_ns = 0
        self._idle: list[Slot] = []
        self._slots = 0
        self._armed = False

    def begin(self, slots: Sequence[Slot], now_ns: int) -> None:
        """Wait for the first request to be due."""
        self._began_ns, self._slots = now_ns, len(slots)
        self._idle = list(reversed(slots))
        for slot in slots:
            slot.freed_ns = now_ns
        self._send_due()

    def freed(self, slot: Slot, at_ns: int) -> None:
        """Give the slot to a waiting request."""
        slot.freed_ns = at_ns
        self._idle.append(slot)
        if not self._armed:
            self._send_due()

    def _send_due(self) -> None:
        self._armed = False
        while self._idle and self._next < self._count:
            due_ns = self._began_ns + self._arrivals_ns[self._next]
            if due_ns > self._loop.now_ns():
                self._armed = True
                return self._loop.call_at(due_ns, self._send_due)
            self._next += 1
            one_was_free = self._idle[0].freed_ns <= due_ns  # the first has been idle longest
            slot = self._idle.pop()
            self._ledger.start(slot, due_ns, due_ns if one_was_free else slot.freed_ns)
        if not self.active():
            self._loop.stop()

    def active(self) -> bool:
        """Whether anything is in flight or still to come."""
        return self._next < self._count or not self.idle()

    def idle(self) -> bool:
        """Whether every slot waits for a request to be due."""
        return len(self._idle) == self._slots

    def finish(self) -> None:
        """Drop the requests not yet due; those already due are still sent."""
        since_ns = self._loop.now_ns() - self._began_ns
        self._count = bisect_right(self._arrivals_ns, since_ns, self._next, self._count)

    def stop(self, now_ns: int) -> None:
        """Drop the requests not yet due; those due but unsent count as cancelled."""
        due = bisect_right(self._arrivals_ns, now_ns - self._began_ns, self._next, self._count)
        late, self._count = self._arrivals_ns[self._next : due], self._next
        for due_ns in late:
            slot = Slot(lambda _slot: None)
            self._ledger.identify(slot)
            slot.ready_ns, slot.error = now_ns, NEVER_SENT
            slot.scheduled_ns = self._began_ns + due_ns
            self._ledger.recorder.write(slot, 0, now_ns, Stamp.USER, Outcome.CANCELLED)

    def drop_late(self, now_ns: int, patience_ns: int) -> None:
        """Stop if the last request was due too long ago and some still wait for a slot."""
        if self._next < self._count:
            last_ns = self._began_ns + self._arrivals_ns[self._count - 1]
            if now_ns >= last_ns + patience_ns:
                self.stop(now_ns)

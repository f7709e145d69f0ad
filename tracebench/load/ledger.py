"""The ledger of a window: who may still start, and one row for each exchange that ended."""

from collections.abc import Callable
from functools import partial

from tracebench.load.loop import Loop
from tracebench.load.pacing import ClosedLoop
from tracebench.load.slot import RawReply, Slot
from tracebench.model.exchange import Outcome, Stamp

BACKOFF_NS = 100_000_000
"""How long a slot waits after it could not connect."""

Row = tuple[
    bytes, int, int, int, int, int, int, int, int, Stamp, Outcome | None, RawReply | None, str
]
"""ids, scheduled, connect, ready, sent, first_byte, arrived, done, write_lag (ns), stamp, outcome
(None: the reply or the error tells), reply, error."""


class Ledger:
    """What all slots share. `mapped.py` reads and writes its fields in its own hot path."""

    __slots__ = ("_active", "_loop", "draw", "heard_ns", "most", "rows", "started", "until_ns")

    def __init__(self, loop: Loop, draw: Callable[[], bytes]) -> None:
        self._loop = loop
        self.draw = draw
        self._active = self.most = self.started = self.until_ns = self.heard_ns = 0
        self.rows: list[Row] = []

    def open(self, pacing: ClosedLoop, slots: int, now_ns: int) -> None:
        """Begin a window in which so many slots take part."""
        self.rows = []
        self.started, self._active = 0, slots
        self.most, self.until_ns = pacing.requests, now_ns + pacing.duration_ns
        self.heard_ns = now_ns

    def active(self) -> bool:
        """Whether any slot has not left yet."""
        return self._active > 0

    def start(self, slot: Slot, scheduled_ns: int) -> None:
        """Start the slot's next exchange, or let the slot leave."""
        if self.started >= self.most or scheduled_ns >= self.until_ns:
            return self._leave(slot)
        self.started += 1
        slot.ids = self.draw()
        slot.scheduled_ns = slot.ready_ns = scheduled_ns
        slot.connect_ns = slot.sent_ns = slot.first_byte_ns = slot.write_lag_ns = 0
        slot.reply = None
        slot.error = ""
        slot.submit(slot)

    def finished(
        self,
        slot: Slot,
        arrived_ns: int,
        done_ns: int,
        stamp: Stamp,
        outcome: Outcome | None = None,
    ) -> None:
        """Write the row of an exchange that has ended, and start the slot's next one.

        Args:
            slot: has its reply, or its error.
            arrived_ns: when the reply's last byte arrived.
            done_ns: when it was recognised as complete, or given up.
            stamp: how `arrived_ns` was had.
            outcome: None where the reply or the error tells it.
        """
        self.rows.append(
            (
                slot.ids,
                slot.scheduled_ns,
                slot.connect_ns,
                slot.ready_ns,
                slot.sent_ns,
                slot.first_byte_ns,
                arrived_ns,
                done_ns,
                slot.write_lag_ns,
                stamp,
                outcome,
                slot.reply,
                slot.error,
            )
        )
        if slot.sent_ns:
            if outcome is None:
                self.heard_ns = done_ns
            self.start(slot, done_ns)
        else:
            slot.ids = b""
            when_ns = done_ns + BACKOFF_NS
            self._loop.call_at(when_ns, partial(self.start, slot, when_ns))

    def _leave(self, slot: Slot) -> None:
        slot.ids = b""
        self._active -= 1
        if not self._active:
            self._loop.stop()

"""The ledger of a window: who may still start, and one row for each exchange that ended."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from tracebench.load.loop import Loop
from tracebench.load.pacing import ClosedLoop
from tracebench.load.slot import RawReply, Slot
from tracebench.model.exchange import Outcome, Stamp

BACKOFF_NS = 100_000_000
"""How long a slot waits after it could not connect."""

PlainRow = tuple[bytes, int, int, int, int, bytes]
"""The first five of a row, and the reply's bytes: of an exchange without a remark."""
FullRow = tuple[
    bytes, int, int, int, int, RawReply | None, int, int, int, int, Stamp, Outcome | None, str, int
]


class Row(NamedTuple):
    """One exchange, as the engine wrote it down."""

    ids: bytes
    scheduled_ns: int
    sent_ns: int
    arrived_ns: int
    done_ns: int
    reply: RawReply | None
    connect_ns: int
    ready_ns: int
    first_byte_ns: int
    write_lag_ns: int
    stamp: Stamp
    outcome: Outcome | None
    """None: the reply or the error tells."""
    error: str
    variant: int


def read_row(row: PlainRow | FullRow) -> Row:
    """Say what a plain row leaves out."""
    if len(row) > 6:
        return Row(*row)
    ids, scheduled_ns, sent_ns, arrived_ns, done_ns, reply = row
    plain = (0, scheduled_ns, arrived_ns, 0, Stamp.KERNEL, None, "", 0)
    return Row(ids, scheduled_ns, sent_ns, arrived_ns, done_ns, (reply,), *plain)


class Ledger:
    """What all slots share. `mapped.py` reads and writes its fields in its own hot path."""

    __slots__ = (
        "_active",
        "_choose",
        "_loop",
        "draw",
        "heard_ns",
        "most",
        "rows",
        "started",
        "until_ns",
    )

    def __init__(
        self, loop: Loop, draw: Callable[[], bytes], choose: Callable[[], int] | None = None
    ) -> None:
        self._loop = loop
        self.draw, self._choose = draw, choose
        self._active = self.most = self.started = self.until_ns = self.heard_ns = 0
        self.rows: list[PlainRow | FullRow] = []

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
        if self._choose is not None:
            slot.variant = self._choose()
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
                slot.sent_ns,
                arrived_ns,
                done_ns,
                slot.reply,
                slot.connect_ns,
                slot.ready_ns,
                slot.first_byte_ns,
                slot.write_lag_ns,
                stamp,
                outcome,
                slot.error,
                slot.variant,
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

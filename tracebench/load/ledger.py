"""The ledger of a window: who may still start, and one row for each exchange that ended."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from tracebench.load.loop import Loop
from tracebench.load.slot import RawReply, Slot
from tracebench.model.exchange import Lost, Outcome, Stamp

BACKOFF_NS = 100_000_000
"""How long a slot waits after it could not connect."""

PlainRow = tuple[bytes, int, int, int, int, bytes]
"""The first five of a row, and the reply's bytes: of an exchange without a remark."""
FullRow = tuple[
    bytes,
    int,
    int,
    int,
    int,
    RawReply | None,
    int,
    int,
    int,
    int,
    Stamp,
    Outcome | None,
    str,
    int,
    Lost | None,
]
Rows = list[PlainRow | FullRow]


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
    lost: Lost | None


def latency_ns(row: PlainRow | FullRow) -> int:
    """From when it was scheduled until it was done."""
    return row[4] - row[1]


def read_row(row: PlainRow | FullRow) -> Row:
    """Say what a plain row leaves out."""
    if len(row) > 6:
        return Row(*row)
    ids, scheduled_ns, sent_ns, arrived_ns, done_ns, reply = row
    plain = (0, scheduled_ns, arrived_ns, 0, Stamp.KERNEL, None, "", 0, None)
    return Row(ids, scheduled_ns, sent_ns, arrived_ns, done_ns, (reply,), *plain)


class Ledger:
    """What all slots share. `mapped.py` reads and writes its fields in its own hot path."""

    __slots__ = (
        "_freed",
        "_loop",
        "choose",
        "draw",
        "heard_ns",
        "most_started",
        "rows",
        "started",
        "until_ns",
    )

    def __init__(
        self, loop: Loop, draw: Callable[[], bytes], choose: Callable[[], int] | None = None
    ) -> None:
        self._loop = loop
        self.draw, self.choose = draw, choose
        self.started = self.heard_ns = 0
        self.most_started = self.until_ns = 0
        """A slot that is free goes on at once as long as fewer were started, and until then."""
        self.rows: Rows = []

    def open(self, freed: Callable[[Slot, int], None], now_ns: int) -> None:
        """Begin a window; slots whose exchange has ended are handed to `freed`, with the time."""
        self._freed = freed
        self.rows = []
        self.started = self.most_started = self.until_ns = 0
        self.heard_ns = now_ns

    def goes_on(self, now_ns: int) -> bool:
        """Whether a slot that is free goes on at once."""
        return self.started < self.most_started and now_ns < self.until_ns

    def start(self, slot: Slot, scheduled_ns: int, ready_ns: int) -> None:
        """Start an exchange that was due at `scheduled_ns`, for a slot that is free since then."""
        self.started += 1
        slot.ids = self.draw()
        if self.choose is not None:
            slot.variant = self.choose()
        slot.scheduled_ns, slot.ready_ns = scheduled_ns, ready_ns
        slot.connect_ns = slot.sent_ns = slot.first_byte_ns = slot.write_lag_ns = 0
        slot.reply = slot.lost = None
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
        """Write the row of an exchange that has ended, and free its slot.

        Args:
            slot: has its reply, or its error.
            arrived_ns: when the reply's last byte arrived.
            done_ns: when it was recognised as complete, or given up.
            stamp: how `arrived_ns` was had.
            outcome: None where the reply or the error tells it.
        """
        self.write(slot, arrived_ns, done_ns, stamp, outcome)
        slot.ids = b""
        if slot.sent_ns:
            if outcome is None:
                self.heard_ns = done_ns
            self._freed(slot, done_ns)
        else:
            when_ns = done_ns + BACKOFF_NS
            self._loop.call_at(when_ns, partial(self._freed, slot, when_ns))

    def write(
        self, slot: Slot, arrived_ns: int, done_ns: int, stamp: Stamp, outcome: Outcome | None
    ) -> None:
        """Write a row."""
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
                slot.lost,
            )
        )

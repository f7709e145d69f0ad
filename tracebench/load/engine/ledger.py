"""The ledger of a window: who may still start, and what becomes of an exchange that ended."""

from collections.abc import Callable
from functools import partial

from tracebench.load.engine.loop import Loop
from tracebench.load.recording.rows import Recorder
from tracebench.load.wire.slot import Slot
from tracebench.model.exchange import Outcome, Stamp

BACKOFF_NS = 100_000_000
"""How long a slot waits after it could not connect."""


class Ledger:
    """What all slots share. `mapped.py` reads and writes its fields in its own hot path."""

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
        self.drawn_before = 0
        """So many ids were drawn before this window: one for each exchange that started."""
        self.recorder: Recorder

    def open(self, recorder: Recorder, freed: Callable[[Slot, int], None], now_ns: int) -> None:
        """Begin a window; slots whose exchange has ended are handed to `freed`, with the time."""
        self._freed, self.recorder = freed, recorder
        self.drawn_before += self.started
        self.started = self.most_started = self.until_ns = 0
        self.heard_ns = now_ns

    def goes_on(self, now_ns: int) -> bool:
        """Whether a slot that is free goes on at once."""
        return self.started < self.most_started and now_ns < self.until_ns

    def start(self, slot: Slot, scheduled_ns: int, ready_ns: int) -> None:
        """Start an exchange that was due at `scheduled_ns`, for a slot that is free since then."""
        self.identify(slot)
        if self.choose is not None:
            slot.variant = self.choose()
        slot.scheduled_ns, slot.ready_ns = scheduled_ns, ready_ns
        slot.connect_ns = slot.sent_ns = slot.first_byte_ns = slot.write_lag_ns = 0
        slot.reply = slot.lost = None
        slot.error = ""
        slot.submit(slot)

    def identify(self, slot: Slot) -> None:
        """Give a slot the ids of an exchange, which counts as started."""
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
            slot: has its reply, or its error.
            arrived_ns: when the reply's last byte arrived.
            done_ns: when it was recognised as complete, or given up.
            stamp: how `arrived_ns` was had.
            outcome: None where the reply or the error tells it.
        """
        self.recorder.write(slot, arrived_ns, done_ns, stamp, outcome)
        slot.ids = b""
        if slot.sent_ns:
            if outcome is None:
                self.heard_ns = done_ns
            self._freed(slot, done_ns)
        else:
            when_ns = done_ns + BACKOFF_NS
            self._loop.call_at(when_ns, partial(self._freed, slot, when_ns))

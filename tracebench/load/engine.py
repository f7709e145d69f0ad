"""The engine: keeps C exchanges under way, and writes one row for each that ends.

Inside the window nothing is parsed, no span is made and no garbage is collected.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from time import perf_counter_ns, process_time

from tracebench.load.channel import Channel, Connect
from tracebench.load.loop import Loop
from tracebench.load.pacing import ClosedLoop
from tracebench.load.progress import Progress, progress
from tracebench.load.slot import RawReply, Slot
from tracebench.model.exchange import Outcome, Stamp

TICK_NS = 100_000_000
BACKOFF_NS = 100_000_000
"""How long a slot waits after it could not connect."""
PATIENCE_NS = 5_000_000_000
"""Without any reply for this long, and for two time-outs, the run is given up."""

Row = tuple[
    bytes, int, int, int, int, int, int, int, int, Stamp, Outcome | None, RawReply | None, str
]
"""ids, scheduled, connect, ready, sent, first_byte, arrived, done, write_lag (ns), stamp, outcome
(None: the reply or the error tells), reply, error."""


@dataclass(frozen=True, slots=True)
class Window:
    """What one run of the engine recorded."""

    rows: list[Row]
    cpu_s: float
    interrupted: bool
    gave_up: str


class Engine:
    """Runs slots over channels; slot i uses channel i modulo their number."""

    def __init__(
        self,
        loop: Loop,
        connect: Connect,
        *,
        slots: int,
        channels: int,
        timeout_ns: int,
        draw: Callable[[], bytes],
    ) -> None:
        self.channels = [Channel(connect, self.finished) for _ in range(channels)]
        self._loop = loop
        self._slots = [Slot(self.channels[n % channels].submit) for n in range(slots)]
        self._timeout_ns, self._draw = timeout_ns, draw
        self._interrupted = False

    def connect(self) -> str:
        """Open every channel; returns why one could not be opened, or nothing."""
        deadline_ns = perf_counter_ns() + self._timeout_ns
        for channel in self.channels:
            channel.open()

        def check() -> None:
            now_ns = perf_counter_ns()
            waiting = any(not channel.is_open() for channel in self.channels)
            if not waiting or self._failure() or now_ns > deadline_ns:
                self._loop.stop()
            else:
                self._loop.call_at(now_ns + 1_000_000, check)

        self._loop.call_at(0, check)
        self._loop.run()
        opened = sum(channel.is_open() for channel in self.channels)
        if opened == len(self.channels):
            return ""
        why = self._failure() or f"no answer within {self._timeout_ns / 1e9:g} s"
        return f"{opened} of {len(self.channels)} connections were made: {why}"

    def interrupt(self) -> None:
        """End the run soon; what is under way is counted as cancelled."""
        self._interrupted = True

    def run(self, pacing: ClosedLoop, on_progress: Callable[[Progress], None]) -> Window:
        """Run until the pacing admits no more and everything under way has ended."""
        self._most, self._on_progress = pacing.requests, on_progress
        self._rows: list[Row] = []
        self._started, self._active, self._gave_up = 0, len(self._slots), ""
        with _no_garbage_collection():
            cpu_s = process_time()
            self._began_ns = self._heard_ns = perf_counter_ns()
            self._until_ns = self._began_ns + pacing.duration_ns
            self._loop.call_at(self._began_ns + TICK_NS, self._tick)
            self._loop.call_at(self._began_ns + self._timeout_ns, self._expire)
            for slot in self._slots:
                self._next(slot, perf_counter_ns())
            if self._active:
                self._loop.run()
            cpu_s = process_time() - cpu_s
        self._loop.clear_timers()
        return Window(self._rows, cpu_s, self._interrupted, self._gave_up)

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
        self._rows.append(
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
                self._heard_ns = done_ns
            self._next(slot, done_ns)
        else:
            slot.ids = b""
            when_ns = done_ns + BACKOFF_NS
            self._loop.call_at(when_ns, partial(self._next, slot, when_ns))

    def _next(self, slot: Slot, scheduled_ns: int) -> None:
        if self._started >= self._most or scheduled_ns >= self._until_ns:
            return self._leave(slot)
        self._started += 1
        slot.ids = self._draw()
        slot.scheduled_ns = slot.ready_ns = scheduled_ns
        slot.connect_ns = slot.sent_ns = slot.first_byte_ns = slot.write_lag_ns = 0
        slot.reply = None
        slot.error = ""
        slot.submit(slot)

    def _leave(self, slot: Slot) -> None:
        slot.ids = b""
        self._active -= 1
        if not self._active:
            self._loop.stop()

    # ── what happens now and then ────────────────────────────────────────────────────────────

    def _tick(self) -> None:
        now_ns = perf_counter_ns()
        silent_ns = now_ns - self._heard_ns
        if self._interrupted:
            self._halt(now_ns)
        elif silent_ns > max(PATIENCE_NS, 2 * self._timeout_ns):
            self._gave_up = f"no reply came for {silent_ns / 1e9:.0f} s"
            if failure := self._failure():
                self._gave_up += f" ({failure})"
            self._halt(now_ns)
        self._on_progress(progress(self._started, self._rows, now_ns - self._began_ns))
        if self._active:
            self._loop.call_at(perf_counter_ns() + TICK_NS, self._tick)

    def _halt(self, now_ns: int) -> None:
        """Start nothing more, and give up what is under way."""
        self._most = 0
        for slot in self._slots:
            if slot.ids:
                self._end(slot, now_ns, Outcome.CANCELLED, "cancelled")

    def _expire(self) -> None:
        """End what is over its time-out; come again when the next one can be.

        The time-out is the same for all, so one look at every slot tells when to look again.
        """
        now_ns = oldest_ns = perf_counter_ns()
        for slot in self._slots:
            if not slot.ids:
                continue
            since_ns = slot.sent_ns or slot.asked_ns
            if now_ns - since_ns >= self._timeout_ns:
                what = "reply" if slot.sent_ns else "connection"
                reason = f"no {what} within {self._timeout_ns / 1e9:g} s"
                self._end(slot, now_ns, Outcome.TIMED_OUT, reason)
            else:
                oldest_ns = min(oldest_ns, since_ns)
        self._loop.call_at(oldest_ns + self._timeout_ns, self._expire)

    def _end(self, slot: Slot, now_ns: int, outcome: Outcome, reason: str) -> None:
        if slot.carrier is not None:
            slot.carrier.abandon(slot)
        slot.error = reason
        self.finished(slot, 0, now_ns, Stamp.USER, outcome)

    def _failure(self) -> str:
        return next((channel.failure for channel in self.channels if channel.failure), "")


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()

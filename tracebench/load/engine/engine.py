"""The engine: keeps C exchanges in flight, and writes one row for each that ends.

Within the window replies are kept rather than read, and no span is made or garbage collected.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter, process_time

from tracebench.load.engine.channel import Channel, Connect
from tracebench.load.engine.conversations import Talk, dispatch_of
from tracebench.load.engine.dispatch import Ledger
from tracebench.load.engine.loop import Loop
from tracebench.load.engine.pacing import Pacing
from tracebench.load.engine.progress import Progress
from tracebench.load.recording.replies import Learn, Replies
from tracebench.load.recording.rows import RowRecorder
from tracebench.load.recording.spill import Spill
from tracebench.load.streams.reading import NO_STREAMS, Streaming
from tracebench.load.streams.recorder import StreamRecorder
from tracebench.load.wire.codec import Slot
from tracebench.model.exchange import Outcome, Stamp
from tracebench.model.requests import Ids
from tracebench.tracing.roots.trace_ids import IdSource

TICK_NS = 100_000_000
PATIENCE_NS = 5_000_000_000
"""The run is given up after no reply for this long or two timeouts, whichever is longer."""
RECENT = 100
"""The latency shown during the run is the median of this many latest exchanges."""


@dataclass(frozen=True, slots=True)
class Window:
    """What one run of the engine recorded."""

    recorder: RowRecorder
    streams: StreamRecorder
    ids: Ids
    """By the draws of its rows."""
    cpu_s: float
    asked_rps: float
    stalled_ns: int
    longest_stall_ns: int
    gc_pause_s: float
    had_enough: bool
    """`enough` ended it."""
    interrupted: bool
    gave_up: str


class Engine:
    """Runs slots over channels; slot i uses channel i modulo the number of channels."""

    def __init__(
        self,
        loop: Loop,
        connect: Connect,
        *,
        slots: int,
        channels: int,
        timeout_ns: int,
        source: IdSource,
        choose: Callable[[], int] | None = None,
        learn: Learn | None = None,
        streaming: Streaming = NO_STREAMS,
        talks: Sequence[Talk] = (),
    ) -> None:
        self._loop, self._ledger = loop, Ledger(loop, source.draw, choose)
        alone = slots <= channels
        self.channels = [
            Channel(connect, self._ledger, loop.now_ns, alone=alone) for _ in range(channels)
        ]
        self._slots = [Slot(self.channels[n % channels].submit, n) for n in range(slots)]
        self._replies = Replies(learn, lambda callback: loop.call_at(0, callback))
        self._source, self._timeout_ns, self._streaming = source, timeout_ns, streaming
        self._talks = talks
        self._interrupted = False

    def connect(self, count: int) -> str:
        """Open `count` channels; returns why one could not be opened, else an empty string."""
        deadline_ns = self._loop.now_ns() + self._timeout_ns
        channels = self.channels[:count]
        for channel in channels:
            channel.open()

        def check() -> None:
            now_ns = self._loop.now_ns()
            waiting = any(not channel.is_open() for channel in channels)
            if not waiting or self._failure() or now_ns > deadline_ns:
                self._loop.stop()
            else:
                self._loop.call_at(now_ns + 1_000_000, check)

        self._loop.call_at(0, check)
        self._loop.run()
        opened = sum(channel.is_open() for channel in channels)
        if opened == len(channels):
            return ""
        why = self._failure() or f"no answer within {self._timeout_ns / 1e9:g} s"
        return f"{opened} of {len(channels)} connections were opened: {why}"

    def ends_idle(self, within_ns: int) -> bool:
        """Wait so long, with nothing to send; returns whether a peer has closed meanwhile."""
        before = sum(channel.is_open() for channel in self.channels)
        self._loop.call_at(self._loop.now_ns() + within_ns, self._loop.stop)
        self._loop.run()
        return sum(channel.is_open() for channel in self.channels) < before

    def interrupt(self) -> None:
        """End the run soon; exchanges in flight count as cancelled."""
        self._interrupted = True

    def run(
        self,
        pacing: Pacing,
        on_progress: Callable[[Progress], None],
        enough: Callable[[RowRecorder], bool] = lambda _record: False,
    ) -> Window:
        """Run until the pacing or `enough` ends it; exchanges in flight are finished."""
        self._on_progress, self._enough, self._gave_up = on_progress, enough, ""
        self._had_enough = False
        loop, ledger = self._loop, self._ledger
        recorder = RowRecorder(self._replies, Spill())
        streams = StreamRecorder(self._streaming, loop.now_ns, loop.call_at)
        self._dispatch = dispatch_of(self._talks, pacing, ledger, loop)
        with _no_garbage_collection() as pauses_s:
            loop.stalled_ns = loop.longest_stall_ns = 0
            cpu_s = process_time()
            self._began_ns = loop.now_ns()
            ledger.open(recorder, streams, self._dispatch.freed, self._began_ns)
            loop.call_at(self._began_ns + TICK_NS, self._tick)
            loop.call_at(self._began_ns + self._timeout_ns, self._expire)
            self._dispatch.begin(self._slots, self._began_ns)
            if self._dispatch.active():
                loop.run()
            cpu_s = process_time() - cpu_s
        loop.clear_timers()
        recorder.close()
        before = ledger.drawn_before
        return Window(
            recorder=recorder,
            streams=streams,
            ids=self._source.since(before),
            cpu_s=cpu_s,
            asked_rps=pacing.asked_rps,
            stalled_ns=loop.stalled_ns,
            longest_stall_ns=loop.longest_stall_ns,
            gc_pause_s=sum(pauses_s),
            had_enough=self._had_enough,
            interrupted=self._interrupted,
            gave_up=self._gave_up,
        )

    # ── periodic work ────────────────────────────────────────────────────────────────────────

    def _tick(self) -> None:
        now_ns, ledger = self._loop.now_ns(), self._ledger
        if self._dispatch.idle():
            ledger.heard_ns = now_ns
        ledger.heard_ns = max(ledger.heard_ns, *(slot.heard_ns() for slot in self._slots))
        silent_ns = now_ns - ledger.heard_ns
        if self._interrupted:
            self._halt(now_ns)
        elif silent_ns > max(PATIENCE_NS, 2 * self._timeout_ns):
            self._gave_up = f"no reply came for {silent_ns / 1e9:.0f} s"
            if failure := self._failure():
                self._gave_up += f" ({failure})"
            self._halt(now_ns)
        elif not self._had_enough and self._enough(ledger.recorder):
            self._had_enough = True
            self._dispatch.finish()
        self._dispatch.drop_late(now_ns, self._timeout_ns)
        self._on_progress(_progress(ledger, now_ns - self._began_ns))
        if self._dispatch.active():
            self._loop.call_at(self._loop.now_ns() + TICK_NS, self._tick)

    def _halt(self, now_ns: int) -> None:
        """Start nothing more, and cancel what is in flight."""
        self._dispatch.stop(now_ns)
        for slot in self._slots:
            if slot.ids:
                self._end(slot, now_ns, Outcome.CANCELLED, "cancelled")

    def _expire(self) -> None:
        """End the exchanges that have timed out; run again when the next one may."""
        now_ns = self._loop.now_ns()
        next_ns = now_ns + min(self._timeout_ns, self._streaming.timeout_ns)
        for slot in self._slots:
            if not slot.ids:
                continue
            until_ns, what, limit_ns = self._limit(slot)
            if now_ns >= until_ns:
                reason = f"no {what} within {limit_ns / 1e9:g} s"
                self._end(slot, now_ns, Outcome.TIMED_OUT, reason)
            else:
                next_ns = min(next_ns, until_ns)
        self._loop.call_at(next_ns, self._expire)

    def _limit(self, slot: Slot) -> tuple[int, str, int]:
        """An exchange's deadline, what it waits for, and the timeout that applies."""
        timeout_ns, whole_ns = self._timeout_ns, self._streaming.timeout_ns
        if not slot.sent_ns:
            return max(slot.asked_ns, slot.ready_ns) + timeout_ns, "connection", timeout_ns
        if slot.stream is None:
            return slot.sent_ns + timeout_ns, "reply", timeout_ns
        last_ns = slot.heard_ns()
        gap_ns = (last_ns or slot.sent_ns) + timeout_ns
        if slot.sent_ns + whole_ns < gap_ns:
            return slot.sent_ns + whole_ns, "end of the stream", whole_ns
        return gap_ns, "more of the stream" if last_ns else "event", timeout_ns

    def _end(self, slot: Slot, now_ns: int, outcome: Outcome, reason: str) -> None:
        if slot.carrier is not None:
            slot.carrier.abandon(slot)
        slot.error = reason
        self._ledger.finished(slot, 0, now_ns, Stamp.USER, outcome)

    def _failure(self) -> str:
        return next((channel.failure for channel in self.channels if channel.failure), "")


@contextmanager
def _no_garbage_collection() -> Iterator[list[float]]:
    """Collect garbage first, then disable it; other code may still trigger a collection.

    Yields how long each collection took, in s.
    """
    pauses_s: list[float] = []

    def note(phase: str, _info: dict[str, int]) -> None:
        pauses_s.append(-perf_counter() if phase == "start" else pauses_s.pop() + perf_counter())

    gc.collect()
    gc.disable()
    gc.callbacks.append(note)
    try:
        yield pauses_s
    finally:
        gc.callbacks.remove(note)
        gc.enable()


def _progress(ledger: Ledger, elapsed_ns: int) -> Progress:
    """Sum up the rows so far; costs about 20 µs, within the window."""
    recorder = ledger.recorder
    recent_ns = sorted(recorder.recent_ns(RECENT).tolist())
    middle_ms = recent_ns[len(recent_ns) // 2] / 1e6 if recent_ns else 0.0
    return Progress(
        ledger.started, len(recorder), elapsed_ns / 1e9, middle_ms, ledger.streams.tokens
    )

"""The engine: keeps C exchanges in flight and writes one row for each that ends.

Within the window, replies are stored rather than parsed, no spans are created, and no garbage is
collected. A recording may span several windows; connections stay open between them.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter, process_time

from tracebench.load.engine.channel import Channel, Connect
from tracebench.load.engine.conversations import Talk, dispatch_of
from tracebench.load.engine.dispatch import Ledger
from tracebench.load.engine.loop import Loop
from tracebench.load.engine.pacing import ClosedLoop, Pacing
from tracebench.load.recording.replies import Learn, Replies
from tracebench.load.recording.rows import RowRecorder
from tracebench.load.recording.spill import Spill
from tracebench.load.streams.hanging_up import HangingUp
from tracebench.load.streams.reading import NO_STREAMS, Streaming
from tracebench.load.streams.recorder import StreamRecorder
from tracebench.load.wire.codec import Slot
from tracebench.model.progress import Progress
from tracebench.model.record.columns import PAGE_ROWS
from tracebench.model.record.exchange import Outcome, Stamp
from tracebench.model.record.requests import Ids
from tracebench.tracing.roots.trace_ids import IdSource

TICK_NS = 100_000_000
PATIENCE_NS = 5_000_000_000
"""The run is abandoned after this long or two timeouts, whichever is longer, with no reply."""


@dataclass(slots=True)
class Recording:
    """The rows and counters collected so far by the windows of one recording."""

    recorder: RowRecorder
    streams: StreamRecorder
    drawn_before: int
    """Number of ids drawn before the recording began."""
    ends: list[int] = field(default_factory=list)
    """Number of rows at the end of each window."""
    lasted_ns: list[int] = field(default_factory=list)
    """Duration of each window, up to the end of its last exchange."""
    cpu_s: float = 0.0
    stalled_ns: int = 0
    longest_stall_ns: int = 0
    gc_pause_s: float = 0.0
    had_enough: bool = False
    gave_up: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """A closed recording, made in one window or several."""

    recorder: RowRecorder
    streams: StreamRecorder
    ids: Ids
    """The ids, indexed by the draws in the rows."""
    cpu_s: float
    asked_rps: float
    stalled_ns: int
    longest_stall_ns: int
    gc_pause_s: float
    had_enough: bool
    """Whether the `enough` callback ended the run."""
    interrupted: bool
    gave_up: str
    ends: Sequence[int]
    """See `Recording`; likewise `lasted_ns`."""
    lasted_ns: Sequence[int]


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
        hanging_up: HangingUp | None = None,
    ) -> None:
        self._loop, self._ledger = loop, Ledger(loop, source.draw, choose)
        alone = slots <= channels
        self.channels = [
            Channel(connect, self._ledger, loop.now_ns, alone=alone) for _ in range(channels)
        ]
        self._slots = [Slot(self.channels[n % channels].submit, n) for n in range(slots)]
        self._replies = Replies(learn, lambda callback: loop.call_at(0, callback))
        self._source, self._timeout_ns, self._streaming = source, timeout_ns, streaming
        self._patience_ns = max(PATIENCE_NS, 2 * timeout_ns)
        self._talks = talks
        self._hanging_up = hanging_up
        if hanging_up is not None and hanging_up.counts_tokens:
            self._ledger.tired = self._tired
        self.interrupted = False
        """Whether `interrupt` was called."""
        self._recording: Recording

    def connect(self, count: int) -> str:
        """Open `count` channels; returns why one could not be opened, or an empty string."""
        channels = self.channels[:count]
        for channel in channels:
            channel.open()
        self._wait_for(channels)
        opened = sum(channel.is_open() for channel in channels)
        if opened == len(channels):
            return ""
        why = _failure(channels) or f"no answer within {self._timeout_ns / 1e9:g} s"
        return f"{opened} of {len(channels)} connections were opened: {why}"

    def _wait_for(self, channels: Sequence[Channel]) -> None:
        """Wait until all are open or one has failed."""
        deadline_ns = self._loop.now_ns() + self._timeout_ns

        def check() -> None:
            now_ns = self._loop.now_ns()
            waiting = any(not channel.is_open() for channel in channels)
            if not waiting or _failure(channels) or now_ns > deadline_ns:
                self._loop.stop()
            else:
                self._loop.call_at(now_ns + 1_000_000, check)

        self._loop.call_at(0, check)
        self._loop.run()

    def ends_idle(self, within_ns: int) -> bool:
        """Stay idle for this long; returns whether a peer closed a connection meanwhile."""
        before = sum(channel.is_open() for channel in self.channels)
        self._loop.call_at(self._loop.now_ns() + within_ns, self._loop.stop)
        self._loop.run()
        return sum(channel.is_open() for channel in self.channels) < before

    def interrupt(self) -> None:
        """End the run soon; exchanges in flight count as cancelled."""
        self.interrupted = True

    def run(
        self,
        pacing: Pacing,
        on_progress: Callable[[Progress], None],
        enough: Callable[[RowRecorder], bool] = lambda _record: False,
    ) -> Window:
        """Record one window until the pacing or `enough` ends it; exchanges in flight finish."""
        recording = self.record()
        self.extend(recording, pacing, on_progress, enough)
        return self.close(recording, pacing.asked_rps)

    def record(self) -> Recording:
        """Begin a recording; an earlier one that was not closed is lost."""
        return self._recording_of(self._replies)

    def _recording_of(self, replies: Replies) -> Recording:
        loop = self._loop
        streams = StreamRecorder(self._streaming, loop.now_ns, loop.call_at)
        return Recording(RowRecorder(replies, Spill()), streams, self._ledger.drawn)

    def extend(
        self,
        recording: Recording,
        pacing: Pacing,
        on_progress: Callable[[Progress], None],
        enough: Callable[[RowRecorder], bool] = lambda _record: False,
    ) -> None:
        """Record one more window, until the pacing or `enough` ends it; see `run`."""
        self._recording, self._on_progress, self._enough = recording, on_progress, enough
        loop, ledger = self._loop, self._ledger
        self._dispatch = dispatch_of(self._talks, pacing, ledger, loop)
        recording.streams.go_on()
        with no_garbage_collection() as pauses_s:
            loop.stalled_ns = loop.longest_stall_ns = 0
            cpu_s = process_time()
            self._began_ns = loop.now_ns()
            to = recording.recorder, recording.streams, self._dispatch.freed
            ledger.open(*to, self._began_ns, recording.drawn_before)
            loop.call_at(self._began_ns + TICK_NS, self._tick)
            loop.call_at(self._began_ns + self._soonest_ns(), self._expire)
            self._dispatch.begin(self._slots, self._began_ns)
            if self._dispatch.active():
                loop.run()
            recording.cpu_s += process_time() - cpu_s
        recording.lasted_ns.append(loop.now_ns() - self._began_ns)
        recording.ends.append(len(recording.recorder))
        recording.stalled_ns += loop.stalled_ns
        recording.longest_stall_ns = max(recording.longest_stall_ns, loop.longest_stall_ns)
        recording.gc_pause_s += sum(pauses_s)
        loop.clear_timers()
        recording.recorder.tell(PAGE_ROWS)
        on_progress(self._progress(sum(recording.lasted_ns)))

    def close(self, recording: Recording, asked_rps: float) -> Window:
        """End a recording; `asked_rps` is the requested mean rate, 0 if there was none."""
        recording.recorder.close()
        return Window(
            recorder=recording.recorder,
            streams=recording.streams,
            ids=self._source.since(recording.drawn_before),
            cpu_s=recording.cpu_s,
            asked_rps=asked_rps,
            stalled_ns=recording.stalled_ns,
            longest_stall_ns=recording.longest_stall_ns,
            gc_pause_s=recording.gc_pause_s,
            had_enough=recording.had_enough,
            interrupted=self.interrupted,
            gave_up=recording.gave_up,
            ends=recording.ends,
            lasted_ns=recording.lasted_ns,
        )

    # ── between two windows of a recording ───────────────────────────────────────────────────

    def refresh(self, count: int) -> bool:
        """Reopen dead connections, and send `count` requests that are not recorded.

        Each repeats the first request of its slot, so that no further payloads are used up.

        Args:
            count: number of slots that send a request, starting with those used first.

        Returns:
            Whether at least one did not time out, or `count` is 0.
        """
        self._renew()
        unheard = self._recording_of(Replies(None, lambda _callback: None))
        choose = self._ledger.choose
        self._ledger.choose = None if choose is None else lambda: 0
        try:
            self.extend(unheard, ClosedLoop(requests=count), lambda _progress: None)
        finally:
            self._ledger.choose = choose
        return not count or unheard.recorder.timed_out() < count

    def _renew(self) -> None:
        """Detect connections that peers have closed meanwhile, and reopen them."""
        self._loop.call_at(self._loop.now_ns(), self._loop.stop)
        self._loop.run()
        self._wait_for([channel for channel in self.channels if channel.renew()])

    # ── periodic work ────────────────────────────────────────────────────────────────────────

    def _tick(self) -> None:
        now_ns, ledger, recording = self._loop.now_ns(), self._ledger, self._recording
        if self._dispatch.idle():
            ledger.heard_ns = now_ns
        if self.interrupted:
            self._halt(now_ns)
        elif (silent_ns := self._silent_ns(now_ns)) > self._patience_ns:
            recording.gave_up = f"no reply came for {silent_ns / 1e9:.0f} s"
            if failure := _failure(self.channels):
                recording.gave_up += f" ({failure})"
            self._halt(now_ns)
        elif not recording.had_enough and self._enough(ledger.recorder):
            recording.had_enough = True
            self._dispatch.finish()
        self._dispatch.drop_late(now_ns, self._timeout_ns)
        self._tell()
        self._on_progress(self._progress(sum(recording.lasted_ns) + now_ns - self._began_ns))
        if self._dispatch.active():
            self._loop.call_at(self._loop.now_ns() + TICK_NS, self._tick)

    def _silent_ns(self, now_ns: int) -> int:
        """How long ago a reply ended; if that is too long, how long ago any part of one came.

        A tick must not take longer the more slots there are: it delays replies.
        """
        ledger = self._ledger
        if now_ns - ledger.heard_ns > self._patience_ns:
            ledger.heard_ns = max(ledger.heard_ns, *(slot.heard_ns() for slot in self._slots))
        return now_ns - ledger.heard_ns

    def _progress(self, elapsed_ns: int) -> Progress:
        """Sum up what has been recorded so far."""
        recorder = self._ledger.recorder
        return Progress(
            finished=len(recorder),
            elapsed_s=elapsed_ns / 1e9,
            tokens=self._ledger.streams.tokens,
            in_flight=self._ledger.started - len(recorder),  # each has one row in the end
            latencies=recorder.live.latencies() if recorder.live is not None else {},
        )

    def _tell(self) -> None:
        """Count rows in slices, looking for replies in between."""
        if self._recording.recorder.tell():
            self._loop.call_at(self._loop.now_ns(), self._tell)

    def _halt(self, now_ns: int) -> None:
        """Start nothing more, and cancel what is in flight."""
        self._dispatch.stop(now_ns)
        for slot in self._slots:
            if slot.ids:
                self._end(slot, now_ns, Outcome.CANCELLED, "cancelled")

    def _expire(self) -> None:
        """End exchanges that have timed out, and reschedule for the next deadline."""
        now_ns = self._loop.now_ns()
        next_ns, hanging_up = now_ns + self._soonest_ns(), self._hanging_up
        for slot in self._slots:
            if not slot.ids:
                continue
            until_ns, what, limit_ns = self._limit(slot)
            if hanging_up is not None and (due_ns := hanging_up.due_ns(slot)) < until_ns:
                if now_ns >= due_ns:
                    self._end(slot, now_ns, Outcome.ABANDONED, hanging_up.reason)
                else:
                    next_ns = min(next_ns, due_ns)
            elif now_ns >= until_ns:
                reason = f"no {what} within {limit_ns / 1e9:g} s"
                self._end(slot, now_ns, Outcome.TIMED_OUT, reason)
            else:
                next_ns = min(next_ns, until_ns)
        self._loop.call_at(next_ns, self._expire)

    def _soonest_ns(self) -> int:
        """How long after its start an exchange may have to be ended, at least."""
        soonest_ns = min(self._timeout_ns, self._streaming.timeout_ns)
        return soonest_ns if (one := self._hanging_up) is None else min(soonest_ns, one.after_ns)

    def _tired(self, slot: Slot) -> bool:
        """Hang up the stream of a slot if it has brought enough tokens."""
        hanging_up = self._hanging_up
        if hanging_up is None or not hanging_up.has_enough(slot):
            return False
        self._ledger.heard_ns = now_ns = self._loop.now_ns()
        self._end(slot, now_ns, Outcome.ABANDONED, hanging_up.reason)
        return True

    def _limit(self, slot: Slot) -> tuple[int, str, int]:
        """An exchange's deadline (ns), what it waits for, and the timeout that applies (ns)."""
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


def _failure(channels: Sequence[Channel]) -> str:
    return next((channel.failure for channel in channels if channel.failure), "")


@contextmanager
def no_garbage_collection() -> Iterator[list[float]]:
    """Collect garbage first, then disable it; other code may still trigger a collection.

    If collection is disabled already, as in a nested block, it only times collections.

    Yields:
        A list that grows by the duration of each collection, in s.
    """
    pauses_s: list[float] = []

    def note(phase: str, _info: dict[str, int]) -> None:
        pauses_s.append(-perf_counter() if phase == "start" else pauses_s.pop() + perf_counter())

    if outermost := gc.isenabled():
        gc.collect()
        gc.disable()
    gc.callbacks.append(note)
    try:
        yield pauses_s
    finally:
        gc.callbacks.remove(note)
        if outermost:
            gc.enable()

"""Measure one target: connect, warm up, run until it may end, and read the record."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from tracebench.analysis.findings.client.load_generator import NO_PORT_LEFT, SPREAD
from tracebench.load.engine import kernel
from tracebench.load.engine.channel import Connecting
from tracebench.load.engine.engine import Engine, Recording
from tracebench.load.engine.kernel import PathState
from tracebench.load.engine.loop import Loop
from tracebench.load.engine.pacing import ClosedLoop, Part, pacing, warm_up
from tracebench.load.engine.target import PreparedTarget
from tracebench.load.measuring.read_window import measured, timeout_ns
from tracebench.load.measuring.until_stable import UntilStable
from tracebench.load.progress import Watcher
from tracebench.load.recording.live_counts import LiveCounts
from tracebench.load.recording.rows import RowRecorder
from tracebench.load.streams.hanging_up import HangingUp
from tracebench.load.wire import grpc_reply, http1
from tracebench.model.errors import TargetError, UsageError
from tracebench.model.measurement import Measurement
from tracebench.model.plan import Workload
from tracebench.model.progress import Progress
from tracebench.model.record.exchange import Nanoseconds
from tracebench.model.shards import WHOLE, Shard
from tracebench.system.interrupt import interruptible
from tracebench.system.open_files import allow_open_files
from tracebench.tracing.roots.trace_ids import IdSource

_FILES_A_CONNECTION = 3
"""File descriptors per connection: its socket, its file of requests, and that file's mapping."""
_FILES_BESIDE = 128
_MOST_TRIED: Final = 1_000
"""Most latencies of trial requests."""


def measure(prepared: PreparedTarget, load: Workload, watcher: Watcher) -> Measurement:
    """Load the target as planned.

    An interrupt (SIGINT) ends the run early; the measurements so far are returned.

    Raises:
        TargetError: not all connections can be opened.
        UsageError: this system does not allow that many connections.
    """
    allow_connections(channel_count(prepared, load))
    with under_load(prepared, load, detailed=watcher.detailed) as target:
        with interruptible(target.engine.interrupt), target.observer.observing():
            enough = {} if load.until_stable is None else {"enough": UntilStable(load.until_stable)}
            if target.warm_up():
                target.engine.extend(target.record(), target.pacing, watcher.progress, **enough)
        target.leave()
    return target.measurement(watcher)


def channel_count(prepared: PreparedTarget, load: Workload) -> int:
    """The number of connections that the load uses."""
    shared = load.connections if prepared.multiplexed else None
    return min(shared or load.concurrency, load.concurrency)


class UnderLoad:
    """One target and the engine that loads it: a warm-up, then windows of one recording.

    Args:
        prepared: the target.
        load: the planned load; its slots and connections are those of the shard alone.
        engine: opened and closed by the caller.
        shard: which part of the requests is sent here.
        detailed: see `Watcher.detailed`.
    """

    def __init__(
        self,
        prepared: PreparedTarget,
        load: Workload,
        engine: Engine,
        shard: Shard = WHOLE,
        *,
        detailed: bool = False,
    ) -> None:
        self.prepared, self.load, self.engine = prepared, load, engine
        self._shard, self._detailed = shard, detailed
        self.pacing = pacing(load, shard)
        """Pacing of the whole run."""
        self.observer = kernel.Observer()
        self.same_host = False
        """Whether the server runs on this machine."""
        self._recording: Recording | None = None
        self.states: list[PathState] = []
        """TCP_INFO of all connections, once the load is over."""

    def connect(self) -> None:
        """Open the connections: all for a closed loop, one for an open loop.

        Raises:
            TargetError: a connection cannot be opened.
        """
        channels, slots = self.engine.channels, self.load.concurrency
        if why := self.engine.connect(1 if self.load.is_open else len(channels)):
            some = any(channel.is_open() for channel in channels)
            doubt = f": is --concurrency {slots} too high?" if some else ""
            if NO_PORT_LEFT in why:
                doubt = f": {SPREAD}"
            raise TargetError(f"{self.prepared.address}: {why}{doubt}")
        self.same_host = channels[0].is_local()

    def warm_up(self) -> bool:
        """Send the warm-up requests; returns whether the run may go on."""
        if not self.load.warmup_requests:
            return True
        warmed = self.engine.record()
        self.engine.extend(warmed, warm_up(self.load, self._shard), lambda _progress: None)
        if not self.engine.interrupted and not warmed.gave_up:
            return True
        self.record().gave_up = warmed.gave_up
        return False

    def record(self) -> Recording:
        """The recording; the first call begins it."""
        if self._recording is None:
            self._recording = self.engine.record()
            if self._detailed:
                self._recording.recorder.watch(_live_counts(self.prepared))
        return self._recording

    # ── several targets by turns ─────────────────────────────────────────────────────────────

    @property
    def gave_up(self) -> str:
        """Why nothing more is sent; empty while the target answers."""
        return self.record().gave_up

    @property
    def seen(self) -> RowRecorder:
        """What was measured so far."""
        return self.record().recorder

    def interrupt(self) -> None:
        """End the run soon; exchanges in flight are cancelled."""
        self.engine.interrupt()

    def end_as_stable(self) -> None:
        """Note that the run ends because its latency is precise enough."""
        self.record().had_enough = True

    def try_out(self, least: int, within_ns: int) -> Nanoseconds | None:
        """Warm up, then send trial requests, which do not count, to estimate the latency.

        Args:
            least: send at least so many.
            within_ns: their time limit.

        Returns:
            Their latencies, in ns; None if there are none.
        """
        if self.engine.interrupted or not self.warm_up():
            return None
        tried = self.engine.record()
        count = max(least, self._wakers())
        self.engine.extend(tried, ClosedLoop(count, within_ns), lambda _progress: None)
        self.record().gave_up = tried.gave_up
        latencies_ns = tried.recorder.latencies_ns(_MOST_TRIED)
        return latencies_ns if len(latencies_ns) else None

    def wake(self) -> bool:
        """Reopen dead connections, and send requests that do not count; whether to go on."""
        if not self.engine.refresh(self._wakers()) and not self.engine.interrupted:
            limit_s = self.prepared.timeout_s
            self.record().gave_up = f"between two blocks no reply came within {limit_s:g} s"
        return not self.engine.interrupted and not self.gave_up

    def send(self, part: Part, on_progress: Callable[[Progress], None]) -> None:
        """Send one block."""
        recording = self.record()
        self.engine.extend(recording, part.pacing, on_progress)
        recording.lasted_ns[-1] = max(recording.lasted_ns[-1], part.lasts_ns)

    def block(self, part: Part, on_progress: Callable[[Progress], None]) -> None:
        """Wake the target up, and send one block."""
        with self.observer.observing():
            if self.wake():
                self.send(part, on_progress)

    def _wakers(self) -> int:
        """How many requests wake a target up: one per slot, or per connection in an open loop."""
        if self.load.is_open:
            return sum(one.was_opened for one in self.engine.channels)
        return self.load.concurrency

    # ── after the load ───────────────────────────────────────────────────────────────────────

    def leave(self) -> None:
        """Save the state of the connections before they are closed."""
        channels = self.engine.channels
        self.states = [state for channel in channels for state in channel.path_states()]

    def measurement(self, watcher: Watcher) -> Measurement:
        """Read the record; the engine may already be closed."""
        window = self.engine.close(self.record(), self.pacing.asked_rps)
        return replace(
            measured(window, self.prepared, self.states, self.load, watcher),
            same_host=self.same_host,
            unix_socket=self.prepared.endpoint.unix_path is not None,
            compressed_share=self.prepared.compressed_share(),
            **self.observer.machine()._asdict(),
        )


@contextmanager
def under_load(
    prepared: PreparedTarget,
    load: Workload,
    shard: Shard = WHOLE,
    ids: IdSource | None = None,
    *,
    detailed: bool,
) -> Iterator[UnderLoad]:
    """Connect to a target, ready to load it; see `UnderLoad`.

    Args:
        prepared: the target.
        load: the planned load.
        shard: which part of the requests is sent here.
        ids: the source of their ids; None: a new one.
        detailed: see `Watcher.detailed`.

    Raises:
        TargetError: not all connections can be opened.
    """
    hanging_up = None
    if load.hang_up_after is not None:
        hanging_up = HangingUp(load.hang_up_after, load.seed, prepared.streaming, shard)
    count = channel_count(prepared, load)
    with engine_for(prepared, load.concurrency, count, ids, hanging_up) as engine:
        target = UnderLoad(prepared, load, engine, shard, detailed=detailed)
        target.connect()
        yield target


@contextmanager
def engine_for(
    prepared: PreparedTarget,
    slots: int,
    channels: int,
    ids: IdSource | None = None,
    hanging_up: HangingUp | None = None,
) -> Iterator[Engine]:
    """An engine that is not connected yet; it and its connections close with the block."""
    loop = Loop()
    connecting = Connecting(prepared, loop, channels)
    engine = Engine(
        loop,
        connecting,
        slots=slots,
        channels=channels,
        timeout_ns=int(prepared.timeout_s * 1e9),
        source=ids or IdSource(),
        choose=prepared.variants.next if prepared.variants is not None else None,
        learn=prepared.learn,
        streaming=prepared.streaming,
        talks=prepared.talks.of_slots if prepared.talks is not None else (),
        hanging_up=hanging_up,
    )
    try:
        yield engine
    finally:
        for channel in engine.channels:
            channel.close()
        connecting.close()
        loop.close()


def allow_connections(count: int) -> None:
    """Raise the limit on open files if necessary.

    Raises:
        UsageError: this system does not allow that many connections.
    """
    needed = _FILES_A_CONNECTION * count + _FILES_BESIDE
    allowed = allow_open_files(needed)
    if allowed < needed:
        raise UsageError(
            f"{count} connections may need {needed} open files, and this system allows {allowed}: "
            "lower --concurrency, or raise the limit (ulimit -n)"
        )


def _live_counts(prepared: PreparedTarget) -> LiveCounts:
    status_of = grpc_reply.status_of if prepared.multiplexed else http1.status_of
    return LiveCounts(status_of, prepared.read, timeout_ns(prepared))

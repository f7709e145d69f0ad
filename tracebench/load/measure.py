"""Measure one target: connect, warm up, run until it may end, and read the record."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Final, NamedTuple

from tracebench.analysis.findings.client.load_generator import NO_PORT_LEFT, SPREAD
from tracebench.analysis.statistics.steady_state import stable
from tracebench.load.engine import kernel
from tracebench.load.engine.channel import Connecting
from tracebench.load.engine.engine import Engine, Recording, Window
from tracebench.load.engine.kernel import PathState
from tracebench.load.engine.loop import Loop
from tracebench.load.engine.pacing import ClosedLoop, done_share, pacing, warm_up
from tracebench.load.engine.target import PreparedTarget
from tracebench.load.progress import Watcher
from tracebench.load.recording.live_counts import LiveCounts
from tracebench.load.recording.read_record import ReadRecord, Record, hidden, read_record
from tracebench.load.recording.rows import RowRecorder
from tracebench.load.streams.hanging_up import HangingUp
from tracebench.load.streams.tokens import asked_tokens
from tracebench.load.wire import grpc_reply, http1
from tracebench.model.errors import TargetError, UsageError
from tracebench.model.measurement import Measurement
from tracebench.model.plan import Stability, Workload
from tracebench.model.record.exchange import Exchange
from tracebench.model.record.requests import SCHEDULED, Requests
from tracebench.model.record.server_times import ServerTimes
from tracebench.model.record.streams import Streams
from tracebench.model.results.result import TcpInfo
from tracebench.system.interrupt import interruptible
from tracebench.system.open_files import allow_open_files
from tracebench.tracing.roots.trace_ids import IdSource

# When a run may end: as soon as a statistic is known well enough (`--until-stable`).

_MOST_LOOKED_AT: Final = 20_000
"""Most latencies examined per check, evenly spaced: a check in the window takes a few ms."""
_GROWTH: Final = 1.1
"""Factor by which the number of requests must grow before the next check."""
_FEWEST: Final = 100
_MARGIN: Final = 0.95
"""Allowance for the last replies, which slightly widen the interval again."""


class UntilStable:
    """Checks a run in progress from time to time."""

    def __init__(self, asked: Stability) -> None:
        self._asked = asked
        self._next_look = _FEWEST
        self._held = False

    def __call__(self, recorder: RowRecorder) -> bool:
        """Whether the run may end: two consecutive checks found the statistic precise enough."""
        if len(recorder) < self._next_look:
            return False
        self._next_look = int(len(recorder) * _GROWTH) + 1
        held, self._held = self._held, self._look(recorder)
        return held and self._held

    def _look(self, recorder: RowRecorder) -> bool:
        values_ns = recorder.latencies_ns(_MOST_LOOKED_AT)
        return bool(stable(values_ns, self._asked.statistic, _MARGIN * self._asked.share))


# Measure one target: connect, warm up, run, and read the record.

_FILES_A_CONNECTION = 3
"""File descriptors per connection: its socket, its file of requests, and that file's mapping."""
_FILES_BESIDE = 128


def measure(prepared: PreparedTarget, load: Workload, watcher: Watcher) -> Measurement:
    """Load the target as planned.

    An interrupt (SIGINT) ends the run early; the measurements so far are returned.

    Raises:
        TargetError: not all connections can be opened.
        UsageError: this system does not allow that many connections.
    """
    allow_connections(channel_count(prepared, load))
    with under_load(prepared, load) as target:
        target.detailed = watcher.detailed
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
        load: the planned load.
        engine: opened and closed by the caller.
    """

    def __init__(self, prepared: PreparedTarget, load: Workload, engine: Engine) -> None:
        self.prepared, self.load, self.engine = prepared, load, engine
        self.pacing = pacing(load)
        """Pacing of the whole run."""
        self.observer = kernel.Observer()
        self.same_host = self.detailed = False
        """Whether the server runs on this machine; see `Watcher.detailed`."""
        self._recording: Recording | None = None
        self._states: list[PathState] = []

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
        self.engine.extend(warmed, warm_up(self.load), lambda _progress: None)
        if not self.engine.interrupted and not warmed.gave_up:
            return True
        self.record().gave_up = warmed.gave_up
        return False

    def record(self) -> Recording:
        """The recording; the first call begins it."""
        if self._recording is None:
            self._recording = self.engine.record()
            if self.detailed:
                self._recording.recorder.watch(_live_counts(self.prepared))
        return self._recording

    def leave(self) -> None:
        """Save the state of the connections before they are closed."""
        channels = self.engine.channels
        self._states = [state for channel in channels for state in channel.path_states()]

    def measurement(self, watcher: Watcher) -> Measurement:
        """Read the record; the engine may already be closed."""
        window = self.engine.close(self.record(), self.pacing.asked_rps)
        return replace(
            _load(window, self.prepared, self._states, self.load, watcher),
            same_host=self.same_host,
            unix_socket=self.prepared.endpoint.unix_path is not None,
            compressed_share=self.prepared.compressed_share(),
            **self.observer.machine()._asdict(),
        )


@contextmanager
def under_load(prepared: PreparedTarget, load: Workload) -> Iterator[UnderLoad]:
    """Connect to a target, ready to load it.

    Raises:
        TargetError: not all connections can be opened.
    """
    hanging_up = None
    if load.hang_up_after is not None:
        hanging_up = HangingUp(load.hang_up_after, load.seed, prepared.streaming)
    count = channel_count(prepared, load)
    with _engine(prepared, load.concurrency, count, hanging_up) as engine:
        target = UnderLoad(prepared, load, engine)
        target.connect()
        yield target


@contextmanager
def _engine(
    prepared: PreparedTarget, slots: int, channels: int, hanging_up: HangingUp | None = None
) -> Iterator[Engine]:
    loop = Loop()
    connecting = Connecting(prepared, loop, channels)
    engine = Engine(
        loop,
        connecting,
        slots=slots,
        channels=channels,
        timeout_ns=int(prepared.timeout_s * 1e9),
        source=IdSource(),
        choose=prepared.variants.__next__ if prepared.variants is not None else None,
        learn=prepared.learn,
        streaming=prepared.streaming,
        talks=prepared.talks,
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


class Once(NamedTuple):
    """A single exchange."""

    exchange: Exchange
    times: ServerTimes
    """Timings reported by the server."""
    streams: Streams
    """The stream of the reply; empty if it was not streamed."""
    closes: bool
    """Whether the server closed the connection although it had promised to keep it open."""


def once(prepared: PreparedTarget) -> Once:
    """Make one exchange through the engine, with all its stamps.

    Raises:
        TargetError: no connection can be made.
    """
    if why := greet(prepared):
        raise TargetError(f"{prepared.address}: {why}")
    return attempt(prepared)


def greet(prepared: PreparedTarget) -> str:
    """Connect until requests can be sent; returns the reason of a failure, or an empty string."""
    with _engine(prepared, slots=1, channels=1) as engine:
        return engine.connect(1).partition(": ")[2]


def attempt(prepared: PreparedTarget, wait_s: float = 0.0) -> Once:
    """Make one exchange as the run will; without a connection, its `reason` says why.

    Args:
        prepared: the target.
        wait_s: how long to watch, after a streamed reply, for the server closing a connection
            that it promised to keep open.
    """
    with _engine(prepared, slots=1, channels=1) as engine:
        window = engine.run(ClosedLoop(requests=1), lambda _progress: None)
        record, streams = _read(window, prepared, Watcher())
        closes = bool(wait_s and len(streams)) and engine.ends_idle(int(wait_s * 1e9))
    kept = next(window.recorder.replies.whole(), None)
    exchange = record.requests.exchange(0)
    if kept is not None:
        reply, reason = prepared.read(kept)
        exchange = exchange._replace(reply=hidden(reply, prepared.secrets) if reason else reply)
    return Once(exchange, record.times, streams, closes)


def _timeout_ns(prepared: PreparedTarget) -> int:
    """How long a reply may take before its failure counts as a time-out."""
    return prepared.streaming.timeout_ns if prepared.streams else int(prepared.timeout_s * 1e9)


def _live_counts(prepared: PreparedTarget) -> LiveCounts:
    status_of = grpc_reply.status_of if prepared.multiplexed else http1.status_of
    return LiveCounts(status_of, prepared.read, _timeout_ns(prepared))


def _read(window: Window, prepared: PreparedTarget, watcher: Watcher) -> tuple[Record, Streams]:
    def tell(what: str, done: int, of: int) -> None:
        watcher.waits(f"reading the {what}: {done:,} of {of:,}")

    streams = window.streams.finish(partial(tell, "streams"))
    facts = (_timeout_ns(prepared), prepared.secrets, streams.faults)
    copies = prepared.unsampled_from
    how = ReadRecord(prepared.read, window.ids, *facts, copies, streams.timings)
    return read_record(window.recorder, how, partial(tell, "replies")), replace(streams, timings={})


def _load(
    window: Window,
    prepared: PreparedTarget,
    states: list[PathState],
    load: Workload,
    watcher: Watcher,
) -> Measurement:
    record, streams = _read(window, prepared, watcher)
    blocks_s = tuple(one / 1e9 for one in window.lasted_ns) if len(window.ends) > 1 else ()
    duration_s = sum(blocks_s) or record.requests.duration_ns / 1e9
    ramp_up_s = load.ramp_up_s or 0.0
    finished = _finished(record.requests, ramp_up_s)
    return Measurement(
        requests=record.requests,
        times=record.times,
        streams=streams if len(streams) else None,
        asked_tokens=asked_tokens(one.body for one in prepared.repeated)
        if prepared.streams
        else None,
        agreement=prepared.agreement,
        hang_up_after="" if load.hang_up_after is None else str(load.hang_up_after),
        duration_s=duration_s,
        block_ends=tuple(window.ends) if blocks_s else (),
        blocks_s=blocks_s,
        cpu_s=window.cpu_s,
        tcp=_tcp(states),
        asked_rps=window.asked_rps,
        until_stable=load.until_stable,
        stable=window.had_enough,
        stalled_s=window.stalled_ns / 1e9,
        longest_stall_s=window.longest_stall_ns / 1e9,
        gc_pause_s=window.gc_pause_s,
        record_problem=window.recorder.spill.problem,
        interrupted=window.interrupted,
        done_share=done_share(load, finished, max(duration_s - ramp_up_s, 0.0)),
        gave_up=prepared.secrets.hide(window.gave_up),
    )


def _finished(requests: Requests, ramp_up_s: float) -> int:
    """How many requests have ended by themselves, without those of a ramp-up."""
    if not ramp_up_s or not len(requests):
        return sum(rows.finished for rows in requests.pages())
    begin_ns = requests.due_ns[0] + round(ramp_up_s * 1e9)
    return len(requests.places(lambda rows: rows[SCHEDULED] >= begin_ns))


def _tcp(states: list[PathState]) -> TcpInfo | None:
    if not states:
        return None
    return TcpInfo(
        min_rtt_ms=median(state.min_rtt_us for state in states) / 1e3,
        rtt_ms=median(state.rtt_us for state in states) / 1e3,
        retransmits=sum(state.retransmits for state in states),
        connections=len(states),
    )

"""Measure one target: connect, warm up, run until it may end, and read the record."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Final, NamedTuple

from tracebench.analysis.statistics.steady_state import stable
from tracebench.load.engine import kernel
from tracebench.load.engine.channel import Connecting
from tracebench.load.engine.engine import Engine, Window
from tracebench.load.engine.kernel import PathState
from tracebench.load.engine.loop import Loop
from tracebench.load.engine.pacing import ClosedLoop, done_share, pacing, warm_up
from tracebench.load.engine.progress import Watcher
from tracebench.load.engine.target import PreparedTarget
from tracebench.load.recording.read_record import ReadRecord, Record, hidden, read_record
from tracebench.load.recording.rows import RowRecorder
from tracebench.load.streams.tokens import asked_tokens
from tracebench.model.errors import TargetError, UsageError
from tracebench.model.exchange import Exchange
from tracebench.model.measurement import Measurement
from tracebench.model.plan import Stability, Workload
from tracebench.model.result import TcpInfo
from tracebench.model.server_times import ServerTimes
from tracebench.model.streams import Streams
from tracebench.system.interrupt import interruptible
from tracebench.system.open_files import allow_open_files
from tracebench.tracing.roots.trace_ids import IdSource

# When a run may end: as soon as a statistic is known well enough (`--until-stable`).

_MOST_LOOKED_AT: Final = 20_000
"""Evenly spaced latencies, so that a check within the window takes only a few ms."""
_GROWTH: Final = 1.1
"""By what factor the run must grow before the next check is worthwhile."""
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
"""Its socket, the file that holds its requests, and the mapping of that file."""
_FILES_BESIDE = 128


def measure(prepared: PreparedTarget, load: Workload, watcher: Watcher) -> Measurement:
    """Load the target as planned.

    An interrupt (SIGINT) ends the run early; the measurements so far are returned.

    Raises:
        TargetError: not all connections can be opened.
        UsageError: this system does not allow that many connections.
    """
    slots = load.concurrency
    shared = load.connections if prepared.multiplexed else None
    channels = min(shared or slots, slots)
    _allow_connections(channels)
    with _engine(prepared, slots, channels) as engine:
        if why := engine.connect(1 if load.is_open else len(engine.channels)):
            some = any(channel.is_open() for channel in engine.channels)
            doubt = f": is --concurrency {slots} too high?" if some else ""
            raise TargetError(f"{prepared.address}: {why}{doubt}")
        with interruptible(engine.interrupt):
            same_host, before = engine.channels[0].is_local(), kernel.Moment.now()
            window = _run(engine, load, watcher)
            machine = kernel.since(before)
        states = [state for channel in engine.channels for state in channel.path_states()]
    return replace(
        _load(window, prepared, states, load, watcher),
        same_host=same_host,
        unix_socket=prepared.endpoint.unix_path is not None,
        compressed_share=prepared.compressed_share(),
        **machine._asdict(),
    )


@contextmanager
def _engine(prepared: PreparedTarget, slots: int, channels: int) -> Iterator[Engine]:
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
    )
    try:
        yield engine
    finally:
        for channel in engine.channels:
            channel.close()
        connecting.close()
        loop.close()


def _allow_connections(count: int) -> None:
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
    """What the server said of it."""
    streams: Streams
    """Its stream, where the reply was one."""
    closes: bool
    """The server ended the connection that it had promised to keep."""


def once(prepared: PreparedTarget) -> Once:
    """Make one exchange through the engine, with all its stamps.

    Raises:
        TargetError: no connection can be made.
    """
    if why := greet(prepared):
        raise TargetError(f"{prepared.address}: {why}")
    return attempt(prepared)


def greet(prepared: PreparedTarget) -> str:
    """Connect until requests can be sent; returns why that failed, empty on success."""
    with _engine(prepared, slots=1, channels=1) as engine:
        return engine.connect(1).partition(": ")[2]


def attempt(prepared: PreparedTarget, wait_s: float = 0.0) -> Once:
    """Make one exchange as the run will; if no connection can be made, its reason says why.

    Args:
        prepared: the target.
        wait_s: after a reply that streamed, see for so long whether the server ends the connection
            that it has promised to keep.
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


def _run(engine: Engine, load: Workload, watcher: Watcher) -> Window:
    if load.warmup_requests:
        warmed = engine.run(warm_up(load), lambda _progress: None)
        if warmed.interrupted or warmed.gave_up:
            return replace(warmed, recorder=RowRecorder.empty())
    if load.until_stable is not None:
        return engine.run(pacing(load), watcher.progress, UntilStable(load.until_stable))
    return engine.run(pacing(load), watcher.progress)


def _read(window: Window, prepared: PreparedTarget, watcher: Watcher) -> tuple[Record, Streams]:
    def tell(what: str, done: int, of: int) -> None:
        watcher.waits(f"reading the {what}: {done:,} of {of:,}")

    streams = window.streams.finish(partial(tell, "streams"))
    timeout_ns = prepared.streaming.timeout_ns if prepared.streams else prepared.timeout_s * 1e9
    facts = (int(timeout_ns), prepared.secrets, streams.faults, streams.timings)
    how = ReadRecord(prepared.read, window.ids, *facts)
    return read_record(window.recorder, how, partial(tell, "replies")), replace(streams, timings={})


def _load(
    window: Window,
    prepared: PreparedTarget,
    states: list[PathState],
    load: Workload,
    watcher: Watcher,
) -> Measurement:
    record, streams = _read(window, prepared, watcher)
    duration_s = record.requests.duration_ns / 1e9
    finished = sum(rows.finished for rows in record.requests.pages())
    return Measurement(
        requests=record.requests,
        times=record.times,
        streams=streams if len(streams) else None,
        asked_tokens=asked_tokens(one.body for one in prepared.repeated)
        if prepared.streams
        else None,
        agreement=prepared.agreement,
        duration_s=duration_s,
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
        done_share=done_share(load, finished, duration_s),
        gave_up=prepared.secrets.hide(window.gave_up),
    )


def _tcp(states: list[PathState]) -> TcpInfo | None:
    if not states:
        return None
    return TcpInfo(
        min_rtt_ms=median(state.min_rtt_us for state in states) / 1e3,
        rtt_ms=median(state.rtt_us for state in states) / 1e3,
        retransmits=sum(state.retransmits for state in states),
        connections=len(states),
    )

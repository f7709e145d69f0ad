"""Reads the record of a window, and sums it up as one measurement."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from statistics import median

from tracebench.load.engine.engine import Window
from tracebench.load.engine.kernel import PathState
from tracebench.load.engine.pacing import done_share
from tracebench.load.engine.target import PreparedTarget
from tracebench.load.progress import Watcher
from tracebench.load.recording.read_record import ReadRecord, Record, read_record
from tracebench.load.streams.tokens import asked_tokens
from tracebench.model.measurement import Measurement
from tracebench.model.plan import Workload
from tracebench.model.record.requests import SCHEDULED, Requests
from tracebench.model.record.streams import Streams
from tracebench.model.results.result import TcpInfo


def timeout_ns(prepared: PreparedTarget) -> int:
    """How long a reply may take before its failure counts as a time-out."""
    return prepared.streaming.timeout_ns if prepared.streams else int(prepared.timeout_s * 1e9)


def read(window: Window, prepared: PreparedTarget, watcher: Watcher) -> tuple[Record, Streams]:
    """Read a window's record: requests, server times, streams."""

    def tell(what: str, done: int, of: int) -> None:
        watcher.waits(f"reading the {what}: {done:,} of {of:,}")

    streams = window.streams.finish(partial(tell, "streams"))
    facts = (timeout_ns(prepared), prepared.secrets, streams.faults)
    copies = prepared.unsampled_from
    how = ReadRecord(prepared.read, window.ids, *facts, copies, streams.timings)
    return read_record(window.recorder, how, partial(tell, "replies")), replace(streams, timings={})


def measured(
    window: Window,
    prepared: PreparedTarget,
    states: list[PathState],
    load: Workload,
    watcher: Watcher,
) -> Measurement:
    """Sum a window up; `states` are those of all its connections, before they were closed."""
    record, streams = read(window, prepared, watcher)
    blocks_s = tuple(one / 1e9 for one in window.lasted_ns) if len(window.ends) > 1 else ()
    duration_s = sum(blocks_s) or record.requests.duration_ns / 1e9
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
        tcp=tcp_info(states),
        asked_rps=window.asked_rps,
        until_stable=load.until_stable,
        stable=window.had_enough,
        stalled_s=window.stalled_ns / 1e9,
        longest_stall_s=window.longest_stall_ns / 1e9,
        gc_pause_s=window.gc_pause_s,
        record_problem=window.recorder.spill.problem,
        interrupted=window.interrupted,
        done_share=share_done(load, record.requests, duration_s),
        gave_up=prepared.secrets.hide(window.gave_up),
    )


def share_done(load: Workload, requests: Requests, duration_s: float) -> float | None:
    """The share of a load that these requests are, without those of a ramp-up; see `done_share`."""
    ramp_up_s = load.ramp_up_s or 0.0
    return done_share(load, _finished(requests, ramp_up_s), max(duration_s - ramp_up_s, 0.0))


def _finished(requests: Requests, ramp_up_s: float) -> int:
    """How many requests have ended by themselves, without those of a ramp-up."""
    if not ramp_up_s or not len(requests):
        return sum(rows.finished for rows in requests.pages())
    begin_ns = requests.due_ns[0] + round(ramp_up_s * 1e9)
    return len(requests.places(lambda rows: rows.ended & (rows[SCHEDULED] >= begin_ns)))


def tcp_info(states: Sequence[PathState]) -> TcpInfo | None:
    """Sum up TCP_INFO of connections; None if there are none."""
    if not states:
        return None
    return TcpInfo(
        min_rtt_ms=median(state.min_rtt_us for state in states) / 1e3,
        rtt_ms=median(state.rtt_us for state in states) / 1e3,
        retransmits=sum(state.retransmits for state in states),
        connections=len(states),
    )

"""Brings in what workers measured of a target, and sums it up as one measurement."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from tracebench.load.engine.target import PreparedTarget
from tracebench.load.fleet.crew import Crew, Member
from tracebench.load.fleet.merge import Piece, Whole, merged
from tracebench.load.fleet.orders import PAGES_AT_ONCE, Due, Order, Returned, StoredPage
from tracebench.load.measuring.read_window import share_done, tcp_info
from tracebench.load.progress import Watcher
from tracebench.load.recording.spill import Spill
from tracebench.model.measurement import Measurement
from tracebench.model.plan import Workload
from tracebench.model.record.columns import Columns
from tracebench.model.record.requests import Requests
from tracebench.model.record.server_times import ServerTimes
from tracebench.model.results.workers import Worker


def bring_in(
    crew: Crew,
    name: str,
    prepared: PreparedTarget,
    load: Workload,
    watcher: Watcher,
    *,
    stable: bool,
) -> Measurement:
    """Bring in a target's record from all workers, and merge it.

    Args:
        crew: its workers have closed their connections.
        name: the target's.
        prepared: the target.
        load: the whole load.
        watcher: is told what is waited for.
        stable: whether the run ended because its latency was precise enough.
    """
    watcher.waits(f"reading the records of {len(crew.at_work)} workers")
    returned: dict[int, Returned] = crew.all(lambda _one: Order("measured", (name,)))
    spill = Spill()
    pieces = {
        number: _piece(crew.members[number], returned[number], *record)
        for number, record in _records(crew, name, returned, spill, watcher).items()
    }
    workers = tuple(_worker(one, returned, pieces) for one in crew.members)
    if not pieces:
        first = next(one for one in crew.members if one.lost)
        gave_up = f"no worker has returned its results ({first.title}: {first.lost})"
        nothing = Requests.of(()), ServerTimes.of(())
        return Measurement(*nothing, 0.0, 0.0, None, workers=workers, gave_up=gave_up)
    watcher.waits("merging the records")
    parts = [returned[number] for number in pieces]
    summed = _summed(parts, merged(list(pieces.values()), spill.keep), load)
    silent = (
        f"{crew.members[number].title}: {returned[number].load.gave_up}"
        for number in pieces
        if returned[number].load.gave_up
    )
    return replace(
        summed,
        workers=workers,
        processes=load.processes,
        stable=stable,
        compressed_share=prepared.compressed_share(),
        record_problem=summed.record_problem or spill.problem,
        gave_up=next(silent, ""),
    )


def _records(
    crew: Crew, name: str, returned: dict[int, Returned], spill: Spill, watcher: Watcher
) -> dict[int, tuple[Columns, Columns]]:
    """The pages of those workers whose records are complete: requests and server times."""
    found = {number: (Columns(spill.keep), Columns(spill.keep)) for number in returned}

    def adopt(pages: Mapping[int, Sequence[StoredPage]]) -> None:
        for number, some in pages.items():
            for page in some:
                found[number][0].adopt(page.requests, page.rows)
                found[number][1].adopt(page.times, page.rows)
        rows = sum(len(requests) for requests, _ in found.values())
        watcher.waits(f"bringing in the records of {len(found)} workers: {rows:,} requests so far")

    adopt({number: one.first for number, one in returned.items()})
    most = max((one.pages for one in returned.values()), default=0)
    for first in range(PAGES_AT_ONCE, most, PAGES_AT_ONCE):
        adopt(crew.all(partial(_next_pages, name, returned, first)))
    return {
        number: record
        for number, record in sorted(found.items())
        if record[0].page_count == returned[number].pages
    }


def _next_pages(name: str, returned: Mapping[int, Returned], first: int, member: Member) -> Order:
    pages = returned[member.shard.number].pages
    return Order("pages", (name, min(first, pages), min(first + PAGES_AT_ONCE, pages)))


def _piece(member: Member, told: Returned, requests: Columns, times: Columns) -> Piece:
    load = told.load
    return Piece(
        replace(load.requests, columns=requests),
        replace(load.times, columns=times),
        load.streams,
        member.shard,
        member.clock.offset_ns,
        load.block_ends,
    )


def _worker(
    member: Member, returned: Mapping[int, Returned], pieces: Mapping[int, Piece]
) -> Worker:
    hello, number = member.hello, member.shard.number
    late_ms, within_ms = member.late_ns / 1e6, member.clock.within_ns / 1e6
    found = Worker(hello.host, hello.pid, start_late_ms=late_ms, clock_within_ms=within_ms)
    if number not in pieces:
        return replace(found, lost=member.lost or "its results did not come")
    load = returned[number].load
    return replace(
        found, cpu_s=load.cpu_s, stalled_s=load.stalled_s, longest_stall_s=load.longest_stall_s
    )


def _summed(parts: Sequence[Returned], whole: Whole, load: Workload) -> Measurement:
    """What is known of the run as a whole, besides its workers."""
    loads = [one.load for one in parts]
    paths = [path for one in parts for path in one.paths]
    blocks_s = _longest([one.blocks_s for one in loads]) if whole.block_ends else ()
    duration_s = sum(blocks_s) or whole.requests.duration_ns / 1e9
    known = [one for one in loads if one.idle_share is not None]
    return replace(
        loads[0],
        requests=whole.requests,
        times=whole.times,
        streams=whole.streams,
        duration_s=duration_s,
        block_ends=whole.block_ends,
        blocks_s=blocks_s,
        cpu_s=sum(one.cpu_s for one in loads),
        tcp=tcp_info(paths),
        asked_rps=_asked_rps([one.due for one in parts if one.due is not None]),
        stalled_s=_mean([one.stalled_s for one in loads]),
        longest_stall_s=max(one.longest_stall_s for one in loads),
        gc_pause_s=_mean([one.gc_pause_s for one in loads]),
        idle_share=min((one.idle_share or 0.0 for one in known), default=None),
        stolen_share=max((one.stolen_share or 0.0 for one in known), default=None),
        same_host=any(one.same_host for one in loads),
        clock_step_s=max((one.clock_step_s for one in loads), key=abs),
        governors=tuple(sorted({name for one in loads for name in one.governors})),
        closed_windows=_most([one.closed_windows for one in loads]),
        record_problem=next((one.record_problem for one in loads if one.record_problem), ""),
        interrupted=any(one.interrupted for one in loads),
        done_share=share_done(load, whole.requests, duration_s),
    )


def _longest(of_shards: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """How long each block took until the last worker was done with it."""
    count = max(len(one) for one in of_shards)
    return tuple(max(one[at] for one in of_shards if at < len(one)) for at in range(count))


def _asked_rps(due: Sequence[Due]) -> float:
    """The mean rate between the first and the last arrival of all shards; 0 in a closed loop."""
    told = [one for one in due if one.requests]
    if not told:
        return 0.0
    lasted_ns = max(one.last_ns for one in told) - min(one.first_ns for one in told)
    return (sum(one.requests for one in told) - 1) * 1e9 / lasted_ns if lasted_ns else 0.0


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _most(values: Sequence[Any]) -> Any:
    return max((one for one in values if one is not None), default=None)

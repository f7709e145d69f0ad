"""Alternate blocks of the engine and of libraries, so that server and machine affect all alike."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from tracebench.load.engine.pacing import ClosedLoop
from tracebench.load.engine.target import PreparedTarget
from tracebench.load.measuring.measure import measure
from tracebench.load.peers.clients import Job, Sample, Send
from tracebench.load.progress import Watcher
from tracebench.model.errors import TargetError
from tracebench.model.measurement import Block
from tracebench.model.plan import Workload

ROUNDS: Final = 10
LEAST_REQUESTS: Final = 20
"""Least size of a block, so that it has a 95th percentile."""
LONGEST_S: Final = 3.0
"""Longest duration of a block, however long the run is."""
ENGINE: Final = "engine"


@dataclass(frozen=True, slots=True)
class Interleaved:
    """The measurements: a block for each completed round."""

    engine: Sequence[Block]
    libraries: Mapping[str, Sequence[Block]]
    interrupted: bool
    fault: str = ""
    """Why it ended early; empty if it did not, or the user interrupted it."""


def interleaved(
    prepared: PreparedTarget,
    load: Workload,
    libraries: Mapping[str, Send],
    waits: Callable[[str], None],
    rounds: int = ROUNDS,
) -> Interleaved:
    """Send in rounds, each with one block by the engine and one by each library.

    Each round begins with a different one of them. A block has its own connections, which are
    warmed up first and closed after it, so that idle connections do not occupy the server. A block
    is as long as the run divided by the rounds, up to `LONGEST_S`.
    """
    names = [ENGINE, *libraries]
    blocks: dict[str, list[Block]] = {name: [] for name in names}
    job = _job(prepared, load, rounds)
    interrupted, fault = False, ""
    try:
        for turn in range(rounds):
            waits(f"round {turn + 1} of {rounds}: {', '.join(names)}")
            begin = turn % len(names)
            one_round = {
                name: _by_library(job, libraries[name])
                if name in libraries
                else _by_engine(job, load)
                for name in names[begin:] + names[:begin]
            }
            for name, block in one_round.items():
                blocks[name].append(block)
    except KeyboardInterrupt:
        interrupted = True
    except TargetError as error:
        fault = str(error)
    return Interleaved(blocks.pop(ENGINE), blocks, interrupted, fault)


def _job(prepared: PreparedTarget, load: Workload, rounds: int) -> Job:
    slots = load.concurrency
    if load.duration_s is not None:
        bounds = ClosedLoop(duration_ns=int(min(load.duration_s / rounds, LONGEST_S) * 1e9))
    else:
        requests = -(-(load.requests or 0) // rounds)
        bounds = ClosedLoop(requests=max(requests, LEAST_REQUESTS, 2 * slots))
    return Job(prepared, slots, ClosedLoop(requests=2 * slots), bounds)


def _by_engine(job: Job, load: Workload) -> Block:
    block = replace(
        load, warmup=job.warmup.requests, until_stable=None, ramp_up_s=None, hang_up_after=None
    )
    if block.duration_s is None:
        block = replace(block, requests=job.bounds.requests)
    else:
        block = replace(block, duration_s=job.bounds.duration_ns / 1e9)
    found = measure(job.prepared, block, Watcher())
    if found.interrupted:
        raise KeyboardInterrupt
    return _block([Sample(one.scheduled_ns, one.done_ns, one.reason) for one in found.requests])


def _by_library(job: Job, send: Send) -> Block:
    return _block(send(job))


def _block(samples: Sequence[Sample]) -> Block:
    began_ns = min((one.began_ns for one in samples), default=0)
    ended_ns = max((one.ended_ns for one in samples), default=0)
    in_time = sorted(samples, key=lambda one: one.ended_ns)
    good = [one.ended_ns - one.began_ns for one in in_time if not one.reason]
    return Block(
        latency_ns=np.array(good, np.int64),
        errors=Counter(one.reason for one in samples if one.reason),
        duration_s=(ended_ns - began_ns) / 1e9,
    )

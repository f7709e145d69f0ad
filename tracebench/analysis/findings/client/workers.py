"""Findings about the processes that shared a load: lost ones, odd ones, and how they began."""

from collections.abc import Sequence
from statistics import median
from typing import Final, NamedTuple

from tracebench.analysis.advice import Advice, has_one_core, unless
from tracebench.analysis.findings.finding import INFO, Evidence, FindingKind, part_of, weigh
from tracebench.model.results.result import Finding
from tracebench.model.results.workers import Worker

_WORKER_LOST: Final = FindingKind(
    "worker_lost",
    ((0.0, "warning"),),
    "{lost} of {count} workers were lost, with the results of their share of the load: {who} "
    "({why})",
    (
        Advice(
            "the results of the others are whole, but the server had less load from then on: look "
            "at that worker's log and memory, and measure again",
            short="look at its log, measure again",
        ),
    ),
    "{lost} of {count} workers lost: {why}",
)


def _worker_lost(run: Evidence) -> Finding | None:
    lost = [one for one in run.workers if one.lost]
    if not lost:
        return None
    share = part_of(len(lost), len(run.workers))
    return weigh(
        _WORKER_LOST,
        share,
        lost=len(lost),
        count=len(run.workers),
        who=_name(lost[0]),
        why=lost[0].lost,
    )


_ODD_WORKER: Final = FindingKind(
    "odd_worker",
    ((0.05, "info"), (0.20, "warning")),
    "the worker {who} differs from the others: its median latency is {its:.3g} ms, theirs "
    "{others:.3g} ms, {value:%} further apart than chance explains",
    (
        Advice(
            "find out what is different there (its path to the server, other programs, a slower "
            "CPU), or leave it out",
            short="see what is different there",
        ),
    ),
    "worker {who}: {its:.3g} ms, others {others:.3g} ms",
)
_LEAST_MS: Final = 0.05
"""Medians that are closer differ by what two cores of one machine may differ."""


class _Median(NamedTuple):
    worker: Worker
    p50_ms: float
    low_ms: float
    high_ms: float


def _odd_worker(run: Evidence) -> Finding | None:
    """Compare each worker's median with the middle one of the others, beyond both intervals."""
    medians = [
        _Median(one, one.p50_ms, *one.ci95["p50_ms"])
        for one in run.workers
        if one.p50_ms is not None and "p50_ms" in one.ci95
    ]
    if len(medians) < 2:
        return None
    found = [(_apart(one, _others(medians, at)), one) for at, one in enumerate(medians)]
    apart, odd = max(found, key=lambda pair: pair[0])
    others_ms = _others(medians, medians.index(odd)).p50_ms
    return weigh(_ODD_WORKER, apart, who=_name(odd.worker), its=odd.p50_ms, others=others_ms)


def _others(medians: Sequence[_Median], at: int) -> _Median:
    rest = [one for place, one in enumerate(medians) if place != at]
    return _Median(
        rest[0].worker,
        median(one.p50_ms for one in rest),
        median(one.low_ms for one in rest),
        median(one.high_ms for one in rest),
    )


def _apart(one: _Median, others: _Median) -> float:
    """The gap between two intervals, as a fraction of the others' median; 0 if they overlap."""
    gap_ms = max(one.low_ms - others.high_ms, others.low_ms - one.high_ms)
    return part_of(gap_ms, others.p50_ms) if gap_ms > _LEAST_MS else 0.0


_WORKER_LAG: Final = FindingKind(
    "worker_lag",
    ((0.02, "info"), (0.05, "warning")),
    "the worker {who} did not look for replies during {value:%} of the run, {longest_ms:.3g} ms at "
    "the longest; the others {others:%}",
    (
        Advice(
            "give each worker its own core (taskset)",
            unless(has_one_core),
            short="a core for each (taskset)",
        ),
        Advice("stop other programs on its machine", short="stop other programs there"),
    ),
    "worker {who} stalled {value:%} of the run",
    explained_by=("cpu_shared", "loop_lag"),
)


def _worker_lag(run: Evidence) -> Finding | None:
    if len(run.workers) < 2:
        return None
    worst = max(run.workers, key=lambda one: one.stalled_s)
    others_s = median(one.stalled_s for one in run.workers if one is not worst)
    return weigh(
        _WORKER_LAG,
        part_of(worst.stalled_s, run.load.duration_s),
        who=_name(worst),
        longest_ms=worst.longest_stall_s * 1e3,
        others=part_of(others_s, run.load.duration_s),
    )


_STARTED_APART: Final = FindingKind(
    "started_apart",
    ((0.005, "info"), (0.05, "warning")),
    "the workers did not begin together: one began {late_ms:.3g} ms after the common start, "
    "{value:%} of the run",
    (
        Advice(
            "measure longer, or let workers and head be closer to each other",
            short="measure longer (--duration)",
        ),
    ),
    "a worker began {late_ms:.3g} ms late",
)


def _started_apart(run: Evidence) -> Finding | None:
    late_ms = max((one.start_late_ms + one.clock_within_ms for one in run.workers), default=0.0)
    return weigh(_STARTED_APART, part_of(late_ms / 1e3, run.load.duration_s), late_ms=late_ms)


_FEWER_WORKERS: Final = FindingKind(
    "fewer_workers",
    INFO,
    "{count} of the {asked} processes asked for took part: each needs a request in flight, and "
    "over HTTP/2 a connection, of its own",
    (Advice("raise --concurrency, or lower --processes", short="raise --concurrency"),),
    "{count} of {asked} processes took part",
)


def _fewer_workers(run: Evidence) -> Finding | None:
    count, asked = len(run.workers), run.load.processes or 0
    return weigh(_FEWER_WORKERS, max(asked - count, 0) if count else 0, count=count, asked=asked)


_FLOOR_OF_ONE: Final = FindingKind(
    "floor_of_one",
    INFO,
    "{value} workers made the load, but one process measured the floor, under the whole of it",
    (
        Advice(
            "take the floor of a run with one process for comparisons", short="--floor without them"
        ),
    ),
    "one process measured the floor",
)


def _floor_of_one(run: Evidence) -> Finding | None:
    return weigh(_FLOOR_OF_ONE, len(run.workers) if run.floor is not None else 0)


def _name(worker: Worker) -> str:
    return f"{worker.host}:{worker.pid}"


KINDS: Final = (
    _WORKER_LOST,
    _ODD_WORKER,
    _WORKER_LAG,
    _STARTED_APART,
    _FEWER_WORKERS,
    _FLOOR_OF_ONE,
)
JUDGES: Final = (
    _worker_lost,
    _odd_worker,
    _worker_lag,
    _started_apart,
    _fewer_workers,
    _floor_of_one,
)

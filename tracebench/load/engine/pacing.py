"""When to send: pure rules that read no clock."""

import sys
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from math import inf

from tracebench.load.engine.arrivals import arrivals_ns
from tracebench.model.plan import Plan


@dataclass(frozen=True, slots=True)
class ClosedLoop:
    """Each slot sends its next request when the last was answered, within these bounds."""

    requests: int = sys.maxsize
    duration_ns: int = sys.maxsize

    @property
    def asked_rps(self) -> float:
        """No rate is asked for."""
        return 0.0


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """Requests are sent when they are due, whatever became of those before."""

    arrivals_ns: Sequence[int]
    """When each is due, from the begin of the window; never falling."""

    @property
    def asked_rps(self) -> float:
        """The mean rate between the first and the last that is due; 0 for a single one."""
        gaps_ns = self.arrivals_ns[-1] - self.arrivals_ns[0] if self.arrivals_ns else 0
        return (len(self.arrivals_ns) - 1) * 1e9 / gaps_ns if gaps_ns else 0.0


Pacing = ClosedLoop | OpenLoop


def is_open(plan: Plan) -> bool:
    """Whether requests are sent when they are due, not when others were answered."""
    return plan.rate is not None or plan.schedule_s is not None


def pacing(plan: Plan) -> Pacing:
    """When to send what is measured."""
    if is_open(plan):
        return _open(plan, plan.requests or sys.maxsize, plan.duration_s or inf)
    if plan.duration_s is not None:
        return ClosedLoop(duration_ns=int(plan.duration_s * 1e9))
    return ClosedLoop(requests=plan.requests or 0)


def warm_up(plan: Plan) -> Pacing:
    """When to send what comes before."""
    return (
        _open(plan, plan.warmup_requests, inf)
        if is_open(plan)
        else ClosedLoop(requests=plan.warmup_requests)
    )


def done_share(plan: Plan, finished: int, elapsed_s: float) -> float | None:
    """How much of a plan came about, by whichever of its ends is the nearest.

    Returns:
        At most 1; None where the plan has no end.
    """
    parts = [finished / plan.requests] if plan.requests else []
    parts += [elapsed_s / end_s for end_s in _ends_s(plan) if 0 < end_s < inf]
    return min(max(parts), 1.0) if parts else None


def _ends_s(plan: Plan) -> Iterable[float]:
    """When the plan has nothing more to send, in seconds from the begin."""
    if plan.duration_s is not None:
        yield plan.duration_s
    if plan.rate is not None:
        yield sum(segment.duration_s for segment in plan.rate)
    if plan.schedule_s is not None:
        yield plan.schedule_s[-1]


def _open(plan: Plan, requests: int, duration_s: float) -> OpenLoop:
    due_ns: Iterable[int]
    if plan.schedule_s is not None:
        due_ns = (round(at_s * 1e9) for at_s in plan.schedule_s)
    else:
        due_ns = arrivals_ns(plan.rate or (), plan.arrival, plan.seed)
    in_time = takewhile(lambda at_ns: at_ns < duration_s * 1e9, due_ns)
    return OpenLoop(array("q", islice(in_time, requests)))

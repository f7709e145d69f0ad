"""When to send: pure functions that read no clock."""

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, count, islice, pairwise, repeat, takewhile
from math import ceil, inf, sqrt
from random import Random
from typing import Final, NamedTuple

import numpy as np

from tracebench.model.plan import GAMMA, Arrival, Segment, Workload
from tracebench.model.shards import WHOLE, Shard

# When requests are due: arrivals at a rate that may vary over time.
#
# The k-th arrival is where the expected number of arrivals so far, Λ(t) = ∫ rate, reaches k
# (constant), or the sum of k random gaps of mean 1: exponential ones (Poisson: time change of a
# unit process, Çınlar, Introduction to Stochastic Processes, chapter 4.7), or gamma-distributed
# ones of shape K, whose coefficient of variation is 1/√K. No clock is read.

_NS = 1e9
_AT_ONCE: Final = 4_096
"""How many gaps are drawn at a time."""


def arrivals_ns(segments: Sequence[Segment], arrival: Arrival, seed: int) -> Iterator[int]:
    """When each request is due, in ns from the start.

    Args:
        segments: the rate over time; only the last may be endless.
        arrival: evenly spaced, a Poisson process, or gaps of a gamma distribution.
        seed: the seed of the random gaps.
    """
    return (round(at_s * _NS) for at_s in _inverse(segments, _expected(arrival, seed)))


def _expected(arrival: Arrival, seed: int) -> Iterator[float]:
    """The expected number of arrivals before each one, rising from 0."""
    if arrival == "constant":
        yield from map(float, count())
    yield from accumulate(_poisson(seed) if arrival == "poisson" else _gamma(arrival, seed))


def _poisson(seed: int) -> Iterator[float]:
    return map(Random(seed).expovariate, repeat(1.0))


def _gamma(arrival: Arrival, seed: int) -> Iterator[float]:
    shape, draw = float(arrival.removeprefix(GAMMA)), np.random.default_rng(seed).gamma
    while True:
        yield from draw(shape, 1 / shape, _AT_ONCE).tolist()


def _inverse(segments: Iterable[Segment], expected: Iterator[float]) -> Iterator[float]:
    """The times at which Λ reaches the expected numbers."""
    began_s = passed = 0.0
    waiting = next(expected)
    for segment in segments:
        within = segment.duration_s * (segment.from_rps + segment.to_rps) / 2
        for number in chain((waiting,), expected):
            if number - passed >= within:
                waiting = number
                break
            yield began_s + _elapsed_s(segment, number - passed)
        passed += within
        began_s += segment.duration_s


def _elapsed_s(segment: Segment, number: float) -> float:
    """How long after a segment's start this number of arrivals is expected in it.

    Solves from·t + slope·t²/2 = number, in a form that is also exact for a slope of 0.
    """
    slope = 0.0
    if segment.duration_s != inf:
        slope = (segment.to_rps - segment.from_rps) / segment.duration_s
    root = sqrt(max(segment.from_rps**2 + 2 * slope * number, 0.0))
    return 2 * number / (segment.from_rps + root) if number else 0.0


# When to send: pure functions that read no clock.


@dataclass(frozen=True, slots=True)
class ClosedLoop:
    """Each slot sends its next request once the last was answered, within these limits."""

    requests: int = sys.maxsize
    duration_ns: int = sys.maxsize
    ramp_up_ns: int = 0
    """Slots start one after the other for so long; the limits apply to what starts after that."""
    shard: Shard = WHOLE
    """Whose slots these are: in a ramp-up, those of other shards start in between."""

    @property
    def asked_rps(self) -> float:
        """No rate is asked for."""
        return 0.0


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """Requests are sent when they are due, whether or not earlier ones were answered."""

    arrivals_ns: Sequence[int]
    """When each is due, from the start of the window; never decreasing."""
    duration_ns: int | None = None
    """How long they go on; None: until the last is due."""

    @property
    def ends_ns(self) -> int:
        """When nothing more can become due, from the start of the window."""
        if self.duration_ns is not None:
            return self.duration_ns
        return self.arrivals_ns[-1] + 1 if self.arrivals_ns else 0

    @property
    def asked_rps(self) -> float:
        """The mean rate between the first and the last request; 0 for a single one."""
        gaps_ns = self.arrivals_ns[-1] - self.arrivals_ns[0] if self.arrivals_ns else 0
        return (len(self.arrivals_ns) - 1) * 1e9 / gaps_ns if gaps_ns else 0.0


Pacing = ClosedLoop | OpenLoop


def pacing(load: Workload, shard: Shard = WHOLE) -> Pacing:
    """When a shard of the load sends the measured requests, which follow those of the warm-up."""
    if load.is_open:
        first = shard.first(load.warmup_requests)
        return _open(load, load.requests or sys.maxsize, load.duration_s or inf, first, shard.of)
    ramp_up_ns = round((load.ramp_up_s or 0.0) * 1e9)
    if load.duration_s is not None:
        return ClosedLoop(
            duration_ns=int(load.duration_s * 1e9), ramp_up_ns=ramp_up_ns, shard=shard
        )
    requests = shard.share(load.requests or 0, load.warmup_requests)
    return ClosedLoop(requests=requests, ramp_up_ns=ramp_up_ns, shard=shard)


def warm_up(load: Workload, shard: Shard = WHOLE) -> Pacing:
    """When a shard of the load sends the warm-up requests."""
    if load.is_open:
        return _open(load, load.warmup_requests, inf, shard.number, shard.of)
    return ClosedLoop(requests=shard.share(load.warmup_requests))


def done_share(load: Workload, finished: int, elapsed_s: float) -> float | None:
    """The share of a load that is done, by whichever of its limits is nearest.

    Args:
        load: what was asked for.
        finished: how many requests have ended, without those of a ramp-up.
        elapsed_s: how long it has lasted, without the ramp-up.

    Returns:
        At most 1; None if it has no limit.
    """
    parts = [finished / load.requests] if load.requests else []
    parts += [elapsed_s / end_s for end_s in _ends_s(load) if 0 < end_s < inf]
    return min(max(parts), 1.0) if parts else None


def _ends_s(load: Workload) -> Iterable[float]:
    """When there is nothing more to send, in seconds from the start."""
    if load.duration_s is not None:
        yield load.duration_s
    if load.rate is not None:
        yield sum(segment.duration_s for segment in load.rate)
    if load.schedule_s is not None:
        yield load.schedule_s[-1]


def _open(
    load: Workload, requests: int, duration_s: float, first: int = 0, step: int = 1
) -> OpenLoop:
    due_ns: Iterable[int]
    if load.schedule_s is not None:
        due_ns = (round(at_s * 1e9) for at_s in load.schedule_s)
    else:
        due_ns = arrivals_ns(load.rate or (), load.arrival, load.seed)
    in_time = takewhile(lambda at_ns: at_ns < duration_s * 1e9, due_ns)
    ends_ns = round(duration_s * 1e9) if duration_s < inf else None
    return OpenLoop(array("q", islice(islice(in_time, requests), first, None, step)), ends_ns)


# Several targets by turns: a load in blocks, each of which is as long for all of them.

SHORTEST_BLOCK_NS: Final = 500_000_000
MEDIANS_A_BLOCK: Final = 20


class Part(NamedTuple):
    """What is sent to a target in one of its blocks."""

    pacing: Pacing
    lasts_ns: int
    """How long the block takes at least; 0: as long as its requests do."""

    def dealt(self, shard: Shard, before: int) -> "Part":
        """What a shard sends of it, after `before` requests of the whole load."""
        whole = self.pacing
        if isinstance(whole, OpenLoop):
            return self._replace(pacing=OpenLoop(shard.of_sequence(whole.arrivals_ns, before)))
        if whole.requests == sys.maxsize:
            return self
        return self._replace(pacing=ClosedLoop(requests=shard.share(whole.requests, before)))

    @property
    def requests(self) -> int:
        """How many requests it sends; 0 if its duration decides."""
        if isinstance(self.pacing, OpenLoop):
            return len(self.pacing.arrivals_ns)
        return 0 if self.pacing.requests == sys.maxsize else self.pacing.requests


def block_ns(medians_ns: Iterable[float]) -> int:
    """How long blocks are to be, from the median latency of each target.

    Long enough for percentiles, short enough for what drifts to meet all targets alike.
    """
    return max(SHORTEST_BLOCK_NS, round(MEDIANS_A_BLOCK * max(medians_ns)))


def in_parts(whole: Pacing, lasts_ns: int, most_rps: float) -> list[Part]:
    """Divide a load into blocks of equal length, or of equal numbers of requests.

    Args:
        whole: what is sent to a target in all.
        lasts_ns: about how long a block is to be, and never shorter where there are several.
        most_rps: at what rate the fastest target answers a closed loop.
    """
    if isinstance(whole, OpenLoop):
        return _arrivals_in_parts(whole, lasts_ns)
    if whole.duration_ns < sys.maxsize:
        count = max(1, whole.duration_ns // lasts_ns)
        return [Part(ClosedLoop(duration_ns=whole.duration_ns // count), 0)] * count
    each = max(1, ceil(most_rps * lasts_ns / _NS))
    count = max(1, whole.requests // each)
    each, more = divmod(whole.requests, count)
    return [Part(ClosedLoop(requests=each + (number < more)), 0) for number in range(count)]


def _arrivals_in_parts(whole: OpenLoop, lasts_ns: int) -> list[Part]:
    """Each arrival belongs to the block in which it is due."""
    due_ns, ends_ns = whole.arrivals_ns, whole.ends_ns
    count = max(1, ends_ns // lasts_ns)
    edges_ns = [ends_ns * number // count for number in range(count + 1)]
    places = [*(bisect_left(due_ns, edge_ns) for edge_ns in edges_ns[:-1]), len(due_ns)]
    return [
        Part(
            OpenLoop(array("q", (at_ns - began_ns for at_ns in due_ns[first:last]))),
            ended_ns - began_ns,
        )
        for (first, last), (began_ns, ended_ns) in zip(
            pairwise(places), pairwise(edges_ns), strict=True
        )
    ]

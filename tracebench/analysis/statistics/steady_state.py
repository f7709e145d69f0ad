"""Steady state: where it begins after the warm-up, whether it lasts, and when a run may end."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Literal, NamedTuple

import numpy as np

from tracebench.analysis.closure.decomposition import latency, ranked
from tracebench.analysis.statistics.correlation import moments
from tracebench.analysis.statistics.distribution import NS_PER_MS, describe
from tracebench.model.measurement import Measurement
from tracebench.model.record.exchange import Nanoseconds
from tracebench.model.record.requests import SCHEDULED
from tracebench.model.results.result import Warmup

MSER_5: Final = "MSER-5"
_BATCH: Final = 5
_FEWEST: Final = 100
"""Latencies needed to tell a warm-up or a drift from chance."""
_BATCHES: Final = 20
_PETTITT_95: Final = 64
"""Critical value of Pettitt's statistic for 20 values at 5 % (from 4 million random orders)."""
_MEDIAN_OF_SQUARES: Final = 0.4549
"""Median of squared standard normal values; it converts the median squared difference of
neighbours, to which neither a trend nor a shift adds, into a variance."""
_WORTH: Final = 10
"""Least independent latencies that a batch is worth, so that neighbours are independent."""


class Drift(NamedTuple):
    """The point where a series changes most, with the levels before and after."""

    at: float
    """The share of the series that lies before it."""
    before_ms: float
    after_ms: float

    @property
    def change(self) -> float:
        """The change as a fraction of the level before."""
        return abs(self.after_ms - self.before_ms) / self.before_ms if self.before_ms else 0.0


class Leftover(NamedTuple):
    """What MSER-5 would still cut from a series, and the effect on its mean.

    If it would cut the most it may, there is no steady state yet; `drift` reports that.
    """

    cut: int
    shift: float
    """How far the mean of all is from the mean after the cut, beyond chance (95 %), as a fraction
    of the latter."""


def truncation(values_ns: Nanoseconds) -> int:
    """How many of the first latencies MSER-5 cuts, at most half.

    The cut minimises the standard error of the mean of the remaining values, treated as
    independent; batches of 5 smooth the series (White 1997, An effective truncation heuristic for
    bias reduction in simulation output, Simulation 69; Franklin & White 2008, Stationarity tests
    and MSER-5, Winter Simulation Conference).
    """
    batches = len(values_ns) // _BATCH
    if len(values_ns) < _FEWEST:
        return 0
    means = values_ns[: batches * _BATCH].reshape(batches, _BATCH).mean(1)
    means -= means[batches // 2 :].mean()  # keeps the digits of the squares
    left = np.arange(batches, 0, -1)
    sums = np.cumsum(means[::-1])[::-1]
    squares = np.cumsum(means[::-1] ** 2)[::-1]
    errors = (squares - sums**2 / left) / left**2
    return int(np.argmin(errors[: batches // 2 + 1])) * _BATCH


def settled(load: Measurement, warmup: int | Literal["auto"]) -> Measurement:
    """Remove the warm-up from a run, and record what was removed.

    Removed requests count nowhere, like those of `--warmup N`. Values known only for the whole run
    (CPU time, stalls of the loop, garbage collection) are reduced in proportion.

    Args:
        load: the measurement of the whole run.
        warmup: the number of requests sent before the run, or `auto`: cut by MSER-5.
    """
    if warmup != "auto":
        over = len(load.requests) or not (load.interrupted or load.gave_up)
        return replace(load, warmup=Warmup("requests", warmup) if warmup and over else None)
    known = ranked(load.requests)
    latency_ns = known.column(latency)
    first = truncation(latency_ns)
    if not first:
        return replace(load, warmup=Warmup(MSER_5, 0, 0.0))
    begin_ns = load.requests.exchange(known.place(first)).scheduled_ns
    kept = _from(load, begin_ns)
    cut = Warmup(
        MSER_5,
        len(load.requests) - len(kept.requests),
        (begin_ns - load.requests.due_ns[0]) / 1e9,
        cut_mean_ms=float(latency_ns[:first].mean()) / NS_PER_MS,
        kept_mean_ms=float(latency_ns[first:].mean()) / NS_PER_MS,
    )
    return replace(kept, warmup=cut)


def ramped_up(load: Measurement, ramp_up_s: float | None) -> Measurement:
    """Remove the requests of a ramp-up, in which fewer were in flight than allowed.

    Args:
        load: the measurement of the whole run, without its warm-up.
        ramp_up_s: how long the ramp-up took; None: there was none.
    """
    if ramp_up_s is None or not len(load.requests):
        return load
    kept = _from(load, load.requests.due_ns[0] + round(ramp_up_s * 1e9))
    before = 0 if load.warmup is None else load.warmup.cut
    cut = before + len(load.requests) - len(kept.requests)
    return replace(kept, warmup=Warmup("ramp-up", cut, ramp_up_s))


def _from(load: Measurement, begin_ns: int) -> Measurement:
    """The part of a run whose requests were scheduled from a time on."""
    places = load.requests.places(lambda rows: rows[SCHEDULED] >= begin_ns)
    left_out = load.requests.places(lambda rows: rows[SCHEDULED] < begin_ns)
    kept = load.requests.take(places)
    left = kept.duration_ns / load.requests.duration_ns
    return replace(
        load,
        requests=kept,
        times=load.times.take(places),
        duration_s=kept.duration_ns / 1e9,
        cpu_s=load.cpu_s * left,
        stalled_s=load.stalled_s * left,
        gc_pause_s=load.gc_pause_s * left,
        left_out=load.requests.take(left_out),
    )


def settled_together(
    loads: Mapping[str, Measurement], warmup: int | Literal["auto"]
) -> dict[str, Measurement]:
    """Remove the warm-up of targets measured in alternating blocks, by whole rounds.

    The same rounds are removed from every target, so that the rest still pairs. The longest
    warm-up decides, up to half of the rounds.

    Args:
        loads: the measurement of each target, with one block a round.
        warmup: the number of requests sent before the run, or `auto`: cut by MSER-5.
    """
    if warmup != "auto":
        return {name: settled(load, warmup) for name, load in loads.items()}
    rounds = [len(load.block_ends) for load in loads.values()]
    cut = min(max(map(_rounds_to_cut, loads.values())), max(rounds) // 2)
    return {name: _without_rounds(load, cut) for name, load in loads.items()}


def _rounds_to_cut(load: Measurement) -> int:
    """How many rounds contain a request that MSER-5 would cut."""
    known = ranked(load.requests)
    first = truncation(known.column(latency))
    if not first:
        return 0
    return int(np.searchsorted(load.block_ends, known.place(first - 1), "right")) + 1


def _without_rounds(load: Measurement, cut: int) -> Measurement:
    cut = min(cut, len(load.block_ends))
    if not cut:
        return replace(load, warmup=Warmup(MSER_5, 0, 0.0))
    rows = load.block_ends[cut - 1]
    places = np.arange(rows, len(load.requests))
    left_s = sum(load.blocks_s[cut:])
    left = left_s / load.duration_s if load.duration_s else 0.0
    return replace(
        load,
        requests=load.requests.take(places),
        times=load.times.take(places),
        duration_s=left_s,
        block_ends=tuple(end - rows for end in load.block_ends[cut:]),
        blocks_s=load.blocks_s[cut:],
        cpu_s=load.cpu_s * left,
        stalled_s=load.stalled_s * left,
        gc_pause_s=load.gc_pause_s * left,
        warmup=Warmup(MSER_5, rows, load.duration_s - left_s),
    )


def leftover(values_ns: Nanoseconds) -> Leftover:
    """What still looks like warm-up in a series."""
    cut = truncation(values_ns)
    if not cut or cut >= len(values_ns) // 2 - _BATCH:
        return Leftover(0, 0.0)
    others = describe(values_ns[cut:])
    low_ms, high_ms = others.ci95["mean_ms"]
    mean_ms = float(values_ns.mean()) / NS_PER_MS
    beyond_ms = max(low_ms - mean_ms, mean_ms - high_ms, 0.0)
    return Leftover(cut, beyond_ms / others.mean_ms if others.mean_ms else 0.0)


def drift(values_ns: Nanoseconds) -> Drift | None:
    """Find a trend or a shift of the level; 5 % of all stationary series show one by chance.

    The test is Pettitt's for a change at an unknown point, on 20 batch means (Pettitt 1979, A
    non-parametric approach to the change-point problem, Applied Statistics 28).

    Returns:
        The drift; None if there is none, or if the series is worth too few values to tell.
    """
    size = len(values_ns) // _BATCHES
    if len(values_ns) < _FEWEST:
        return None
    batches = values_ns[len(values_ns) % _BATCHES :].reshape(_BATCHES, size)
    means = batches.mean(1)
    steps = np.diff(means)
    scatter = float(np.median((steps - np.median(steps)) ** 2)) / (2 * _MEDIAN_OF_SQUARES)
    within = [moments(batch).variance * size / (size - 1) for batch in batches]
    if scatter * _WORTH > sum(within) / _BATCHES:
        return None
    leaning = np.abs(np.cumsum(np.sign(means[:, None] - means).sum(1)))
    at = int(np.argmax(leaning)) + 1
    if leaning[at - 1] < _PETTITT_95:
        return None
    before_ms, after_ms = (float(part.mean()) / NS_PER_MS for part in (means[:at], means[at:]))
    return Drift(at / _BATCHES, before_ms, after_ms)


def stable(values_ns: Nanoseconds, statistic: str, share: float) -> bool | None:
    """Whether a statistic is known well enough for a run to end.

    Args:
        values_ns: the latencies so far, in the order of time.
        statistic: `mean_ms`, `p50_ms`, ….
        share: how far either end of the 95 % interval may lie from the statistic, as a fraction of
            it.

    Returns:
        None if the latencies so far are worth too few values for an interval.
    """
    found = describe(values_ns)
    if statistic not in found.ci95:
        return None
    low_ms, high_ms = found.ci95[statistic]
    value_ms: float = getattr(found, statistic)
    return max(high_ms - value_ms, value_ms - low_ms) <= share * value_ms

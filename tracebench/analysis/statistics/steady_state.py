"""Warm-up and steady state: where it begins, whether it lasts, and whether a run may end."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Literal, NamedTuple

import numpy as np

from tracebench.analysis.closure.decomposition import latency, ranked
from tracebench.analysis.statistics.correlation import moments
from tracebench.analysis.statistics.distribution import NS_PER_MS, describe
from tracebench.model.exchange import Nanoseconds
from tracebench.model.measurement import Measurement
from tracebench.model.requests import SCHEDULED
from tracebench.model.result import Warmup

MSER_5: Final = "MSER-5"
_BATCH: Final = 5
_FEWEST: Final = 100
"""Latencies below which neither a warm-up nor a drift can be told from chance."""
_BATCHES: Final = 20
_PETTITT_95: Final = 64
"""What Pettitt's statistic of 20 values reaches in 5.0 % of all orders (of 4 million drawn)."""
_MEDIAN_OF_SQUARES: Final = 0.4549
"""Of standard normal values. From it the scatter of neighbours is had, to which neither a trend
nor a shift adds."""
_WORTH: Final = 10
"""Independent latencies that a batch is worth, at least: its neighbours are independent then."""


class Drift(NamedTuple):
    """Where a series changes most, and from what to what."""

    at: float
    """The share of the series before it."""
    before_ms: float
    after_ms: float

    @property
    def change(self) -> float:
        """As a share of what it was before."""
        return abs(self.after_ms - self.before_ms) / self.before_ms if self.before_ms else 0.0


class Leftover(NamedTuple):
    """What MSER-5 would still cut of a series, and what that would do to its mean.

    Where it would cut all that it may, there is no steady state yet: that is for `drift` to say.
    """

    cut: int
    shift: float
    """How much further the mean of all is from that of the others than chance takes it (95 %), as
    a share of the latter."""


def truncation(values_ns: Nanoseconds) -> int:
    """How many of the first latencies to cut by MSER-5, at most half.

    It is the cut at which what is left has the least standard error of the mean, were it
    independent; of batches of 5, which smooth (White 1997, An effective truncation heuristic for
    bias reduction in simulation output, Simulation 69; Franklin & White 2008, Stationarity tests
    and MSER-5, Winter Simulation Conference).
    """
    batches = len(values_ns) // _BATCH
    if len(values_ns) < _FEWEST:
        return 0
    means = values_ns[: batches * _BATCH].reshape(batches, _BATCH).mean(1)
    means -= means[batches // 2 :].mean()  # so that the squares lose no digits
    left = np.arange(batches, 0, -1)
    sums = np.cumsum(means[::-1])[::-1]
    squares = np.cumsum(means[::-1] ** 2)[::-1]
    errors = (squares - sums**2 / left) / left**2
    return int(np.argmin(errors[: batches // 2 + 1])) * _BATCH


def settled(load: Measurement, warmup: int | Literal["auto"]) -> Measurement:
    """Leave the warm-up out of a run, and note what was left out.

    What was cut counts nowhere, as requests of `--warmup N` do not; what is only known of the whole
    run (CPU time, stalls of the loop, garbage collection) is taken as even.

    Args:
        load: of the whole run.
        warmup: how many requests came before the run, or `auto`: cut by MSER-5.
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
        warmup=Warmup(
            MSER_5,
            len(load.requests) - len(kept),
            (begin_ns - load.requests.due_ns[0]) / 1e9,
            cut_mean_ms=float(latency_ns[:first].mean()) / NS_PER_MS,
            kept_mean_ms=float(latency_ns[first:].mean()) / NS_PER_MS,
        ),
    )


def settled_together(
    loads: Mapping[str, Measurement], warmup: int | Literal["auto"]
) -> dict[str, Measurement]:
    """The same of targets that were measured by turns: whole rounds are left out, the same of all.

    So what is left still pairs. The longest warm-up decides, up to half of the rounds.

    Args:
        loads: each in blocks, one a round.
        warmup: see `settled`.
    """
    if warmup != "auto":
        return {name: settled(load, warmup) for name, load in loads.items()}
    rounds = [len(load.block_ends) for load in loads.values()]
    cut = min(max(map(_rounds_to_cut, loads.values())), max(rounds) // 2)
    return {name: _without_rounds(load, cut) for name, load in loads.items()}


def _rounds_to_cut(load: Measurement) -> int:
    """How many rounds have a request in them that MSER-5 would cut."""
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
    """What of a series looks like warm-up that was not left out."""
    cut = truncation(values_ns)
    if not cut or cut >= len(values_ns) // 2 - _BATCH:
        return Leftover(0, 0.0)
    others = describe(values_ns[cut:])
    low_ms, high_ms = others.ci95["mean_ms"]
    mean_ms = float(values_ns.mean()) / NS_PER_MS
    beyond_ms = max(low_ms - mean_ms, mean_ms - high_ms, 0.0)
    return Leftover(cut, beyond_ms / others.mean_ms if others.mean_ms else 0.0)


def drift(values_ns: Nanoseconds) -> Drift | None:
    """Find a trend or a shift of the level: 5 % of all stationary series show one by chance.

    The test is Pettitt's for a change at an unknown place, on 20 batch means (Pettitt 1979, A
    non-parametric approach to the change-point problem, Applied Statistics 28).

    Returns:
        None where there is none, or where the series is worth too little to tell.
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
        share: how far either end of its 95 % interval may lie from it, as a fraction of it.

    Returns:
        None where the requests so far are worth too little for an interval.
    """
    found = describe(values_ns)
    if statistic not in found.ci95:
        return None
    low_ms, high_ms = found.ci95[statistic]
    value_ms: float = getattr(found, statistic)
    return max(high_ms - value_ms, value_ms - low_ms) <= share * value_ms

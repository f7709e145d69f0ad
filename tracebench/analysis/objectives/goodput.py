"""Goodput and objectives: the share of requests that meet every limit (`--slo`)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from typing import Final

import numpy as np

from tracebench.analysis.closure.decomposition import client_view, latency
from tracebench.analysis.closure.selection import Selection
from tracebench.analysis.objectives.limits import (
    LATENCY,
    STREAMED,
    limits_of,
    objectives_of,
    statistics_of,
)
from tracebench.analysis.statistics.rates import Share, share_below
from tracebench.analysis.streams.streams import answered, by_request
from tracebench.model.components import END_TO_END
from tracebench.model.measurement import Measurement
from tracebench.model.objectives import Limit, Met, Objective, ObjectiveResult
from tracebench.model.record.columns import ABSENT, Int64
from tracebench.model.record.exchange import Decomposition, Outcome
from tracebench.model.record.requests import CUT_SHORT, DRAW, OUTCOME, OUTCOME_CODES, Flags
from tracebench.model.record.streams import places_of
from tracebench.model.results.result import TargetResult
from tracebench.model.results.statistics import Statistics
from tracebench.model.results.stream_result import Goodput

_SUCCEEDED: Final = OUTCOME_CODES[Outcome.SUCCEEDED]


@dataclass(frozen=True)
class Judged:
    """The requests that ended, in the order of scheduling, to be judged by limits.

    A failure meets no limit. A success to which the metric does not apply meets the limit (a single
    token has no time per token, a cached answer no inference); a success with unknown server times
    is left out.
    """

    load: Measurement
    decomposition: Decomposition
    _cache: dict[str, tuple[Int64, Flags] | None] = field(default_factory=dict)

    @cached_property
    def _ended(self) -> Selection:
        return Selection(self.load.requests, lambda rows, _: ~np.isin(rows[OUTCOME], CUT_SHORT))

    @cached_property
    def _draws(self) -> Int64:
        return self._ended.column(lambda part: part.request(DRAW))

    @cached_property
    def _succeeded(self) -> Flags:
        return np.asarray(self._ended.column(lambda part: part.request(OUTCOME)) == _SUCCEEDED)

    @cached_property
    def _streamed(self) -> tuple[Int64, Mapping[str, Int64]]:
        """The draws of the requests whose replies streamed, and every stream metric of each."""
        if self.load.streams is None:
            return np.zeros(0, np.int64), {}
        them = answered(self.load.requests, self.load.streams)
        return them.rows["draw"].astype(np.int64), by_request(them)

    @property
    def ended_rps(self) -> float:
        """Requests that ended, per second."""
        return len(self._draws) / self.load.duration_s if self.load.duration_s else 0.0

    def has(self, metric: str) -> bool:
        """Whether any request has a value of this metric."""
        return self._known(metric) is not None

    def meeting(self, limits: Iterable[Limit]) -> Share | None:
        """The share that meets all limits; None if no request has the metric of one of them."""
        severity = np.where(self._succeeded, 0.0, inf)
        known = np.ones(len(severity), np.bool_)
        for limit in limits:
            found = self._known(limit.metric)
            if found is None:
                return None
            values_ns, told = found
            np.maximum(severity, values_ns / (limit.most_ms * 1e6), out=severity)
            known &= told | ~self._succeeded
        return share_below(severity[known]) if known.any() else None

    def _known(self, metric: str) -> tuple[Int64, Flags] | None:
        """A metric of each request in ns, `ABSENT` if not applicable; and flags: is it known?"""
        if metric not in self._cache:
            self._cache[metric] = self._found(metric)
        return self._cache[metric]

    def _found(self, metric: str) -> tuple[Int64, Flags] | None:
        if metric in (LATENCY, END_TO_END):
            return self._ended.column(latency), self._succeeded
        if metric in STREAMED:
            return self._of_stream(metric)
        if metric in self.decomposition.columns and self.decomposition.count:
            values_ns = self.decomposition.columns[metric]
            values_ns = np.where(values_ns < 0, ABSENT, values_ns)
            return self._placed(self.decomposition.draws(), values_ns)
        view = client_view(self.load.requests)
        if metric not in view:
            return None
        return self._placed(self._draws[self._succeeded], view[metric])

    def _of_stream(self, metric: str) -> tuple[Int64, Flags] | None:
        """A stream metric, as in `_known`; a success without a token misses limits on the first."""
        draws, values = self._streamed
        if metric not in values or not len(draws):
            return None
        values_ns, told = self._placed(draws, values[metric])
        late = np.iinfo(np.int64).max
        return np.where(told, values_ns, late), np.ones(len(told), np.bool_)

    def _placed(self, draws: Int64, values_ns: Int64) -> tuple[Int64, Flags]:
        at = places_of(self._draws, draws)
        told = at != ABSENT
        found = np.full(len(at), ABSENT)
        found[told] = values_ns[at[told]]
        return found, told


def unknown_metrics(judged: Judged) -> list[str]:
    """The metrics limited by `--slo` for which no request of a run has a value."""
    limits = [limit for one in _objectives(judged.load) if one.share for limit in one.limits]
    if not len(judged.load.requests):
        return []
    return [one.metric for one in limits if not judged.has(one.metric)]


def goodput(judged: Judged) -> Goodput | None:
    """The requests that meet every limit; None without limits, or if one's metric is unknown."""
    limits = [limit for one in _objectives(judged.load) if one.share for limit in one.limits]
    found = judged.meeting(limits) if limits else None
    if found is None:
        return None
    told = {limit.metric: limit.most_ms for limit in limits}
    return Goodput(found.value, found.value * judged.ended_rps, told, found.ci95)


def objectives(judged: Judged, target: TargetResult) -> tuple[ObjectiveResult, ...]:
    """How far a run of a sweep, or of a search, met each of its objectives.

    Args:
        judged: the requests of the run.
        target: the statistics of the run.
    """
    if judged.load.goodput is None:
        return ()
    return tuple(
        _of_mean(one, statistics_of(target, one.limits[0].metric))
        if one.share is None
        else _of_share(one, one.share, judged.meeting(one.limits))
        for one in _objectives(judged.load)
    )


def _of_share(asked: Objective, bound: float, found: Share | None) -> ObjectiveResult:
    if found is None:
        return ObjectiveResult(asked.expression, None, None, bound, 0, 0.0, "undecided")
    low, high = found.ci95
    decision: Met = "met" if low >= bound else "missed" if high < bound else "undecided"
    counts = (found.count, found.effective_count)
    return ObjectiveResult(asked.expression, found.value, (low, high), bound, *counts, decision)


def _of_mean(asked: Objective, found: Statistics | None) -> ObjectiveResult:
    """Judge a mean. Failures have no value and do not count; `errors` covers them."""
    bound_ms = asked.limits[0].most_ms
    if found is None:
        nothing = (None, None, bound_ms, 0, 0.0)
        return ObjectiveResult(asked.expression, *nothing, "undecided", is_share=False)
    interval = found.ci95.get("mean_ms")
    low, high = interval or (0.0, inf)
    decision: Met = "met" if high < bound_ms else "missed" if low >= bound_ms else "undecided"
    effective = float(found.effective_count or found.count)
    counts = (found.count, effective)
    return ObjectiveResult(
        asked.expression, found.mean_ms, interval, bound_ms, *counts, decision, is_share=False
    )


def _objectives(load: Measurement) -> Sequence[Objective]:
    """The objectives of a sweep; for a single run, its limits, to be met by all requests."""
    if not load.slo:
        return ()
    if load.goodput is None:
        return (Objective(load.slo, limits_of(load.slo), 1.0),)
    return objectives_of(load.slo, load.goodput)

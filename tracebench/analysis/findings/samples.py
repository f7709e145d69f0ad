"""Findings about the number of samples, and how many independent ones they are worth."""

from collections.abc import Collection, Mapping
from math import ceil
from typing import Any, Final

from tracebench.analysis.advice import LONGER, Advice, Situation
from tracebench.analysis.findings.finding import Evidence, FindingKind, weigh
from tracebench.analysis.numbers import rounded
from tracebench.analysis.statistics.distribution import SAMPLE_FLOORS
from tracebench.model.results.result import Finding
from tracebench.model.results.statistics import PERMILLE, Statistics

_CORRELATED_SAMPLES: Final = FindingKind(
    "correlated_samples",
    ((2.0, "info"), (20.0, "warning")),
    "successive requests are correlated: {count:,} are worth as much for the mean as "
    "{effective:,} independent ones; the intervals account for that",
    (
        *LONGER,
        Advice("a drift, a warm-up or a stall of the server correlates requests too"),
    ),
    "{count:,} correlated requests tell no more than {effective:,}",
    explained_by=("not_stationary", "warmup_too_short"),
)


def _correlated_samples(run: Evidence) -> Finding | None:
    if run.latency is None or not run.latency.effective_count:
        return None
    count, effective = run.latency.count, run.latency.effective_count
    return weigh(_CORRELATED_SAMPLES, count / effective, count=count, effective=effective)


def times_as_many(latency: Statistics | None, among: Collection[str] = tuple(PERMILLE)) -> int:
    """Roughly how many times as many requests give every one of these percentiles an interval.

    An estimate, since it ignores that correlation differs between percentiles.

    Args:
        latency: the statistics of the latency; None: there are none.
        among: the percentiles of interest, as `p95_ms`.
    """
    if latency is None:
        return 1
    worth = latency.effective_count or latency.count
    floors = (SAMPLE_FLOORS[name] for name in latency.unsupported if name in among)
    return max((2, *(ceil(floor / max(worth, 1)) for floor in floors)))


def amount(plan: Mapping[str, Any], times: int) -> str:
    """The option that asks for `times` as many requests; empty if no number can express that."""
    for name, option in (("duration_s", "--duration"), ("requests", "--requests")):
        asked = plan.get(name)
        if isinstance(asked, int | float) and asked > 0:
            return f"{option} {rounded(times * asked, 2).replace(',', '')}"
    return ""


def _amount(now: Situation) -> str:
    return amount(now.plan, times_as_many(now.target.latency)) or "more --requests"


_TOO_FEW_SAMPLES: Final = FindingKind(
    "too_few_samples",
    ((0, "info"), (3, "warning")),
    "{count:#sample is|samples are} too few{worth} for {names}: shown without an interval",
    (
        LONGER[0]._replace(short=_amount),
        *LONGER[1:],
        Advice(
            "independent samples needed are "
            + ", ".join(f"{least:,} for {name[:-3]}" for name, least in SAMPLE_FLOORS.items())
        ),
    ),
    "{names} need {times:.2g} times as many requests",
)


def _too_few_samples(run: Evidence) -> Finding | None:
    if run.latency is None:
        return None
    names, count, worth = run.latency.unsupported, run.latency.count, run.latency.effective_count
    return weigh(
        _TOO_FEW_SAMPLES,
        len(names),
        count=count,
        worth=", correlated as they are," if worth and worth < count else "",
        names=", ".join(name.removesuffix("_ms") for name in names),
        times=times_as_many(run.latency),
    )


KINDS: Final = (
    _CORRELATED_SAMPLES,
    _TOO_FEW_SAMPLES,
)
JUDGES: Final = (
    _correlated_samples,
    _too_few_samples,
)

"""Whether there are samples enough, and how many independent ones they are worth."""

from typing import Final

from tracebench.analysis.advice import LONGER, Advice
from tracebench.analysis.findings.finding import Evidence, FindingKind, weigh
from tracebench.analysis.statistics.distribution import SAMPLE_FLOORS
from tracebench.model.result import Finding

_CORRELATED_SAMPLES: Final = FindingKind(
    "correlated_samples",
    ((2.0, "info"), (20.0, "warning")),
    "successive requests are correlated: {count} tell as much of the mean as {effective} "
    "independent ones, which the intervals allow for",
    (
        *LONGER,
        Advice("a drift, a warm-up or a stall of the server correlates requests too"),
    ),
)


def _correlated_samples(run: Evidence) -> Finding | None:
    if run.latency is None or not run.latency.effective_count:
        return None
    count, effective = run.latency.count, run.latency.effective_count
    return weigh(_CORRELATED_SAMPLES, count / effective, count=count, effective=effective)


_TOO_FEW_SAMPLES: Final = FindingKind(
    "too_few_samples",
    ((0, "info"), (3, "warning")),
    "{count} samples{worth} are too few for {names}: given without an interval",
    (
        *LONGER,
        Advice(
            "independent samples needed are "
            + ", ".join(f"{least:,} for {name[:-3]}" for name, least in SAMPLE_FLOORS.items())
        ),
    ),
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
    )


KINDS: Final = (
    _CORRELATED_SAMPLES,
    _TOO_FEW_SAMPLES,
)
JUDGES: Final = (
    _correlated_samples,
    _too_few_samples,
)

"""The observer effect: what a server pays for being traced."""

from collections.abc import Iterable

import numpy as np

from tracebench.analysis.comparison import difference
from tracebench.analysis.statistics import describe
from tracebench.model.exchange import Exchange, Outcome
from tracebench.model.result import ObserverEffect


def observer_effect(
    traced: Iterable[Exchange], untraced: Iterable[Exchange]
) -> ObserverEffect | None:
    """Compare requests that asked for tracing with those of the same run that did not.

    Because it was drawn at random for each request, whatever drifts or comes in bursts meets both
    alike, and each is a random sample of the same moments: their intervals take the values as
    independent even where the series is correlated (Neyman 1923; Imbens & Rubin 2015, Causal
    Inference, chapter 6). What a traced request leaves behind for the next one is not seen.

    Returns:
        Differences of `end_to_end` between successes; None where either kind has none.
    """
    traced_ns, untraced_ns = (
        np.array([e.done_ns - e.scheduled_ns for e in of if e.outcome is Outcome.SUCCEEDED], int)
        for of in (traced, untraced)
    )
    if not len(traced_ns) or not len(untraced_ns):
        return None
    without = describe(untraced_ns, independent=True)
    within = describe(traced_ns, independent=True)
    return ObserverEffect(
        traced=within.count,
        untraced=without.count,
        mean_ms=difference("mean_ms", without, within),
        p50_ms=difference("p50_ms", without, within),
        p95_ms=difference("p95_ms", without, within),
    )

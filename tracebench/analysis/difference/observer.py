"""The observer effect: what a server pays for being traced."""

from tracebench.analysis.closure.closure import latency, successes
from tracebench.analysis.difference.comparison import difference
from tracebench.analysis.statistics.distribution import describe
from tracebench.model.requests import VARIANT, Requests
from tracebench.model.result import ObserverEffect


def observer_effect(requests: Requests, untraced_from: int) -> ObserverEffect | None:
    """Compare requests that asked for tracing with those of the same run that did not.

    The latter are the variants from `untraced_from` on.

    Because it was drawn at random for each request, whatever drifts or comes in bursts meets both
    alike, and each is a random sample of the same moments: their intervals take the values as
    independent even where the series is correlated (Neyman 1923; Imbens & Rubin 2015, Causal
    Inference, chapter 6). What a traced request leaves behind for the next one is not seen.

    Returns:
        Differences of `end_to_end` between successes; None where either kind has none.
    """
    chosen = successes(requests)
    latency_ns = chosen.column(latency)
    traced = chosen.column(lambda part: part.request(VARIANT)) < untraced_from
    traced_ns, untraced_ns = latency_ns[traced], latency_ns[~traced]
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

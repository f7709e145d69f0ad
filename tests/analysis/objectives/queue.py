"""A server that takes exactly 10 ms for one request at a time, and Poisson arrivals: M/D/1."""

from math import exp, factorial, floor

import numpy as np

from tracebench.analysis.objectives.levels import Seen, levels
from tracebench.analysis.objectives.search import Ask, Bounds, next_step
from tracebench.analysis.statistics.rates import share_below
from tracebench.model.objectives import ObjectiveResult

SERVICE_S, LIMIT_S, SHARE = 0.010, 0.050, 0.99


def waits_at_most(rate: float, wait_s: float) -> float:
    """The probability that a request of M/D/1 waits no longer.

    Source: Erlang 1909; Crommelin 1932, Delay probability formulae when the holding times are
    constant, P.O. Electrical Engineers Journal 25: with ρ = λD,
    P(W ≤ t) = (1 − ρ) Σ_{k=0}^{⌊t/D⌋} (λ(kD − t))^k / k! · e^{−λ(kD − t)}.
    """
    steps = floor(wait_s / SERVICE_S + 1e-9)
    past = (rate * (k * SERVICE_S - wait_s) for k in range(steps + 1))
    terms = (one**k / factorial(k) * exp(-one) for k, one in enumerate(past))
    return (1 - rate * SERVICE_S) * sum(terms)


def exact_rate(share: float = SHARE) -> float:
    """The rate at which exactly this share of the requests takes less than 50 ms."""
    low, high = 1.0, 99.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        if waits_at_most(middle, LIMIT_S - SERVICE_S) >= share:
            low = middle
        else:
            high = middle
    return low


def latencies_s(rate: float, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Of all requests that arrive in so many seconds, after an empty queue (Lindley 1952)."""
    count = max(int(rng.poisson(rate * seconds)), 1)
    arrivals = np.sort(rng.uniform(0, seconds, count))
    free = np.concatenate(([0.0], np.cumsum(SERVICE_S - np.diff(arrivals))))
    return np.asarray(free - np.minimum.accumulate(free) + SERVICE_S)


def measured(rate: float, seconds: float, rng: np.random.Generator) -> Seen:
    """A run of a search there, as it would be summed up; what it costs beside is 0.3 s."""
    share = share_below(latencies_s(rate, seconds, rng) / LIMIT_S)
    low, high = share.ci95
    decision = "met" if low >= SHARE else "missed" if high < SHARE else "undecided"
    counts = (share.count, share.effective_count)
    one = ObjectiveResult("p99 < 50ms", share.value, (low, high), SHARE, *counts, decision)  # type: ignore[arg-type]
    return Seen(rate, seconds + 0.3, share.count, (one,))


def searched(seed: int, bounds: Bounds) -> tuple[float | None, list[Seen], str]:
    """A whole search: the highest load that was met, all that was seen, and why it ended."""
    rng, seen = np.random.default_rng(seed), list[Seen]()
    while isinstance(ask := next_step(seen, bounds, sum(one.seconds for one in seen)), Ask):
        assert bounds.least <= ask.load <= bounds.most
        seen.append(measured(ask.load, ask.seconds, rng))
    met = [one.load for one in levels(seen) if one.decision == "met"]
    return max(met, default=None), seen, ask

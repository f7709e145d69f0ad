"""When requests are due: constant or Poisson arrivals of any rate that changes with time.

The k-th arrival is where the expected number of arrivals so far, Λ(t) = ∫ rate, reaches k
(constant), or the sum of k exponential gaps of mean 1 (Poisson: time change of a unit process,
Çınlar, Introduction to Stochastic Processes, chapter 4.7). No clock is read.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, count, repeat
from math import inf, sqrt
from random import Random

from tracebench.model.plan import Arrival, Segment

_NS = 1e9


def arrivals_ns(segments: Sequence[Segment], arrival: Arrival, seed: int) -> Iterator[int]:
    """When each request is due, in ns from the begin.

    Args:
        segments: how the rate goes; only the last may be endless.
        arrival: evenly spaced, or a Poisson process.
        seed: of the Poisson process.
    """
    return (round(at_s * _NS) for at_s in _inverse(segments, _expected(arrival, seed)))


def _expected(arrival: Arrival, seed: int) -> Iterator[float]:
    """How many arrivals are to be expected until each of them: rising, from 0 on."""
    if arrival == "constant":
        yield from map(float, count())
    draw, total = Random(seed).expovariate, 0.0
    for rate in repeat(1.0):
        yield (total := total + draw(rate))


def _inverse(segments: Iterable[Segment], expected: Iterator[float]) -> Iterator[float]:
    """The moments at which Λ reaches the expected numbers."""
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
    """How long after a segment's begin so many arrivals are to be expected in it.

    Solves from·t + slope·t²/2 = number, in the form that is exact for a slope of 0 as well.
    """
    slope = 0.0
    if segment.duration_s != inf:
        slope = (segment.to_rps - segment.from_rps) / segment.duration_s
    root = sqrt(max(segment.from_rps**2 + 2 * slope * number, 0.0))
    return 2 * number / (segment.from_rps + root) if number else 0.0

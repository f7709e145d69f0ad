"""Pairs of measurements → ratios, intervals, and whether a bound holds; pure.

The two sides of a pair are measured back to back, so a drifting machine affects both alike. A
check reports the median over its pairs, with a 95 % percentile bootstrap interval: pairs are
resampled with replacement.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, NamedTuple, Protocol

RESAMPLES: Final = 4_000
TAIL: Final = 0.025


class Pair(NamedTuple):
    base: float
    now: float


Pairs = Sequence[Pair]


class Estimate(NamedTuple):
    """A median over pairs, and its 95 % interval."""

    middle: float
    low: float
    high: float


def ratio(pair: Pair) -> float:
    """Now over base; two zeros are equal."""
    if pair.base == 0:
        return 1.0 if pair.now == 0 else float("inf")
    return pair.now / pair.base


def excess(pair: Pair) -> float:
    return pair.now - pair.base


def estimate(pairs: Pairs, of: Callable[[Pair], float]) -> Estimate:
    """The median of something of each pair, with its interval."""
    values, source = sorted(map(of, pairs)), random.Random(0)  # in any order, the same draws
    drawn = sorted(median(source.choices(values, k=len(values))) for _ in range(RESAMPLES))
    low, high = drawn[int(TAIL * RESAMPLES)], drawn[int((1 - TAIL) * RESAMPLES) - 1]
    return Estimate(median(values), low, high)


class Verdict(NamedTuple):
    """The estimate as text, and whether the bound holds."""

    text: str
    holds: bool


class Bound(Protocol):
    def __str__(self) -> str: ...
    def judged(self, pairs: Pairs) -> Verdict: ...


@dataclass(frozen=True, slots=True)
class AtLeast:
    """The whole interval of the ratio is at or above a limit."""

    limit: float

    def __str__(self) -> str:
        return f"≥ {self.limit:.2f} ×"

    def judged(self, pairs: Pairs) -> Verdict:
        found = estimate(pairs, ratio)
        return Verdict(_times(found), found.low >= self.limit)


@dataclass(frozen=True, slots=True)
class AtMost:
    """The whole interval of the ratio is at or below a limit."""

    limit: float

    def __str__(self) -> str:
        return f"≤ {self.limit:.2f} ×"

    def judged(self, pairs: Pairs) -> Verdict:
        found = estimate(pairs, ratio)
        return Verdict(_times(found), found.high <= self.limit)


@dataclass(frozen=True, slots=True)
class MedianAtMost:
    """The median of the ratio is at or below a limit: for maxima, whose intervals are wide."""

    limit: float

    def __str__(self) -> str:
        return f"median ≤ {self.limit:.2f} ×"

    def judged(self, pairs: Pairs) -> Verdict:
        found = estimate(pairs, ratio)
        return Verdict(_times(found), found.middle <= self.limit)


@dataclass(frozen=True, slots=True)
class MoreByAtMost:
    """The whole interval of the difference is at or below an amount, or a share of a value."""

    amount: float
    share: float
    of: float
    """What the share refers to; 0: the median of the base."""

    def __str__(self) -> str:
        whole = f"{self.of:g}" if self.of else "base"
        return f"≤ +max({self.amount:g}, {self.share:.0%} of {whole})"

    def judged(self, pairs: Pairs) -> Verdict:
        found = estimate(pairs, excess)
        whole = self.of or median(pair.base for pair in pairs)
        text = f"{found.middle:+.1f} [{found.low:+.1f}, {found.high:+.1f}]"
        return Verdict(text, found.high <= max(self.amount, self.share * whole))


@dataclass(frozen=True, slots=True)
class Never:
    """Zero in every round."""

    def __str__(self) -> str:
        return "0 in every round"

    def judged(self, pairs: Pairs) -> Verdict:
        worst = max(pair.now for pair in pairs)
        return Verdict(f"largest {worst:g}", worst == 0)


def _times(found: Estimate) -> str:
    return f"{found.middle:.3f} [{found.low:.3f}, {found.high:.3f}]"

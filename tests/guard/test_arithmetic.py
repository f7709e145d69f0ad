"""Ratios, intervals and bounds, from values whose answers are known."""

import random
from collections.abc import Sequence

import pytest

from benchmarks.guard.arithmetic import (
    AtLeast,
    AtMost,
    Bound,
    MedianAtMost,
    MoreByAtMost,
    Never,
    Pair,
    estimate,
    excess,
    ratio,
)


def pairs(*ratios: float, base: float = 100.0) -> list[Pair]:
    return [Pair(base, base * one) for one in ratios]


def noisy(centre: float, spread: float, count: int, seed: int) -> list[Pair]:
    """Pairs on a machine that drifts: both sides by the same factor, and each by its own noise."""
    source = random.Random(seed)
    drift = [source.uniform(0.5, 2) for _ in range(count)]
    return [
        Pair(100 * each * source.gauss(1, spread), 100 * each * centre * source.gauss(1, spread))
        for each in drift
    ]


def test_each_pair_has_a_ratio_of_its_own() -> None:
    found = estimate([Pair(1, 2), Pair(100, 200), Pair(10, 20)], ratio)
    assert found == (2.0, 2.0, 2.0)


def test_a_single_pair_is_its_own_interval() -> None:
    assert estimate([Pair(10, 9)], ratio) == (0.9, 0.9, 0.9)
    assert estimate([Pair(10, 9)], excess) == (-1, -1, -1)


@pytest.mark.parametrize(
    ("pair", "expected"), [(Pair(0, 0), 1.0), (Pair(0, 3), float("inf")), (Pair(4, 2), 0.5)]
)
def test_a_base_of_zero(pair: Pair, expected: float) -> None:
    assert ratio(pair) == expected


def test_the_interval_lies_within_the_values_and_around_the_median() -> None:
    found = estimate(pairs(0.9, 0.95, 1.0, 1.05, 1.3), ratio)
    assert 0.9 <= found.low < found.middle < found.high <= 1.3
    assert found.middle == pytest.approx(1.0)


def test_the_same_pairs_give_the_same_interval_in_any_order() -> None:
    given = noisy(1.0, 0.05, 45, seed=3)
    assert estimate(given[::-1], ratio) == estimate(given, ratio)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    intervals = [estimate(noisy(0.97, 0.05, 15, seed), ratio) for seed in range(100)]
    covered = sum(one.low <= 0.97 <= one.high for one in intervals)
    assert 88 <= covered <= 100  # 95 on average; 5 in 1,000 such hundreds have fewer than 89


def test_drift_that_both_sides_share_does_not_widen_the_interval() -> None:
    still = [Pair(100, 98)] * 10
    drifting = [Pair(100 * n, 98 * n) for n in range(1, 11)]
    assert estimate(drifting, ratio) == estimate(still, ratio)


@pytest.mark.parametrize(
    ("bound", "given", "holds"),
    [
        (AtLeast(0.96), pairs(0.96, 0.97, 0.98), True),
        (AtLeast(0.96), pairs(0.90, 1.0, 1.1), False),  # not shown: its interval is too wide
        (AtLeast(0.96), pairs(0.9, 0.9, 0.9), False),
        (AtMost(1.05), pairs(1.0, 1.02, 1.05), True),
        (AtMost(1.05), pairs(1.0, 1.0, 1.2), False),
        (AtMost(1.05), pairs(1.1, 1.1, 1.1), False),
        (MedianAtMost(1.1), pairs(0.5, 1.1, 9.0), True),
        (MedianAtMost(1.1), pairs(0.5, 1.2, 9.0), False),
        (Never(), [Pair(7, 0), Pair(7, 0)], True),
        (Never(), [Pair(0, 0), Pair(0, 1)], False),
    ],
)
def test_what_a_bound_says(bound: Bound, given: Sequence[Pair], holds: bool) -> None:
    assert bound.judged(given).holds is holds


@pytest.mark.parametrize(
    ("of", "now", "holds"),
    [
        (0, 160, True),  # 60 more: the amount
        (0, 161, False),
        (2_500, 175, True),  # 75 more: 3 % of 2,500
        (2_500, 176, False),
    ],
)
def test_an_amount_or_a_share_whichever_is_more(of: float, now: float, holds: bool) -> None:
    assert MoreByAtMost(60, 0.03, of).judged([Pair(100, now)] * 3).holds is holds


def test_the_share_is_of_the_base_where_nothing_else_is_given() -> None:
    bound = MoreByAtMost(60, 0.03, of=0)
    assert bound.judged([Pair(10_000, 10_300)]).holds
    assert not bound.judged([Pair(10_000, 10_301)]).holds


def test_bounds_and_estimates_as_they_are_printed() -> None:
    assert [str(AtLeast(0.96)), str(AtMost(1.05))] == ["≥ 0.96 ×", "≤ 1.05 ×"]
    assert str(MoreByAtMost(60, 0.03, 2_000)) == "≤ +max(60, 3% of 2000)"
    assert AtMost(1.05).judged(pairs(1.0)).text == "1.000 [1.000, 1.000]"
    assert MoreByAtMost(60, 0.03, 0).judged([Pair(100, 95.5)]).text == "-4.5 [-4.5, -4.5]"

"""Intervals of shares and rates: against known answers, and in simulations with known ones."""

import numpy as np
import pytest

from tracebench.analysis.statistics.rates import (
    rate_ci95,
    rate_of_blocks_ci95,
    share_below,
    share_of,
    wilson,
)


@pytest.mark.parametrize(
    ("share", "count", "low", "high"),
    [
        (0, 10, 0, 0.2775),  # Newcombe 1998, Statistics in Medicine 17, table I, method 3
        (81 / 263, 263, 0.2553, 0.3662),
        (15 / 148, 148, 0.0624, 0.1605),
        (1 / 29, 29, 0.0061, 0.1718),
        (1, 10, 0.7225, 1),
    ],
)
def test_wilson(share: float, count: float, low: float, high: float) -> None:
    assert wilson(share, count) == pytest.approx((low, high), abs=5e-5)


def test_events_that_come_together_tell_less() -> None:
    together = np.repeat(np.arange(100) % 10 == 0, 20)
    apart = np.arange(2_000) % 10 == 0
    assert share_of(apart).effective_count == 2_000
    assert share_of(together).effective_count < 400
    low, high = share_of(together).ci95
    assert low < 0.09
    assert high > 0.11


def test_a_rate_of_arrivals_at_random_is_covered() -> None:
    rng, covered, rate = np.random.default_rng(5), 0, 50.0
    for _ in range(400):
        at_s = np.cumsum(rng.exponential(1 / rate, 3_000))
        at_s = at_s[at_s < 20]
        found = rate_ci95((at_s * 1e9).astype(np.int64), 0, 20.0)
        assert found is not None
        covered += found[0] <= rate <= found[1]
    assert 0.92 * 400 <= covered <= 0.98 * 400


def test_a_steady_rate_is_known_exactly() -> None:
    done_ns = (np.arange(1_600) * 1e7 + 5e6).astype(np.int64)
    assert rate_ci95(done_ns, 0, 16.0) == (100, 100)


def test_a_rate_needs_some_requests_and_a_run_without_pauses() -> None:
    done_ns = (np.arange(1_600) * 1e7).astype(np.int64)
    assert rate_ci95(done_ns[:63], 0, 1.0) is None
    assert rate_ci95(done_ns, 0, 8.0) is None
    assert rate_ci95(done_ns, 0, 0.0) is None


def test_how_rare_misses_come_together_is_told_by_the_slowest() -> None:
    """Waiting times of a queue: a run without any miss is not as sure as independent requests."""
    rng = np.random.default_rng(3)
    gaps = rng.exponential(1 / 0.5, 4_000)
    steps = np.concatenate(([0.0], np.cumsum(1 - gaps[1:])))
    waits = steps - np.minimum.accumulate(steps)
    none_misses = share_below(waits / (waits.max() + 1))
    assert none_misses.value == 1
    assert none_misses.effective_count < 4_000 / 2
    alone = share_below(rng.exponential(1, 4_000) / 100)
    assert alone.effective_count == 4_000
    assert share_below(np.zeros(50)).effective_count == 50


def test_a_failure_is_no_small_miss() -> None:
    assert share_below(np.array([0.5, np.inf, 1.0, 0.0])).value == 0.5


def test_a_rate_in_blocks_of_unequal_length_is_covered() -> None:
    rng, covered, rate = np.random.default_rng(7), 0, 200.0
    for _ in range(400):
        seconds = rng.uniform(0.4, 0.8, 12)
        found = rate_of_blocks_ci95(rng.poisson(rate * seconds), seconds)
        assert found is not None
        covered += found[0] <= rate <= found[1]
    assert 365 <= covered <= 392


def test_blocks_at_one_rate_leave_no_doubt_and_few_tell_nothing() -> None:
    seconds = np.array([0.5, 1.0, 0.5, 0.5, 2.0, 1.0])
    assert rate_of_blocks_ci95(np.array([50, 100, 50, 50, 200, 100]), seconds) == (100.0, 100.0)
    assert rate_of_blocks_ci95(np.array([50, 60, 50, 50, 60]), seconds[:5]) is None

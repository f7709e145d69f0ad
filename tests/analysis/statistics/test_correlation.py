"""Correlated series: how much they are worth, and that their intervals cover what they promise."""

import numpy as np
import pytest

from tests.analysis.series import consistent, latencies, normal, true_ms
from tracebench.analysis.statistics.correlation import exceedance_inflation, inflation, moments
from tracebench.analysis.statistics.distribution import SAMPLE_FLOORS, describe
from tracebench.model.record.exchange import Nanoseconds


def coverage(series: Nanoseconds, statistic: str) -> int:
    """In how many runs the interval holds the truth."""
    truth_ms = true_ms(statistic)
    intervals = (describe(run_ns).ci95[statistic] for run_ns in series)
    return sum(low_ms <= truth_ms <= high_ms for low_ms, high_ms in intervals)


@pytest.mark.parametrize("statistic", ["mean_ms", "p50_ms", "p95_ms", "p99_ms"])
def test_intervals_of_independent_requests_cover_what_they_promise(statistic: str) -> None:
    runs = 1000
    assert consistent(coverage(latencies(normal(7, runs, 5000)), statistic), runs, 0.95)


@pytest.mark.parametrize("statistic", ["mean_ms", "p50_ms", "p90_ms", "p95_ms"])
def test_intervals_of_correlated_requests_cover_nine_in_ten(statistic: str) -> None:
    series = latencies(normal(8, 500, 2000, phi=0.8))
    assert coverage(series, statistic) >= 0.9 * len(series)


def test_without_correction_they_would_not() -> None:
    series = latencies(normal(8, 500, 2000, phi=0.8))
    shuffled = np.random.default_rng(1).permuted(series, axis=1)
    assert coverage(shuffled, "mean_ms") < 0.7 * len(series)


@pytest.mark.parametrize(("phi", "true"), [(0.5, 3.0), (0.8, 9.0), (0.9, 19.0)])
def test_inflation_is_what_the_process_has(phi: float, true: float) -> None:
    """(1 + φ) / (1 − φ): the limit of n · var(mean) / var."""
    steps = (normal(9, 50, 20_000, phi) * 1e6).astype(np.int64)
    assert np.mean([inflation(run_ns, moments(run_ns)) for run_ns in steps]) == pytest.approx(
        true, rel=0.1
    )


def test_independent_requests_are_rarely_taken_for_correlated() -> None:
    series = latencies(normal(10, 400, 2000))
    assert sum(inflation(run_ns, moments(run_ns)) > 1 for run_ns in series) <= 0.08 * len(series)
    over = [exceedance_inflation(run_ns, int(np.median(run_ns))) > 1 for run_ns in series]
    assert sum(over) <= 0.08 * len(series)


@pytest.mark.parametrize("values", [[5] * 1000, list(range(127)), [1], [1, 900]])
def test_where_nothing_can_be_told_nothing_is_corrected(values: list[int]) -> None:
    series = np.array(values, np.int64)
    assert inflation(series, moments(series)) == 1.0
    assert exceedance_inflation(series, int(series.max())) == 1.0


def test_a_stall_costs_the_tail_its_interval() -> None:
    """All the slow ones in a row are one event, however many requests it met."""
    quick = np.random.default_rng(2).integers(9_000_000, 11_000_000, 2000)
    together, apart = quick.copy(), quick.copy()
    together[1000:1040] += 500_000_000
    apart[::50] += 500_000_000
    assert "p99_ms" in describe(together).unsupported
    assert "p99_ms" not in describe(apart).unsupported
    assert "p50_ms" in describe(together).ci95


def test_floors_count_what_requests_are_worth() -> None:
    series = latencies(normal(11, 1, 2 * SAMPLE_FLOORS["p99_ms"], phi=0.95)[0])
    found = describe(series)
    assert found.effective_count is not None
    assert found.effective_count < 0.2 * found.count
    assert "p99_ms" in found.unsupported
    assert found.unsupported == tuple(n for n in SAMPLE_FLOORS if n not in found.ci95)

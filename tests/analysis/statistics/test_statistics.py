"""Statistics: exact small tables, floors, and the coverage of the intervals."""

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracebench.analysis.statistics.correlation import student_t95
from tracebench.analysis.statistics.distribution import (
    SAMPLE_FLOORS,
    curve,
    describe,
    interval_ranks,
    rank,
)
from tracebench.model.record.exchange import Nanoseconds
from tracebench.model.results.statistics import PERMILLE, Statistics


def milliseconds(*values_ms: float) -> Nanoseconds:
    return np.array([value * 1e6 for value in values_ms], np.int64)


def first(count: int) -> Nanoseconds:
    """1, 2, … count ms, shuffled."""
    return milliseconds(*np.random.default_rng(1).permutation(np.arange(1, count + 1)))


def test_one_value() -> None:
    found = describe(milliseconds(2.5))
    percentiles = dict.fromkeys(PERMILLE, 2.5)
    assert found == Statistics(
        count=1,
        mean_ms=2.5,
        std_ms=0.0,
        min_ms=2.5,
        max_ms=2.5,
        ci95={},
        unsupported=tuple(PERMILLE),
        effective_count=1,
        **percentiles,
    )


def test_ten_values() -> None:
    found = describe(first(10))
    assert (found.count, found.mean_ms, found.min_ms, found.max_ms) == (10, 5.5, 1.0, 10.0)
    assert found.std_ms == pytest.approx((82.5 / 9) ** 0.5, rel=1e-12)
    assert (found.p50_ms, found.p90_ms, found.p95_ms, found.p99_ms) == (5.0, 9.0, 10.0, 10.0)
    half_ms = 2.262157 * found.std_ms / 10**0.5
    assert found.ci95["mean_ms"] == pytest.approx((5.5 - half_ms, 5.5 + half_ms), rel=1e-5)
    assert found.ci95["p50_ms"] == (1.0, 9.0)
    assert found.ci95.keys() == {"mean_ms", "p50_ms"}


def test_a_thousand_values() -> None:
    found = describe(first(1000))
    assert (found.p50_ms, found.p90_ms, found.p95_ms) == (500.0, 900.0, 950.0)
    assert (found.p99_ms, found.p999_ms) == (990.0, 999.0)
    assert found.ci95["p50_ms"] == (469.0, 531.0)
    assert found.ci95["p99_ms"] == (983.0, 997.0)
    assert found.unsupported == ("p999_ms",)


def test_nothing_is_rounded() -> None:
    assert describe(np.array([1_234_567], np.int64)).p50_ms == 1.234567


@pytest.mark.parametrize(("count", "supported"), [(600, False), (661, False), (662, True)])
def test_the_floor_of_p99(count: int, supported: bool) -> None:
    found = describe(first(count))
    assert ("p99_ms" in found.unsupported) is not supported
    assert ("p99_ms" in found.ci95) is supported


@pytest.mark.parametrize("name", PERMILLE)
def test_every_floor(name: str) -> None:
    least = SAMPLE_FLOORS[name]
    for count in (least - 1, least):
        found = describe(first(count))
        assert (name in found.unsupported) is (count < least)
        assert (name in found.ci95) is (count >= least)


def test_a_mean_of_five_has_no_interval() -> None:
    assert "mean_ms" not in describe(first(5)).ci95
    assert "mean_ms" in describe(first(6)).ci95


def test_a_constant_reads_as_itself() -> None:
    found = describe(milliseconds(*[147.0] * 700))
    assert found.ci95["mean_ms"] == found.ci95["p99_ms"] == (147.0, 147.0)
    assert found.std_ms == 0.0


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=400))
def test_percentiles_are_latencies_that_occurred(values: list[int]) -> None:
    found = describe(np.array(values, np.int64))
    for name, permille in PERMILLE.items():
        percentile_ms = getattr(found, name)
        below = sum(value / 1e6 <= percentile_ms for value in values)
        under = sum(value / 1e6 < percentile_ms for value in values)
        assert 1000 * under < permille * len(values) <= 1000 * below
        low_ms, high_ms = found.ci95.get(name, (percentile_ms, percentile_ms))
        assert found.min_ms <= low_ms <= percentile_ms <= high_ms <= found.max_ms


@pytest.mark.parametrize(
    ("count", "permille", "expected"),
    [(1, 500, 1), (1, 999, 1), (2, 500, 1), (3, 500, 2), (10, 900, 9), (1000, 999, 999)],
)
def test_nearest_ranks(count: int, permille: int, expected: int) -> None:
    assert rank(count, permille) == expected


def coverage(count: int, permille: int) -> float:
    """The exact chance that the interval holds the percentile of a continuous distribution."""
    low, high = interval_ranks(count, permille)
    outcomes = (
        comb(count, k) * permille**k * (1000 - permille) ** (count - k) for k in range(low, high)
    )
    return float(Fraction(sum(outcomes), 1000**count))


@pytest.mark.parametrize(("name", "permille"), PERMILLE.items())
def test_intervals_cover_what_they_promise(name: str, permille: int) -> None:
    least = SAMPLE_FLOORS[name]
    for count in (least, least + least // 3, 2 * least):
        assert 0.947 <= coverage(count, permille) <= 0.99


@pytest.mark.parametrize(
    ("degrees", "quantile"), [(5, 2.570582), (10, 2.228139), (30, 2.042272), (10**6, 1.959966)]
)
def test_student_s_t(degrees: int, quantile: float) -> None:
    assert student_t95(degrees) == pytest.approx(quantile, abs=1e-3)


def test_a_curve_of_few() -> None:
    found = curve(milliseconds(3, 1, 2, 2))
    assert found.quantile == (0.0, 0.25, 0.5, 0.75, 1.0)
    assert found.ms == (1.0, 1.0, 2.0, 2.0, 3.0)


def test_a_curve_of_many_is_denser_in_the_tail() -> None:
    found = curve(np.arange(1, 1_000_001, dtype=np.int64))
    assert len(found.ms) == len(found.quantile) <= 200
    assert (found.quantile[0], found.quantile[1], found.quantile[-1]) == (0.0, 1e-6, 1.0)
    assert sum(quantile >= 0.9 for quantile in found.quantile) > 60
    assert sum(quantile >= 0.999 for quantile in found.quantile) > 20


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=2000))
def test_a_curve_lies_on_the_distribution(values: list[int]) -> None:
    found, ordered = curve(np.array(values, np.int64)), sorted(values)
    assert (found.quantile[0], found.quantile[-1]) == (0.0, 1.0)
    assert list(found.quantile) == sorted(set(found.quantile))
    assert found.ms[0] == ordered[0] / 1e6
    for quantile, latency_ms in zip(found.quantile[1:], found.ms[1:], strict=True):
        assert latency_ms == ordered[round(quantile * len(ordered)) - 1] / 1e6

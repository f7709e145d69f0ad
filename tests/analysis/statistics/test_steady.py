"""Warm-up found and cut, drift found where there is one, and when a run may end."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from tests.analysis.samples import MS, SUCCESS, TIMED_OUT, load
from tests.analysis.series import consistent, latencies, normal, warming_up
from tracebench.analysis.statistics.distribution import describe
from tracebench.analysis.statistics.steady_state import drift, leftover, settled, stable, truncation
from tracebench.model.record.exchange import Exchange
from tracebench.model.results.result import Warmup

RUNS = 200


@pytest.mark.parametrize("seed", range(5))
def test_the_warm_up_of_a_minute_is_cut_to_within_one_per_cent(seed: int) -> None:
    series = warming_up(60, seed)
    assert describe(series).mean_ms > 10.2
    kept = series[truncation(series) :]
    assert describe(kept).mean_ms == pytest.approx(10, rel=0.01)
    assert len(kept) > 0.7 * len(series)


def test_after_ten_seconds_it_is_not_over() -> None:
    series = warming_up(10, 1)
    assert describe(series[truncation(series) :]).mean_ms > 10.2


def test_of_a_steady_run_little_is_cut() -> None:
    cut = [truncation(run_ns) for run_ns in latencies(normal(21, RUNS, 1000))]
    assert np.mean(cut) < 0.02 * 1000


@pytest.mark.parametrize(("slow", "cut"), [(0, 0), (4, 5), (5, 5), (23, 25), (300, 300)])
def test_what_is_cut_of_a_plain_step(slow: int, cut: int) -> None:
    series = np.full(600, 10 * MS)
    series[:slow] += 5 * MS
    assert truncation(series) == cut


def test_at_most_half_is_cut_and_nothing_of_a_few() -> None:
    falling = np.arange(1000, 0, -1) * MS
    assert truncation(falling) == 500
    assert truncation(falling[:99]) == 0


def numbered(latency_ms: float, number: int) -> Exchange:
    start_ns = number * 100 * MS
    done_ns = start_ns + round(latency_ms * MS)
    return SUCCESS._replace(trace_id=f"{number:032x}", scheduled_ns=start_ns, done_ns=done_ns)


def test_a_cut_run_has_forgotten_its_begin() -> None:
    exchanges = [numbered(30 if n < 10 else 10, n) for n in range(200)]
    late = TIMED_OUT._replace(scheduled_ns=exchanges[3].scheduled_ns, done_ns=5_000 * MS)
    run = replace(load([*reversed(exchanges), late]), duration_s=19.91, cpu_s=2.0)
    run = replace(run, stalled_s=0.2, gc_pause_s=0.1)
    found = settled(run, "auto")
    assert {one.trace_id for one in list(found.requests)} == {f"{n:032x}" for n in range(14, 200)}
    assert found.warmup is not None
    assert replace(found.warmup, cut_mean_ms=None) == Warmup("MSER-5", 15, 1.4, None, 10.0)
    assert found.warmup.cut_mean_ms == pytest.approx(336)
    assert found.duration_s == pytest.approx(18.51)
    assert found.cpu_s == pytest.approx(2.0 * 18.51 / 19.91)
    assert found.stalled_s / found.duration_s == pytest.approx(0.2 / 19.91)
    assert found.gc_pause_s / found.duration_s == pytest.approx(0.1 / 19.91)


def test_a_run_without_a_warm_up_keeps_all() -> None:
    run = load([numbered(10, n) for n in range(200)])
    assert settled(run, "auto") == replace(run, warmup=Warmup("MSER-5", 0, 0.0))
    assert settled(load([]), "auto").warmup == Warmup("MSER-5", 0, 0.0)


def test_requests_before_the_run_are_noted() -> None:
    run = load([SUCCESS])
    assert settled(run, 0) == run
    assert settled(run, 25).warmup == Warmup("requests", 25)


def found_in(change: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]) -> int:
    along = change(np.linspace(0, 1, 1000))
    runs = latencies(normal(22, RUNS, 1000)) * along
    return sum(drift(run_ns.astype(np.int64)) is not None for run_ns in runs)


def test_a_stationary_server_is_rejected_in_one_of_twenty() -> None:
    assert consistent(found_in(np.ones_like), RUNS, 0.05)


def test_so_is_one_whose_requests_lean_on_each_other() -> None:
    runs = latencies(normal(23, RUNS, 4000, phi=0.8))
    assert consistent(sum(drift(run_ns) is not None for run_ns in runs), RUNS, 0.05)


@pytest.mark.parametrize(
    "change",
    [lambda t: 1 + 0.4 * t, lambda t: 1.4 - 0.4 * t, lambda t: np.where(t < 0.75, 1, 1.3)],
    ids=["rising", "falling", "shifted"],
)
def test_a_trend_and_a_shift_are_found(
    change: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]],
) -> None:
    assert found_in(change) >= 0.95 * RUNS


def test_a_shift_is_told_with_its_place_and_size() -> None:
    quick = np.random.default_rng(3).integers(9 * MS, 11 * MS, 2000)
    quick[1300:] += 5 * MS
    found = drift(quick)
    assert found is not None
    assert found.at == 0.65
    assert found.before_ms == pytest.approx(10, rel=0.01)
    assert found.after_ms == pytest.approx(15, rel=0.01)
    assert found.change == pytest.approx(0.5, rel=0.02)


def test_a_queue_that_only_grows_is_a_drift_and_no_warm_up() -> None:
    growing = np.arange(1, 1001) * MS
    found = drift(growing)
    assert found is not None
    assert found.at == 0.5
    assert found.change == pytest.approx(2, rel=0.01)
    assert leftover(growing).shift == leftover(growing[::-1].copy()).shift == 0


@pytest.mark.parametrize("count", [1, 99, 1000])
def test_a_constant_does_not_drift(count: int) -> None:
    assert drift(np.full(count, 147 * MS)) is None
    assert leftover(np.full(count, 147 * MS)).shift == 0


def test_too_little_tells_no_drift() -> None:
    assert drift(np.arange(99) * MS) is None
    assert drift((normal(4, 1, 500, phi=0.98)[0] * MS).astype(np.int64) + 10 * MS) is None


def test_a_warm_up_left_in_is_found() -> None:
    steady = latencies(normal(24, 1, 1000)[0])
    assert leftover(steady).shift == 0
    steady[:100] *= 3
    found = leftover(steady)
    assert 100 <= found.cut <= 120
    assert found.shift == pytest.approx(0.2, abs=0.08)


@pytest.mark.parametrize(("share", "expected"), [(0.0307, True), (0.0305, False)])
def test_stable_on_both_sides_of_the_limit(share: float, expected: bool) -> None:
    series = np.random.default_rng(1).permutation(np.arange(1, 1001)) * MS
    assert describe(series).ci95["p50_ms"] == (469.0, 531.0)
    assert stable(series, "p50_ms", 2.03 * share) is expected


def test_stable_is_unknown_below_the_floor() -> None:
    assert stable(np.full(661, MS), "p99_ms", 0.02) is None
    assert stable(np.full(662, MS), "p99_ms", 0.02) is True

"""Latency over time: buckets, warm-up, errors and stalls."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.samples import FAILED, SUCCESS, TIMED_OUT, load, shifted, target
from tests.records import record
from tracebench.analysis.statistics.timeline import MOST, timeline
from tracebench.analysis.summary.summary import summarise
from tracebench.model.record.exchange import Decomposition

MS = 1_000_000
NONE = np.zeros(0, np.int64)
Array = np.ndarray[tuple[int], np.dtype[np.int64]]


def ns(*milliseconds: float) -> Array:
    return np.array([round(one * MS) for one in milliseconds], np.int64)


def test_each_bucket_is_described() -> None:
    due = np.concatenate((np.arange(40) * 0.25, 20 + np.arange(5))) * MS
    found = timeline(due.astype(np.int64), ns(*range(1, 46)), ns(3, 21), 0)
    assert found.bucket_s == 0.001
    assert found.start_s[:3] == (0.0, 0.001, 0.002)
    assert found.count == (*[4] * 10, *[0] * 10, *[1] * 5)
    assert found.errors == (0, 0, 0, 1, *[0] * 17, 1, 0, 0, 0)
    assert found.min_ms[:2] == (1.0, 5.0)
    assert found.p50_ms[:2] == (2.0, 6.0)
    assert found.max_ms[:2] == (4.0, 8.0)
    assert found.max_ms[10] is found.min_ms[10] is found.p50_ms[10] is None
    assert set(found.p95_ms) == {None}


def test_a_95th_percentile_needs_20_values() -> None:
    due = np.zeros(39, np.int64)
    due[-1] = 60 * MS
    found = timeline(due, ns(*range(39, 0, -1)), NONE, 0)
    assert (found.count[0], found.p95_ms[0], found.p50_ms[0]) == (38, 38.0, 20.0)
    assert found.p95_ms[-1] is None


@pytest.mark.parametrize(
    ("count", "each_ms", "bucket_s"),
    [(1, 1.0, 1e-9), (200, 17.0, 0.02), (100_000, 0.03, 0.01), (600, 86_400_000 / 600, 200.0)],
)
def test_buckets_have_round_lengths(count: int, each_ms: float, bucket_s: float) -> None:
    due = (np.arange(count) * each_ms * MS).astype(np.int64)
    found = timeline(due, np.full(count, 5), NONE, 0)
    assert found.bucket_s == bucket_s
    assert sum(found.count) == count


def test_what_came_before_the_run_is_warm_up() -> None:
    found = timeline(ns(0, 10, 20, 30), ns(9, 9, 1, 1), NONE, 20 * MS)
    assert found.start_s == (-0.02, -0.01, 0.0, 0.01)
    assert found.max_ms == (9.0, 9.0, 1.0, 1.0)


def test_a_stall_is_a_time_in_which_nothing_in_flight_ends() -> None:
    """Four slots; all stand still from 43 ms until 1050 ms."""
    due = [at * 10.0 + slot for at in range(100) for slot in range(4)]
    late = [one + 1000 if one >= 50 else one for one in due]
    took = [10.0 if one < 40 or one >= 50 else 1010.0 for one in due]
    found = timeline(ns(*late), ns(*took), NONE, 0)
    assert found.stalls_s == ((0.043, 1.05),)


def test_a_pause_of_the_load_is_no_stall() -> None:
    found = timeline(ns(0, 10, 20, 5000, 5010), ns(9, 9, 9, 9, 9), NONE, 0)
    assert found.stalls_s == ()


def test_only_the_longest_stalls_are_told() -> None:
    due = np.arange(1000) * 1000 * MS
    took = np.where(np.arange(1000) % 10 == 9, 900 - np.arange(1000) // 10, 10) * MS
    found = timeline(due, took, NONE, 0)
    assert len(found.stalls_s) == 20
    assert found.stalls_s[0] == (9.0, 9.9)
    assert found.stalls_s == tuple(sorted(found.stalls_s))


@given(
    st.lists(st.tuples(st.integers(0, 10**12), st.integers(0, 10**13)), min_size=1, max_size=2000),
    st.lists(st.integers(0, 10**12), max_size=50),
    st.integers(0, 10**12),
)
def test_any_run_fits(requests: list[tuple[int, int]], failed: list[int], begin: int) -> None:
    due, took = (np.array(one, np.int64) for one in zip(*sorted(requests), strict=True))
    found = timeline(due, took, np.array(failed, np.int64), begin)
    assert len(found.count) <= MOST
    assert sum(found.count) == len(requests)
    assert sum(found.errors) == len(failed)
    known = [one for one in found.max_ms if one is not None]
    assert max(known) == took.max() / MS
    assert min(one for one in found.min_ms if one is not None) == took.min() / MS
    assert all(
        (count == 0) == (p50 is None) for count, p50 in zip(found.count, found.p50_ms, strict=True)
    )


def test_the_timeline_of_a_run_has_its_errors_and_what_was_cut_from_it() -> None:
    kept = [shifted(number) for number in range(100, 140)]
    run = replace(
        load([*kept, FAILED._replace(scheduled_ns=kept[10].scheduled_ns)]),
        left_out=record([shifted(number, 50) for number in range(90, 100)])[0],
    )
    found = summarise("x", run, Decomposition(0, {}, {}, {}, 0)).timeline
    assert found is not None
    assert found.start_s[0] == -0.2
    assert found.max_ms[0] == 60.2
    assert sum(found.count) == 50
    assert sum(found.errors) == 1


def test_a_time_out_is_an_error_and_a_latency() -> None:
    found = target([SUCCESS, TIMED_OUT]).timeline
    assert found is not None
    assert (sum(found.count), sum(found.errors)) == (2, 1)


def test_without_latencies_there_is_none() -> None:
    assert target([FAILED]).timeline is None

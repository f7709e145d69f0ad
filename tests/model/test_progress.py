"""Snapshots of a run in progress: they add up, travel, and tell percentiles to within a bucket."""

import pickle
from bisect import bisect_left
from itertools import pairwise
from random import Random

import numpy as np
import pytest

from tracebench.model.progress import BOUNDS_NS, SUCCEEDED, Latencies, Progress, error_type


def latencies(values_ns: list[int]) -> Latencies:
    counts = [0] * (len(BOUNDS_NS) + 1)
    for value_ns in values_ns:
        counts[bisect_left(BOUNDS_NS, value_ns)] += 1
    return Latencies(tuple(counts), sum(values_ns))


def test_bounds_rise_by_a_tenth_or_so() -> None:
    steps = [high / low for low, high in pairwise(BOUNDS_NS)]
    assert min(steps) > 1.05
    assert max(steps) < 1.16
    assert (BOUNDS_NS[0], BOUNDS_NS[-1]) == (10_000, 910_000_000_000)


@pytest.mark.parametrize("percent", [1, 50, 90, 99, 99.9])
def test_percentiles_are_those_of_the_sample_to_within_a_bucket(percent: float) -> None:
    random = Random(1)
    values_ns = [int(random.lognormvariate(16, 1)) for _ in range(5_000)]
    exact_ms = float(np.percentile(values_ns, percent)) / 1e6
    assert latencies(values_ns).percentile_ms(percent) == pytest.approx(exact_ms, rel=0.12)


def test_what_is_longer_than_all_bounds_counts_as_the_last() -> None:
    assert latencies([10**15]).percentile_ms(50) == BOUNDS_NS[-1] / 1e6
    assert Latencies().percentile_ms(50) == 0.0


def test_the_sum_is_that_of_all_the_rows_together() -> None:
    random = Random(2)
    one, other = ([random.randrange(10**6, 10**9) for _ in range(300)] for _ in range(2))
    both = latencies(one) + latencies(other)
    assert both == latencies(one + other)
    assert both - latencies(other) == latencies(one)


def test_snapshots_of_processes_add_up() -> None:
    ok, bad = latencies([10**6] * 3), latencies([10**7])
    one = Progress(4, 1.5, 10, 2, {SUCCEEDED: ok, "503": bad})
    other = Progress(3, 2.0, 5, 0, {SUCCEEDED: ok})
    both = one + other
    assert (both.finished, both.elapsed_s, both.tokens, both.in_flight) == (7, 2.0, 15, 2)
    assert both.latencies == {SUCCEEDED: ok + ok, "503": bad}
    assert both.errors == {"503": 1}
    assert both.all_latencies.count == 7
    assert other + one == both


def test_snapshots_travel_between_processes() -> None:
    one = Progress(4, 1.5, 10, 2, {SUCCEEDED: latencies([5, 10**9])})
    assert pickle.loads(pickle.dumps(one)) == one


@pytest.mark.parametrize(
    ("status", "outcome", "kind"),
    [
        ("503", "failed", "503"),
        ("UNAVAILABLE", "failed", "UNAVAILABLE"),
        ("", "timed_out", "timed_out"),
        ("200", "failed", "failed"),
        ("OK", "failed", "failed"),
    ],
)
def test_the_type_of_an_error_is_its_status_if_that_is_the_error(
    status: str, outcome: str, kind: str
) -> None:
    assert error_type(status, outcome) == kind

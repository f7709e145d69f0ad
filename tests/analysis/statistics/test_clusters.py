"""Gaps of the same request resemble each other: the intervals are those of requests."""

from dataclasses import replace
from math import hypot

import numpy as np
import pytest

from tracebench.analysis.statistics.clusters import FEWEST_CLUSTERS, Clustered, describe_clustered
from tracebench.model.results.statistics import Statistics

REQUESTS, GAPS = 30, 200


def sample(draws: np.random.Generator, requests: int = REQUESTS, gaps: int = GAPS) -> Clustered:
    """Gaps of 10 ms that vary by 1 ms from request to request, and by 2 ms within each."""
    of_requests = draws.normal(10e6, 1e6, requests)
    ns = np.repeat(of_requests, gaps) + draws.normal(0, 2e6, requests * gaps)
    return Clustered(ns, np.ones(len(ns), np.int64), np.repeat(np.arange(requests), gaps), requests)


def differ(a: Statistics, b: Statistics, name: str) -> bool:
    """Whether an interval around the difference leaves out none at all."""
    halves = [(one.ci95[name][1] - one.ci95[name][0]) / 2 for one in (a, b)]
    return bool(abs(getattr(a, name) - getattr(b, name)) > hypot(*halves))


@pytest.mark.parametrize("name", ["mean_ms", "p50_ms"])
def test_the_same_server_twice_is_no_difference(name: str) -> None:
    """Of 1,000 pairs, 50 are expected to differ by chance, and 67 are within two errors of it."""
    draws = np.random.default_rng(14)
    pairs = [[describe_clustered(sample(draws)) for _ in range(2)] for _ in range(1_000)]
    assert sum(differ(a, b, name) for a, b in pairs) <= 67


def test_coverage_of_the_95th_percentile() -> None:
    draws, truth_ms = np.random.default_rng(15), 10 + 1.645 * hypot(1, 2)
    found = [describe_clustered(sample(draws, 200, 50)) for _ in range(300)]
    inside = sum(one.ci95["p95_ms"][0] <= truth_ms <= one.ci95["p95_ms"][1] for one in found)
    assert inside >= 270


def test_too_few_requests_have_no_interval() -> None:
    draws = np.random.default_rng(16)
    found = describe_clustered(sample(draws, FEWEST_CLUSTERS - 1))
    assert found.ci95 == {}
    assert found.unsupported == ("p50_ms", "p90_ms", "p95_ms", "p99_ms", "p999_ms")


def test_values_that_count_several_times() -> None:
    ns = np.array([1e6, 3e6, 2e6])
    once = Clustered(np.repeat(ns, [1, 2, 3]), np.ones(6, np.int64), np.zeros(6, np.int64), 1)
    several = Clustered(ns, np.array([1, 2, 3]), np.zeros(3, np.int64), 1)
    told = describe_clustered(several)
    assert told.std_ms == pytest.approx(describe_clustered(once).std_ms)
    assert replace(told, std_ms=0) == replace(describe_clustered(once), std_ms=0)
    assert describe_clustered(once).mean_ms == pytest.approx(13 / 6)
    assert describe_clustered(once).p50_ms == 2


def test_gaps_that_never_vary() -> None:
    ns = np.full(600, 10e6)
    found = describe_clustered(
        Clustered(ns, np.ones(600, np.int64), np.repeat(np.arange(60), 10), 60)
    )
    assert found.ci95["mean_ms"] == (10, 10)
    assert found.p99_ms == 10

"""A/A is no difference, 5 % are one, and a constant reads as itself."""

from dataclasses import replace

import numpy as np
import pytest

from tests.analysis.samples import SUCCESS, target
from tests.analysis.series import consistent, latencies, normal
from tracebench.analysis.difference.comparison import compare
from tracebench.analysis.statistics.distribution import describe
from tracebench.model.record.exchange import Nanoseconds
from tracebench.model.results.statistics import PERMILLE

RUNS = 300
ANY = target([SUCCESS])
A, B = (latencies(normal(seed, RUNS, 6000)) for seed in (21, 22))


def differing(a: Nanoseconds, b: Nanoseconds, statistic: str) -> int:
    """In how many pairs of runs the interval of the difference leaves 0 out."""
    count = 0
    for runs_ns in zip(a, b, strict=True):
        one, other = (
            replace(ANY, components={"end_to_end": describe(run_ns)}) for run_ns in runs_ns
        )
        interval = compare("a", one, "b", other).components["end_to_end"][statistic].ci95
        assert interval is not None
        count += not interval[0] <= 0 <= interval[1]
    return count


@pytest.mark.parametrize("statistic", ["mean_ms", "p50_ms", "p95_ms"])
def test_a_against_a_alarms_in_one_of_twenty(statistic: str) -> None:
    assert consistent(differing(A, B, statistic), RUNS, 0.05)


@pytest.mark.parametrize("statistic", ["mean_ms", "p50_ms"])
def test_five_per_cent_more_are_found(statistic: str) -> None:
    assert differing(A, (B * 1.05).astype(np.int64), statistic) >= 0.9 * RUNS


def test_nothing_is_rounded_away() -> None:
    found = describe(np.full(10_000, 147_000_000))
    assert {getattr(found, name) for name in (*PERMILLE, "mean_ms", "min_ms", "max_ms")} == {147.0}

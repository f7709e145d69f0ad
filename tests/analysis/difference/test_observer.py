"""The observer effect, simulated with fixed seeds: what is known to be there, and nothing else."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

from tests.records import effect
from tests.report.samples import exchange
from tracebench.model.record.exchange import Outcome
from tracebench.model.results.result import ObserverEffect

Floats = npt.NDArray[np.float64]
STATISTICS = ("mean_ms", "p50_ms", "p95_ms")


def restless(random: np.random.Generator, count: int) -> Floats:
    """Latencies of a server that drifts, and has good and bad spells."""
    drift = np.linspace(5, 9, count)
    spells = np.repeat(random.exponential(1.0, count // 40), 40)
    return np.asarray(drift + spells + random.exponential(0.5, count))


def drawn(random: np.random.Generator, count: int, cost_ms: float) -> ObserverEffect:
    latency_ms, asked = restless(random, count), random.random(count) < 0.5
    latency_ms[asked] += cost_ms
    ended = [exchange(n, float(ms), Outcome.SUCCEEDED) for n, ms in enumerate(latency_ms)]
    found = effect(
        [one for one, yes in zip(ended, asked, strict=True) if yes],
        [one for one, yes in zip(ended, asked, strict=True) if not yes],
    )
    assert found is not None
    return found


def intervals(runs: int, cost_ms: float) -> Iterator[dict[str, tuple[float, float]]]:
    random = np.random.default_rng(17)
    for _ in range(runs):
        found = drawn(random, 400, cost_ms)
        yield {name: getattr(found, name).ci95 for name in STATISTICS}


@pytest.mark.parametrize("cost_ms", [0.0, 2.0])
def test_the_intervals_cover_the_truth_although_successive_requests_are_alike(
    cost_ms: float,
) -> None:
    told = list(intervals(300, cost_ms))
    for name in STATISTICS:
        share = sum(low <= cost_ms <= high for low, high in (one[name] for one in told)) / len(told)
        assert 0.92 <= share <= 0.995, name


def test_two_milliseconds_are_found() -> None:
    found = drawn(np.random.default_rng(3), 2_000, 2.0)
    assert found.traced + found.untraced == 2_000
    assert found.mean_ms.ci95 is not None
    low, high = found.mean_ms.ci95
    assert 1.6 < low < 2.0 < high < 2.4


def test_failures_do_not_count() -> None:
    good = [exchange(n, 5.0, Outcome.SUCCEEDED) for n in range(20)]
    bad = [exchange(n, 900.0, Outcome.FAILED) for n in range(20)]
    found = effect([*good, *bad], good[:10])
    assert found is not None
    assert (found.traced, found.untraced, found.mean_ms.delta) == (20, 10, 0)


def test_nothing_is_said_of_one_kind_alone() -> None:
    good = [exchange(n, 5.0, Outcome.SUCCEEDED) for n in range(20)]
    assert effect(good, []) is None
    assert effect([], good) is None

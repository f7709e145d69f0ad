"""What a library costs, from blocks whose differences are known."""

import numpy as np
import pytest

from tracebench.analysis.difference.client_cost import client_cost
from tracebench.model.measurement import Block

MS = 1_000_000


def block(*latency_ms: float, errors: int = 0) -> Block:
    latency_ns = np.array([round(one * MS) for one in latency_ms], np.int64)
    return Block(latency_ns, {"HTTP 503": errors} if errors else {}, 0.1)


def test_the_cost_is_the_mean_difference_within_pairs() -> None:
    drift_ms = [1.0, 5.0, 2.0, 9.0, 4.0, 7.0]
    engine = [block(base, base + 2) for base in drift_ms]
    library = [block(base + 1, base + 4) for base in drift_ms]
    cost = client_cost(engine, library).cost_ms
    assert cost["mean_ms"].delta == pytest.approx(1.5)
    assert cost["p50_ms"].delta == pytest.approx(1.0)
    assert cost["p95_ms"].delta == pytest.approx(2.0)
    assert cost["mean_ms"].ci95 == pytest.approx((1.5, 1.5))  # the drift is no part of it
    assert cost["mean_ms"].b - cost["mean_ms"].a == pytest.approx(1.5)


def test_the_interval_is_students() -> None:
    costs_ms = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    engine = [block(1.0) for _ in costs_ms]
    library = [block(1.0 + cost) for cost in costs_ms]
    found = client_cost(engine, library).cost_ms["mean_ms"]
    half = 2.571 * 1.8708 / 6**0.5  # t of five degrees, and the sample's deviation
    assert found.delta == pytest.approx(3.5)
    assert found.ci95 == pytest.approx((3.5 - half, 3.5 + half), abs=2e-3)


def test_few_pairs_have_no_interval() -> None:
    blocks = [block(1.0, 2.0)] * 5
    assert client_cost(blocks, blocks).cost_ms["mean_ms"].ci95 is None


def test_the_interval_covers_the_truth() -> None:
    random = np.random.default_rng(5)
    covered = 0
    for _ in range(400):
        engine, library = [], []
        for _ in range(10):
            base_ms = random.exponential(2.0)
            engine.append(block(*(base_ms + random.exponential(1.0, 30))))
            library.append(block(*(base_ms + 0.3 + random.exponential(1.0, 30))))
        interval = client_cost(engine, library).cost_ms["mean_ms"].ci95
        assert interval is not None
        covered += interval[0] <= 0.3 <= interval[1]
    assert 0.92 <= covered / 400 <= 0.98


def test_errors_are_counted_and_blocks_without_success_are_no_pairs() -> None:
    engine = [block(1.0)] * 7
    library = [block(2.0, errors=3), *[block(3.0)] * 5, block(errors=2)]
    found = client_cost(engine, library)
    assert found.failed == 5
    assert [(one.reason, one.count) for one in found.errors] == [("HTTP 503", 5)]
    assert found.latency is not None
    assert found.latency.count == 6
    assert found.throughput_rps == pytest.approx(6 / 0.7)
    assert found.cost_ms["mean_ms"].delta == pytest.approx((1 + 5 * 2) / 6)


def test_a_library_without_any_success() -> None:
    found = client_cost([block(1.0)] * 6, [block(errors=1)] * 6)
    assert found.latency is None
    assert found.cost_ms == {}
    assert client_cost([], []).cost_ms == {}

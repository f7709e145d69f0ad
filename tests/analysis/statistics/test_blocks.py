"""Blocks of a run: where they begin, and what each tells."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracebench.analysis.statistics.blocks import MOST, among, block_starts, bounds_of, series

MS = 1_000_000


def due(count: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.arange(count, dtype=np.int64) * 10 * MS


@pytest.mark.parametrize(
    ("count", "blocks"),
    [(0, 0), (1, 1), (2, 2), (39, 2), (80, 4), (119, 4), (640, 32), (1_000_000, 32)],
)
def test_how_many_there_are(count: int, blocks: int) -> None:
    """An even number, so that halves end where blocks do, each of 20 requests at least."""
    starts = block_starts(due(count))
    assert len(starts) == blocks
    sizes = np.diff(bounds_of(due(count), starts)) if blocks else np.zeros(1)
    assert sizes.max() - sizes.min() <= 1


def test_rounds_of_an_alternating_run_are_blocks() -> None:
    assert block_starts(due(1_000), [0, 70 * MS, 500 * MS]).tolist() == [0, 70 * MS, 500 * MS]
    many = block_starts(due(1_000), [at * MS for at in range(200)])
    assert many.tolist() == [at * MS for at in range(0, 200, 4)]
    assert len(many) <= MOST


def test_requests_that_are_due_together_stay_together() -> None:
    scheduled = np.zeros(400, np.int64)
    starts = block_starts(scheduled)
    assert starts.tolist() == [0]
    assert bounds_of(scheduled, starts).tolist() == [0, 400]


def test_each_block_and_each_half_is_described() -> None:
    values = np.concatenate((np.arange(1, 41), np.arange(101, 141))).astype(np.int64) * MS
    found = series(values, np.array([0, 20, 40, 60, 80]))
    assert found.mean_ms == (10.5, 30.5, 110.5, 130.5)
    assert found.p50_ms == (10, 30, 110, 130)
    assert found.p95_ms == (19, 39, 119, 139)
    assert found.halves == {
        "mean_ms": (20.5, 120.5),
        "p50_ms": (20, 120),
        "p95_ms": (38, 138),
        "p99_ms": (40, 140),
    }


def test_what_a_block_cannot_tell_is_none() -> None:
    found = series(np.full(25, 3 * MS), np.array([0, 0, 5, 25, 25]))
    assert found.mean_ms == (None, 3, 3, None)
    assert found.p95_ms == (None, None, 3, None)
    assert series(np.full(25, 3 * MS), np.array([0, 25, 25])).halves == {}
    assert series(np.full(25, 3 * MS), np.array([0, 25])).halves == {}


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 6))
def test_bounds_among_some_of_the_requests(told: list[bool], blocks: int) -> None:
    bounds = np.arange(blocks + 1) * len(told) // blocks
    inside = among(np.flatnonzero(told), bounds)
    expected = [sum(told[:bound]) for bound in bounds.tolist()]
    assert inside.tolist() == expected

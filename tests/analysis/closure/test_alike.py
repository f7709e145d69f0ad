"""Traces of one form: a known division, and what attribution one by one makes of many."""

import numpy as np
import pytest

from tracebench.analysis.closure.attribution import attribute
from tracebench.analysis.closure.bulk_attribution import attribute_in_bulk, shape_of
from tracebench.model.record.columns import ABSENT
from tracebench.model.record.exchange import ServerSpan, Timing

PARENTS = (-2, 0, 1, 0, 7, -1, 2)
COMPONENTS = (None, "preprocessing", "inference", None, "queue", "queue", None)


def test_the_tree_below_the_entry_span() -> None:
    form = shape_of(0, PARENTS, COMPONENTS)
    assert form.places == (0, 1, 3, 2, 6)
    assert form.depths == (0, 1, 1, 2, 3)
    assert form.components == (
        "server_other", "preprocessing", "server_other", "inference", "inference",
    )  # fmt: skip


def test_a_cycle_below_nothing_is_passed_over() -> None:
    assert shape_of(0, (-2, 2, 1), (None, "queue", "queue")).places == (0,)


def test_the_deepest_has_an_instant_and_nothing_lies_outside() -> None:
    form = shape_of(0, (-2, 0, 1, 0), (None, "preprocessing", "inference", "postprocessing"))
    start, end = np.array([[10, 0, 20, 90]]), np.array([[60, 40, 30, 99]])
    found = attribute_in_bulk(form, start, end, np.array([[1, 2, 3, 4]], np.uint64))
    assert {name: ns.tolist() for name, ns in found.items()} == {
        "preprocessing": [20],
        "inference": [10],
        "postprocessing": [ABSENT],
    }


@pytest.mark.parametrize("rows", [0, 1, 500])
def test_it_is_what_each_comes_to_alone(rows: int) -> None:
    random, places = np.random.default_rng(rows), len(PARENTS)
    start = random.integers(0, 30, (rows, places))
    end = start + random.integers(0, 30, (rows, places))
    ids = random.permuted(np.tile(np.arange(1, places + 1, dtype=np.uint64), (rows, 1)), axis=1)
    found = attribute_in_bulk(shape_of(0, PARENTS, COMPONENTS), start, end, ids)
    for row in range(rows):
        names = [f"{one:016x}" for one in ids[row].tolist()]
        spans = [
            ServerSpan(
                names[at],
                names[above] if 0 <= above < places else "",
                "",
                int(start[row, at]),
                int(end[row, at]),
                COMPONENTS[at],
            )
            for at, above in enumerate(PARENTS)
        ]
        alone = attribute(spans[0], spans)
        assert isinstance(alone, Timing)
        together = {name: int(ns[row]) for name, ns in found.items() if ns[row] != ABSENT}
        assert together == alone.parts_ns

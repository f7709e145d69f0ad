"""Columns keep every value, in the narrowest type that a page allows."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracebench.model.record.columns import ABSENT, PAGE_ROWS, Columns, Int64, narrowed, widened

WIDTHS = [(np.uint8, 2**8), (np.uint16, 2**16), (np.uint32, 2**32)]
EDGES = [0, 1, -1, ABSENT, ABSENT + 1, 2**63 - 1, 70_000]
EDGES += [limit + near for _, limit in WIDTHS for near in (-2, -1, 0, 1)]
LIMIT_NS = 2**32
"""4.29 s: a longer wait does not fit into 32 bits."""

VALUES = st.one_of(st.sampled_from(EDGES), st.integers(ABSENT, 2**63 - 1))
PAGES = st.lists(st.lists(VALUES, min_size=1, max_size=5), max_size=5)


def int64(*values: int) -> Int64:
    return np.array(values, np.int64)


def columns(pages: Sequence[Sequence[int]], name: str = "a") -> Columns:
    made = Columns()
    for page in pages:
        made.append({name: int64(*page)}, len(page))
    return made


@given(PAGES, st.data())
def test_what_goes_in_comes_out(pages: list[list[int]], data: st.DataObject) -> None:
    made, flat = columns(pages), [value for page in pages for value in page]
    assert len(made) == len(flat)
    assert made.whole("a").tolist() == flat
    assert [made.row(at) for at in range(len(flat))] == [{"a": value} for value in flat]
    assert [page["a"].tolist() for page in made.pages()] == pages
    places = data.draw(st.lists(st.integers(0, len(flat) - 1), max_size=9)) if flat else []
    taken = made.take(int64(*places))
    assert taken.whole("a").tolist() == [flat[at] for at in places]


@pytest.mark.parametrize(("kind", "limit"), WIDTHS)
def test_the_greatest_value_of_a_width_stands_for_none(
    kind: type[np.unsignedinteger], limit: int
) -> None:
    fits, does_not = int64(0, limit - 2, ABSENT), int64(0, limit - 1, ABSENT)
    assert narrowed(fits).dtype == kind
    assert narrowed(does_not).dtype.itemsize > np.dtype(kind).itemsize
    for values in (fits, does_not):
        assert widened(narrowed(values), 3).tolist() == values.tolist()


@pytest.mark.parametrize("wait_ns", [LIMIT_NS - 2, LIMIT_NS - 1, LIMIT_NS, LIMIT_NS + 1, -1])
def test_one_value_widens_one_column_of_one_page(wait_ns: int) -> None:
    usual = np.arange(1_000) * 1_000
    odd = usual.copy()
    odd[500] = wait_ns
    made = Columns()
    for page in (usual, odd, usual):
        made.append({"wait": page, "other": usual}, 1_000)
    assert made.whole("wait").tolist() == [*usual, *odd, *usual]
    assert made.stored_bytes == (6 if 0 <= wait_ns < LIMIT_NS - 1 else 7) * 4_000


def test_seventy_thousand_variants() -> None:
    made = Columns()
    variants = np.arange(70_000)
    for at in range(0, len(variants), PAGE_ROWS):
        page = variants[at : at + PAGE_ROWS]
        made.append({"variant": page}, len(page))
    assert (made.whole("variant") == variants).all()
    assert made.page_count == 2
    first, second = made.pages()
    assert (first.rows, second.start, second.rows) == (PAGE_ROWS, PAGE_ROWS, 70_000 - PAGE_ROWS)
    assert made.row(69_999) == {"variant": 69_999}


@pytest.mark.parametrize("value", EDGES)
def test_a_constant_takes_one_value(value: int) -> None:
    made = columns([[value] * 10_000])
    assert made.stored_bytes == 8
    assert made.whole("a").tolist() == [value] * 10_000
    assert made.row(9_999) == {"a": value}


@pytest.mark.parametrize("value", EDGES)
def test_a_page_of_one_row(value: int) -> None:
    made = columns([[value], [1], [value]])
    assert made.whole("a").tolist() == [value, 1, value]
    assert made.take(int64(2, 0)).whole("a").tolist() == [value, value]


def test_a_column_that_a_page_lacks_is_absent_there() -> None:
    made = columns([[1, 2]], "a")
    made.append({"b": int64(3)}, 1)
    assert made.names == ("a", "b")
    assert made.whole("a").tolist() == [1, 2, ABSENT]
    assert made.whole("b").tolist() == [ABSENT, ABSENT, 3]
    assert made.row(2) == {"a": ABSENT, "b": 3}
    assert made.take(int64(2, 1)).row(0) == {"a": ABSENT, "b": 3}


def test_rows_are_taken_across_pages_in_any_order() -> None:
    made = columns([list(range(at, at + 100)) for at in range(0, 1_000, 100)])
    places = np.random.default_rng(1).integers(0, 1_000, 3_000)
    assert (made.take(places).whole("a") == places).all()
    assert len(made.take(int64())) == 0


def test_more_rows_than_a_page_holds_are_taken_as_pages() -> None:
    made = columns([[1, 2, 3]])
    taken = made.take(np.arange(PAGE_ROWS + 5) % 3)
    assert [page.rows for page in taken.pages()] == [PAGE_ROWS, 5]
    assert taken.row(PAGE_ROWS + 4) == {"a": (PAGE_ROWS + 4) % 3 + 1}


@pytest.mark.parametrize("at", [-1, 2])
def test_there_is_no_row_outside(at: int) -> None:
    with pytest.raises(IndexError):
        columns([[1, 2]]).row(at)


def test_a_page_without_rows_is_none() -> None:
    made = columns([])
    made.append({"a": int64()}, 0)
    assert made.page_count == len(made) == 0
    assert made.whole("a").tolist() == []

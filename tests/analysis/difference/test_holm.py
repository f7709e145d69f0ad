"""Holm's rule, and the words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracebench.analysis.difference.holm import shown, word


def test_the_worked_example() -> None:
    """Of four at 5 %: 0.005 ≤ 0.05/4 and 0.01 ≤ 0.05/3, but 0.03 > 0.05/2 ends it."""
    assert shown({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == {"a", "d"}


def test_one_alone_is_judged_at_five_per_cent() -> None:
    assert shown({"a": 0.05}) == {"a"}
    assert shown({"a": 0.0501}) == set()
    assert shown({}) == set()


def test_what_is_no_number_shows_nothing() -> None:
    assert shown({"a": float("nan"), "b": 0.9}) == set()


p_values = st.dictionaries(st.integers(), st.floats(0, 1), max_size=40)


@given(p_values)
def test_it_lies_between_bonferroni_and_no_correction(p: dict[int, float]) -> None:
    found = shown(p)
    assert {name for name, value in p.items() if value * len(p) <= 0.05} <= found
    assert found <= {name for name, value in p.items() if value <= 0.05}


@pytest.mark.parametrize(
    ("delta", "is_shown", "expected"),
    [
        (1.0, True, "slower"),
        (-1.0, True, "faster"),
        (1.0, False, "no difference shown"),
        (0.0, True, "no difference shown"),
    ],
)
def test_the_words(delta: float, is_shown: bool, expected: str) -> None:
    assert word(delta, is_shown=is_shown) == expected

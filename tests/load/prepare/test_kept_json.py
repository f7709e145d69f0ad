"""JSON that was cut is read as far as it is whole."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracebench.load.prepare.http_preflight import load_first_part

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a": 1, "b": 23', {"a": 1}),
        (b'{"a": {"b": [1, 2, 3', {"a": {"b": [1, 2]}}),
        (b'{"a": "x,]}\\",", "b', {"a": 'x,]}",'}),
        (b'[{"a": 1}, {"b": 2}, {"c"', [{"a": 1}, {"b": 2}, {}]),
        (b'{"a": [], "b"', {"a": []}),
        (b'{"a": [[1], [2]]', {"a": [[1], [2]]}),
    ],
)
def test_what_is_whole_is_read(text: bytes, value: Any) -> None:
    assert load_first_part(text) == value


@pytest.mark.parametrize("text", [b"", b"no", b"12 3", b'"abc', b"\xff{"])
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        load_first_part(text)


@given(JSON, st.integers(0, 200))
def test_a_cut_document_says_nothing_that_the_whole_one_does_not(value: Any, at: int) -> None:
    text = json.dumps({"": value}).encode()
    cut = load_first_part(text[: max(at, 1)])
    assert part_of(cut, {"": value})


def part_of(cut: Any, whole: Any) -> bool:
    if isinstance(cut, dict):
        return all(key in whole and part_of(one, whole[key]) for key, one in cut.items())
    if isinstance(cut, list):
        return all(part_of(one, other) for one, other in zip(cut, whole, strict=False))
    return bool(cut == whole)

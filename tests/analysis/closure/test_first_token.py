"""The time to the first token is the sum of its parts, whatever servers and clocks tell."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracebench.analysis.closure.first_token import FirstTokens, divide, server_first
from tracebench.model.record.columns import ABSENT, Int64
from tracebench.model.record.exchange import StreamTimes

NAMES = ("queue", "preprocessing", "prefill")
WAITED_NS = st.integers(0, 2**42)
TOLD_NS = st.one_of(st.just(ABSENT), st.integers(0, 2**42))


def divided(
    waited_ns: Sequence[int], named_ns: Mapping[str, Sequence[int]], server_ns: Sequence[int]
) -> FirstTokens:
    named = {name: np.array(ns) for name, ns in named_ns.items()}
    return divide(np.array(waited_ns), named, np.array(server_ns))


ROWS = st.lists(st.tuples(WAITED_NS, TOLD_NS, TOLD_NS, TOLD_NS, TOLD_NS), min_size=1, max_size=20)


@given(ROWS)
def test_the_parts_sum_to_it_for_each_request(rows: list[tuple[int, ...]]) -> None:
    waited_ns, server_ns, *named_ns = map(list, zip(*rows, strict=True))
    found = divided(waited_ns, dict(zip(NAMES, named_ns, strict=True)), server_ns)
    assert np.sum(list(found.parts_ns.values()), axis=0).tolist() == waited_ns
    assert all((ns >= 0).all() for ns in found.parts_ns.values())
    told = np.array(server_ns) != ABSENT
    assert not (found.apart & ~told).any()
    assert not (found.left_out & found.scaled).any()
    together = found.parts_ns["server_and_network"] > 0
    apart = (found.parts_ns["network_first"] > 0) | (found.parts_ns["server_before_first"] > 0)
    assert not (together & apart).any()
    untouched = ~found.left_out & ~found.scaled
    for name, ns in zip(NAMES, named_ns, strict=True):
        expected = np.where(np.array(ns) == ABSENT, 0, ns)
        assert (found.parts_ns[name][untouched] == expected[untouched]).all()


def test_one_of_each_kind() -> None:
    found = divided(
        [1_000_000, 1_000_000, 1_000_000, 1_000_000],
        {"queue": [100_000, 100_000, ABSENT, 900_000], "prefill": [200_000, ABSENT, ABSENT, 0]},
        [900_000, ABSENT, 1_002_001, 899_000],
    )
    assert {name: ns.tolist() for name, ns in found.parts_ns.items()} == {
        "network_first": [100_000, 0, 0, 101_000],
        "queue": [100_000, 100_000, 0, 899_000],
        "prefill": [200_000, 0, 0, 0],
        "server_before_first": [600_000, 0, 0, 0],
        "server_and_network": [0, 900_000, 1_000_000, 0],
    }
    assert found.apart.tolist() == [True, False, False, True]
    assert found.scaled.tolist() == [False, False, False, True]
    assert found.left_out.tolist() == [False, False, True, False]


def told(sizes: Sequence[int], first_ns: int = ABSENT) -> StreamTimes:
    def row(values: Sequence[int]) -> Int64:
        return np.array([[*values, *[ABSENT] * (8 - len(values))]])

    one = np.array([0])
    at_ns = [1_000 * (at + 1) for at in range(len(sizes))]
    return StreamTimes(one, {}, np.array([first_ns]), one, row(sizes), row(at_ns))


@pytest.mark.parametrize(
    ("sizes", "first_size", "expected"),
    [
        ([100, 200, 300], 100, 1_000),
        ([100, 200, 300], 101, 2_000),
        ([100, 200, 300], 300, 3_000),
        ([100, 200, 300], 301, ABSENT),
        ([], 1, ABSENT),
    ],
)
def test_the_chunk_with_the_last_byte_of_the_first_token(
    sizes: list[int], first_size: int, expected: int
) -> None:
    assert server_first(told(sizes), np.array([first_size])).tolist() == [expected]


def test_a_server_s_own_word_counts_where_no_chunk_tells() -> None:
    assert server_first(told([100], first_ns=7), np.array([101])).tolist() == [7]
    assert server_first(told([100], first_ns=7), np.array([100])).tolist() == [1_000]

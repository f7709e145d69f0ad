"""Closure: whatever happened, the components of a request sum to its latency."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from server_middleware.vocabulary import REPORTED_PARTS, SERVER_PARTS
from tests.analysis.samples import (
    CANCELLED,
    FAILED,
    MS,
    SUCCESS,
    TIMED_OUT,
    TIMING,
)
from tests.records import decomposed
from tracebench.analysis.closure.decomposition import client_view, reported
from tracebench.model.components import LEAVES
from tracebench.model.record.exchange import (
    Decomposition,
    Exchange,
    Nanoseconds,
    Timing,
    Undecomposed,
)
from tracebench.model.record.requests import Requests


def listed(columns: Mapping[str, Nanoseconds]) -> dict[str, list[int]]:
    return {name: column.tolist() for name, column in columns.items()}


CLIENT_ALONE = {
    "end_to_end": [10_200_000],
    "service_time": [10_100_000],
    "backlog": [0],
    "connect": [0],
    "client": [200_000],
}


def test_one_request() -> None:
    found = decomposed([SUCCESS], [TIMING])
    assert found.count == 1
    assert found.sources == {"mirror": 1}
    assert found.scaled == 0
    assert found.undecomposed == {}
    assert listed(found.columns) == CLIENT_ALONE | {
        "network": [2 * MS],
        "body": [0],
        "server_processing": [8 * MS],
        "queue": [-1],
        "preprocessing": [2 * MS],
        "inference": [5 * MS],
        "postprocessing": [-1],
        "server_other": [MS],
    }


def test_waiting_and_connecting_are_told_apart() -> None:
    waited = SUCCESS._replace(scheduled_ns=SUCCESS.scheduled_ns - 9 * MS, connect_ns=2 * MS)
    columns = listed(decomposed([waited], [TIMING]).columns)
    assert columns["backlog"] == [7 * MS]
    assert columns["connect"] == [2 * MS]
    assert columns["client"] == [200_000]


def test_a_part_of_no_time_is_not_an_absent_one() -> None:
    timing = Timing(8 * MS, {"queue": 0}, "mirror")
    columns = decomposed([SUCCESS, SUCCESS], [timing, TIMING]).columns
    assert listed(columns)["queue"] == [0, -1]
    assert reported(columns["queue"]).tolist() == [0]


def test_a_reported_server_other_is_not_believed() -> None:
    timing = TIMING._replace(parts_ns={"inference": 5 * MS, "server_other": 123})
    assert listed(decomposed([SUCCESS], [timing]).columns)["server_other"] == [3 * MS]


def test_only_successes_are_decomposed() -> None:
    others = [FAILED, TIMED_OUT, CANCELLED]
    found = decomposed([*others, SUCCESS], [TIMING] * 4)
    assert found.count == 1
    assert found.undecomposed == {}


def test_every_reason_is_counted() -> None:
    reasons = [*Undecomposed, Undecomposed.EXCESS]
    found = decomposed([SUCCESS] * len(reasons), reasons)
    assert found.undecomposed == dict.fromkeys(Undecomposed, 1) | {Undecomposed.EXCESS: 2}
    assert found.count == 0


def test_a_server_that_was_busy_longer_than_the_client_waited() -> None:
    exact, beyond = (TIMING._replace(total_ns=10 * MS + more) for more in (0, 1))
    found = decomposed([SUCCESS] * 3, [exact, beyond, TIMING._replace(total_ns=2**62)])
    assert listed(found.columns)["network"] == [0]
    assert found.undecomposed == {Undecomposed.NEGATIVE_NETWORK: 2}


def test_sources_and_scaled_mirrors_are_counted() -> None:
    timings = [TIMING, TIMING._replace(source="otlp"), TIMING._replace(scaled=True)]
    found = decomposed([SUCCESS] * 3, timings)
    assert found.sources == {"mirror": 2, "otlp": 1}
    assert found.scaled == 1


def test_no_requests() -> None:
    assert {len(column) for column in decomposed([], []).columns.values()} == {0}


def test_what_the_client_alone_can_tell() -> None:
    found = client_view(Requests.of([FAILED, SUCCESS, TIMED_OUT]))
    assert listed(found) == CLIENT_ALONE | {"server_and_network": [10 * MS]}


@st.composite
def requests(draw: st.DrawFn) -> tuple[Exchange, Timing]:
    """Any timeline in order, with any account of the server's that is possible."""
    steps_ns = draw(st.lists(st.integers(0, 10**12), min_size=5, max_size=5))
    stamps_ns = np.cumsum([draw(st.integers(0, 10**18)), *steps_ns]).tolist()
    exchange = SUCCESS._replace(
        scheduled_ns=stamps_ns[0],
        connect_ns=draw(st.integers(0, steps_ns[0])),
        ready_ns=stamps_ns[1],
        sent_ns=stamps_ns[2],
        first_byte_ns=stamps_ns[3],
        arrived_ns=stamps_ns[4],
        done_ns=stamps_ns[5],
        trace_id=f"{draw(st.integers(0, 2**128 - 1)):032x}",
    )
    parts_ns = draw(st.dictionaries(st.sampled_from(REPORTED_PARTS), st.integers(0, 10**11)))
    total_ns = sum(parts_ns.values()) + draw(st.integers(0, 10**11))
    return exchange, Timing(total_ns, parts_ns, "mirror")


@given(st.lists(requests(), max_size=5, unique_by=lambda pair: pair[0].trace_id))
def test_closure(pairs: list[tuple[Exchange, Timing]]) -> None:
    exchanges = [exchange for exchange, _ in pairs]
    found = decomposed(exchanges, [timing for _, timing in pairs])
    columns = {name: np.maximum(column, 0) for name, column in found.columns.items()}
    leaves = sum(columns[name] for name in LEAVES)
    server = sum(columns[name] for name in SERVER_PARTS)
    assert np.array_equal(leaves, columns["end_to_end"])
    assert np.array_equal(server, columns["server_processing"])
    assert_every_request_is_accounted_for(found, exchanges)


def assert_every_request_is_accounted_for(found: Decomposition, exchanges: list[Exchange]) -> None:
    assert found.count + sum(found.undecomposed.values()) == len(exchanges)
    latencies_ns = Counter(one.done_ns - one.scheduled_ns for one in exchanges)
    assert Counter(found.columns["end_to_end"].tolist()) <= latencies_ns
    assert {len(column) for column in found.columns.values()} == {found.count}


@given(st.lists(requests(), max_size=5))
def test_closure_of_the_client_s_view(pairs: list[tuple[Exchange, Timing]]) -> None:
    columns = client_view(Requests.of([exchange for exchange, _ in pairs]))
    parts = sum(columns[name] for name in ("backlog", "connect", "client", "server_and_network"))
    assert np.array_equal(parts, columns["end_to_end"])


def test_columns_are_in_the_order_of_scheduling_whatever_that_of_the_exchanges() -> None:
    first = SUCCESS._replace(trace_id="1" * 32, done_ns=SUCCESS.done_ns + 9 * MS)
    second = SUCCESS._replace(trace_id="2" * 32, scheduled_ns=SUCCESS.scheduled_ns + MS)
    slow = TIMING._replace(total_ns=9 * MS)
    found = decomposed([second, first], [TIMING, slow])
    assert found.columns["server_processing"].tolist() == [9 * MS, 8 * MS]
    assert found.columns["end_to_end"].tolist() == [19_200_000, 9_200_000]

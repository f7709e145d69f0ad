"""A target's result: populations, counts, shares, exemplars."""

from math import fsum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.samples import (
    CANCELLED,
    FAILED,
    MS,
    NEAR,
    NO_TIMING,
    SUCCESS,
    TIMED_OUT,
    TIMING,
    load,
    target,
)
from tests.records import decomposed, measured, record
from tracebench.analysis.summary.summary import summarise
from tracebench.model.components import LEAVES
from tracebench.model.record.exchange import Exchange, Reply, Stamp, Timing, Undecomposed
from tracebench.model.results.result import ErrorCount, RequestCounts


def lasting(end_to_end_ms: int, trace_id: str = "c" * 32) -> Exchange:
    return SUCCESS._replace(trace_id=trace_id, scheduled_ns=SUCCESS.done_ns - end_to_end_ms * MS)


def test_every_request_is_counted_once() -> None:
    found = target([SUCCESS, SUCCESS, FAILED, TIMED_OUT, CANCELLED])
    assert found.requests == RequestCounts(
        started=5, succeeded=2, failed=1, timed_out=1, cancelled=1
    )
    assert (found.duration_s, found.throughput_rps) == (2.0, 1.0)
    assert found.decomposed == 2
    assert found.server_timing_source == {"otlp": 0, "mirror": 2, "backend": 0, "none": 0}
    assert found.tcp == NEAR


def test_latency_covers_successes_and_time_outs_but_components_do_not() -> None:
    found = target([SUCCESS, FAILED, TIMED_OUT, CANCELLED])
    assert found.latency is not None
    assert (found.latency.count, found.latency.max_ms) == (2, 2000.0)
    assert {statistics.count for statistics in found.components.values()} == {1}
    assert found.cdf is not None
    assert found.cdf.ms == (10.2, 10.2, 2000.0)


def test_components_and_their_shares() -> None:
    found = target([SUCCESS])
    assert {name: one.mean_ms for name, one in found.components.items()} == {
        "end_to_end": 10.2,
        "service_time": 10.1,
        "backlog": 0.0,
        "connect": 0.0,
        "client": 0.2,
        "network": 2.0,
        "server_processing": 8.0,
        "preprocessing": 2.0,
        "inference": 5.0,
        "server_other": 1.0,
    }
    assert found.share == pytest.approx(
        {
            "backlog": 0.0,
            "connect": 0.0,
            "client": 0.2 / 10.2,
            "network": 2 / 10.2,
            "preprocessing": 2 / 10.2,
            "inference": 5 / 10.2,
            "server_other": 1 / 10.2,
        }
    )


def test_service_time_stands_only_where_it_differs() -> None:
    prompt = SUCCESS._replace(scheduled_ns=SUCCESS.sent_ns, ready_ns=SUCCESS.sent_ns)
    assert "service_time" not in target([prompt, prompt]).components
    assert "service_time" in target([prompt, SUCCESS]).components


def test_a_part_is_described_where_it_was_reported_and_is_nothing_elsewhere() -> None:
    timings = [TIMING, Timing(8 * MS, {"queue": 4 * MS}, "mirror")]
    run = load([SUCCESS, SUCCESS])
    found = summarise("x", run, decomposed(list(run.requests), timings))
    assert (found.components["queue"].count, found.components["queue"].mean_ms) == (1, 4.0)
    assert found.share["queue"] == 40 / 204
    assert fsum(found.share.values()) == pytest.approx(1, abs=1e-12)


def test_a_server_that_reports_nothing() -> None:
    found = target([SUCCESS, FAILED], NO_TIMING)
    assert found.decomposed == 0
    assert found.undecomposed == {"the server reported no timing": 1}
    assert found.server_timing_source == {"otlp": 0, "mirror": 0, "backend": 0, "none": 1}
    assert {name: one.mean_ms for name, one in found.components.items()} == {
        "end_to_end": 10.2,
        "service_time": 10.1,
        "backlog": 0.0,
        "connect": 0.0,
        "client": 0.2,
        "server_and_network": 10.0,
    }
    assert found.share == {
        "backlog": 0.0,
        "connect": 0.0,
        "client": 2 / 102,
        "server_and_network": 100 / 102,
    }


def test_some_that_are_decomposed_stand_for_the_components() -> None:
    run = load([SUCCESS, lasting(50)])
    timings: list[Timing | Undecomposed] = [TIMING, Undecomposed.EXCESS]
    found = summarise("x", run, decomposed(list(run.requests), timings))
    assert found.components["end_to_end"].count == 1
    assert found.latency is not None
    assert found.latency.count == 2
    assert found.undecomposed == {"the reported parts exceed their total": 1}


@pytest.mark.parametrize("exchanges", [[], [FAILED], [CANCELLED, FAILED]])
def test_no_success(exchanges: list[Exchange]) -> None:
    found = target(exchanges)
    assert found.latency is None
    assert found.cdf is None
    assert (found.components, found.share, found.exemplars) == ({}, {}, ())
    assert not found.verdict.valid


def test_a_run_without_duration() -> None:
    idle = measured([], duration_s=0.0, cpu_s=0.0, tcp=None)
    assert target([], run=idle).throughput_rps == 0.0


def test_stamps_are_those_of_successes() -> None:
    shared, user = (SUCCESS._replace(stamp=stamp) for stamp in (Stamp.SHARED, Stamp.USER))
    found = target([SUCCESS, SUCCESS, shared, user, TIMED_OUT])
    assert found.stamps == {"kernel": 2, "user": 1, "shared": 1}


def test_exemplars_are_the_requests_at_the_percentiles() -> None:
    exchanges = [lasting(10 + rank, f"{rank:032x}") for rank in range(100, 0, -1)]
    found = target(exchanges).exemplars
    assert [(one.percentile, one.trace_id, one.end_to_end_ms) for one in found] == [
        (50.0, f"{50:032x}", 60.0),
        (90.0, f"{90:032x}", 100.0),
        (95.0, f"{95:032x}", 105.0),
        (99.0, f"{99:032x}", 109.0),
        (100.0, f"{100:032x}", 110.0),
    ]


def test_an_exemplar_has_its_stamps_and_components() -> None:
    slow = lasting(30)
    run = load([slow, SUCCESS])
    found = summarise("x", run, decomposed([slow, SUCCESS], [Undecomposed.NO_TIMING, TIMING]))
    usual, slowest = found.exemplars[0], found.exemplars[-1]
    assert usual.stamps == {
        "ready": 0.0,
        "sent": 0.1,
        "first_byte": 10.0,
        "arrived": 10.1,
        "done": 10.2,
    }
    assert usual.components == {
        "backlog": 0.0,
        "connect": 0.0,
        "client": 0.2,
        "network": 2.0,
        "server_processing": 8.0,
        "preprocessing": 2.0,
        "inference": 5.0,
        "server_other": 1.0,
    }
    assert slowest.components.keys() == {"backlog", "connect", "client", "server_and_network"}
    assert fsum(slowest.components.values()) == pytest.approx(30)


def test_a_time_out_is_an_exemplar_without_what_it_did_not_reach() -> None:
    slowest = target([SUCCESS, TIMED_OUT]).exemplars[-1]
    assert slowest.stamps == {"ready": 0.0, "sent": 0.1, "done": 2000.0}
    assert slowest.components == {}


def test_exemplars_are_those_that_asked_for_tracing() -> None:
    exchanges = [lasting(10 + rank, f"{rank:032x}") for rank in range(40)]
    traced = exchanges[:20]
    found = summarise(
        "x",
        load(exchanges),
        decomposed(traced, [TIMING] * 20),
        traced=record(traced)[0],
    )
    slowest = found.exemplars[-1]
    assert (slowest.trace_id, slowest.end_to_end_ms) == (f"{19:032x}", 29.0)
    assert slowest.components["server_processing"] == 8.0


def test_errors_by_reason_the_most_frequent_first() -> None:
    refused = FAILED._replace(reply=Reply("500", {}, b"\n out of  memory\x00\xff\n"))
    assert target([TIMED_OUT, refused, FAILED, CANCELLED, SUCCESS]).errors == (
        ErrorCount("HTTP 500", 2, "out of memory\N{REPLACEMENT CHARACTER}"),
        ErrorCount("no reply within 2 s", 1, ""),
    )


@pytest.mark.parametrize(
    ("reply", "example"),
    [
        (Reply("500", {}, "☃".encode() * 300), "☃" * 200),
        (Reply("302", {"location": "/login"}, b" "), "location: /login"),
        (Reply("UNAVAILABLE", {"grpc-message": "down", "x": "y"}, b""), "grpc-message: down"),
    ],
)
def test_an_example_is_what_the_server_said(reply: Reply, example: str) -> None:
    (error,) = target([FAILED._replace(reply=reply)]).errors
    assert error.example == example


@given(st.lists(st.tuples(st.integers(0, 10**8), st.integers(0, 10**8)), min_size=1, max_size=30))
def test_shares_sum_to_one(waits_ns: list[tuple[int, int]]) -> None:
    exchanges = [
        SUCCESS._replace(
            scheduled_ns=SUCCESS.ready_ns - wait_ns, connect_ns=min(wait_ns, connect_ns)
        )
        for wait_ns, connect_ns in waits_ns
    ]
    found = target(exchanges)
    assert fsum(found.share.values()) == pytest.approx(1, abs=1e-12)
    leaves_ms = fsum(found.components[name].mean_ms for name in LEAVES if name in found.share)
    assert leaves_ms == pytest.approx(found.components["end_to_end"].mean_ms, rel=1e-12)

"""Findings on the load and its machine, on both sides of each limit."""

from dataclasses import replace

import pytest

from tests.analysis.samples import CANCELLED, MS, NEAR, NO_TIMING, SUCCESS, load, target
from tracebench.model.measurement import Measurement
from tracebench.model.record.exchange import Exchange, Lost, Outcome, Reply
from tracebench.model.results.result import Finding

RUN = replace(load([SUCCESS]), duration_s=10.0)


def found(run: Measurement, code: str) -> Finding | None:
    findings = target(list(run.requests), NO_TIMING, run=run).verdict.findings
    return next((one for one in findings if one.code == code), None)


def severity(run: Measurement, code: str) -> str | None:
    finding = found(run, code)
    return finding.severity if finding else None


def due(count: int, *, stretch: float = 1.0, gap_ns: int = 10 * MS) -> list[Exchange]:
    """Requests that are due every 10 ms and leave further and further behind."""
    return [
        SUCCESS._replace(
            scheduled_ns=n * gap_ns,
            ready_ns=round(n * gap_ns * stretch),
            sent_ns=round(n * gap_ns * stretch) + 1,
            done_ns=round(n * gap_ns * stretch) + MS,
        )
        for n in range(count)
    ]


@pytest.mark.parametrize(
    ("achieved", "expected"),
    [(1.0, None), (0.9905, None), (0.9895, "warning"), (0.9505, "warning"), (0.9495, "invalid")],
)
def test_rate_not_met(achieved: float, expected: str | None) -> None:
    run = replace(load(due(1000, stretch=1 / achieved)), asked_rps=100.0)
    assert severity(run, "rate_not_met") == expected


def test_a_missed_rate_is_told_with_figures() -> None:
    finding = found(replace(load(due(1001, stretch=1.25)), asked_rps=100.0), "rate_not_met")
    assert finding is not None
    assert finding.message == (
        "the rate asked for was missed by 20 %: 80/s were sent instead of 100/s"
    )


def test_what_was_never_sent_is_missed_too() -> None:
    exchanges = due(1000)
    exchanges[500:600] = [CANCELLED._replace(sent_ns=0, scheduled_ns=5_500 * MS)] * 100
    assert severity(replace(load(exchanges), asked_rps=100.0), "rate_not_met") == "invalid"


def test_a_closed_loop_and_a_few_requests_miss_no_rate() -> None:
    assert severity(load(due(1000, stretch=2)), "rate_not_met") is None
    assert severity(replace(load(due(19, stretch=2)), asked_rps=100.0), "rate_not_met") is None
    assert severity(replace(load([]), asked_rps=100.0), "rate_not_met") is None


@pytest.mark.parametrize(
    ("late", "expected"), [(0, None), (10, None), (11, "info"), (100, "info"), (101, "warning")]
)
def test_arrivals_not_as_asked(late: int, expected: str | None) -> None:
    exchanges = due(1000)
    for n in range(late):
        exchanges[n] = exchanges[n]._replace(sent_ns=exchanges[n].ready_ns + 10 * MS + 1)
    exchanges = [one._replace(done_ns=one.done_ns + 100 * MS) for one in exchanges]
    exchanges = [one._replace(arrived_ns=one.done_ns) for one in exchanges]
    assert severity(replace(load(exchanges), asked_rps=100.0), "arrivals_not_as_asked") == expected
    assert severity(load(exchanges), "arrivals_not_as_asked") is None


@pytest.mark.parametrize(
    ("code", "run", "expected"),
    [
        ("loop_lag", replace(RUN, stalled_s=0.05), None),
        ("loop_lag", replace(RUN, stalled_s=0.051), "info"),
        ("loop_lag", replace(RUN, stalled_s=0.201), "warning"),
        ("loop_lag", replace(RUN, stalled_s=0.501), "invalid"),
        ("gc_pauses", replace(RUN, gc_pause_s=0.01), None),
        ("gc_pauses", replace(RUN, gc_pause_s=0.011), "info"),
        ("gc_pauses", replace(RUN, gc_pause_s=0.101), "warning"),
        ("cpu_shared", replace(RUN, same_host=True, idle_share=0.5), None),
        ("cpu_shared", replace(RUN, same_host=True, idle_share=0.49), "info"),
        ("cpu_shared", replace(RUN, same_host=True, idle_share=0.09), "warning"),
        ("cpu_shared", replace(RUN, same_host=True), None),
        ("cpu_shared", replace(RUN, idle_share=0.0), None),
        ("noisy_neighbour", RUN, None),
        ("noisy_neighbour", replace(RUN, stolen_share=0.01), None),
        ("noisy_neighbour", replace(RUN, stolen_share=0.011), "info"),
        ("noisy_neighbour", replace(RUN, stolen_share=0.051), "warning"),
        ("clock_stepped", replace(RUN, clock_step_s=0.0059), None),
        ("clock_stepped", replace(RUN, clock_step_s=0.0061), "warning"),
        ("clock_stepped", replace(RUN, clock_step_s=-0.0061), "warning"),
    ],
)
def test_the_machine(code: str, run: Measurement, expected: str | None) -> None:
    assert severity(run, code) == expected


@pytest.mark.parametrize(
    ("anew", "expected"), [(0, None), (50, None), (51, "info"), (200, "info"), (201, "warning")]
)
def test_connection_churn(anew: int, expected: str | None) -> None:
    exchanges = [SUCCESS._replace(connect_ns=1)] * anew + [SUCCESS] * (1000 - anew)
    run = load(exchanges)
    assert severity(run, "connection_churn") == expected
    if expected == "warning":
        finding = found(run, "connection_churn")
        assert finding is not None
        assert "(201 of 1,000)" in finding.message


def test_the_machine_is_told_with_figures() -> None:
    run = replace(RUN, stalled_s=1.0, longest_stall_s=0.0204, tcp=NEAR)
    finding = found(run, "loop_lag")
    assert finding is not None
    assert finding.message == (
        "the tool did not look for replies during 10 % of the run, 20.4 ms at the longest"
    )


@pytest.mark.parametrize(
    ("governors", "expected"),
    [((), None), (("performance",), None), (("performance", "schedutil"), "info")],
)
def test_frequency_scaling(governors: tuple[str, ...], expected: str | None) -> None:
    assert severity(replace(RUN, governors=governors), "frequency_scaling") == expected


@pytest.mark.parametrize(
    ("share", "expected"), [(None, None), (1.01, None), (0.101, None), (0.099, "info")]
)
def test_compressible_payload(share: float | None, expected: str | None) -> None:
    assert severity(replace(RUN, compressed_share=share), "compressible_payload") == expected


@pytest.mark.parametrize(
    ("again", "expected"), [(0, None), (1, "info"), (50, "info"), (51, "warning")]
)
def test_requests_that_were_sent_again(again: int, expected: str | None) -> None:
    once_more = SUCCESS._replace(lost=Lost.GOAWAY, connect_ns=1)
    assert (
        severity(load([once_more] * again + [SUCCESS] * (1000 - again)), "sent_again") == expected
    )


def test_why_requests_were_sent_again() -> None:
    causes = [Lost.REFUSED, Lost.CLOSED, Lost.CLOSED]
    run = load([SUCCESS._replace(lost=why, connect_ns=1) for why in causes] + [SUCCESS] * 7)
    finding = found(run, "sent_again")
    assert finding is not None
    assert "30 % of the requests" in finding.message
    assert "(2 as the server closed the connection, 1 refused as REFUSED_STREAM)" in finding.message
    assert target(list(run.requests), NO_TIMING).requests.sent_again == 3


def test_a_refused_stream_makes_no_connection() -> None:
    refused = SUCCESS._replace(lost=Lost.REFUSED, connect_ns=1)
    assert severity(load([refused] * 50), "connection_churn") is None
    closed = SUCCESS._replace(lost=Lost.CLOSED, connect_ns=1)
    assert severity(load([closed] * 50), "connection_churn") == "warning"


def test_a_record_that_stayed_in_memory_is_told() -> None:
    run = replace(RUN, record_problem="/tmp is in memory itself (tmpfs)")
    finding = found(run, "record_in_memory")
    assert finding is not None
    assert (finding.severity, finding.hint) == (
        "info",
        "set TMPDIR to a folder on a disk with free space",
    )
    assert "because /tmp is in memory itself (tmpfs): a longer run" in finding.message
    assert severity(RUN, "record_in_memory") is None


NO_PORT = SUCCESS._replace(
    sent_ns=0,
    first_byte_ns=0,
    arrived_ns=0,
    outcome=Outcome.FAILED,
    reason="cannot connect: cannot assign requested address",
    reply=Reply("", {}, b""),
)


@pytest.mark.parametrize(
    ("without", "expected"), [(0, None), (1, "warning"), (10, "warning"), (11, "invalid")]
)
def test_no_local_port(without: int, expected: str | None) -> None:
    run = load([*due(1000 - without), *[NO_PORT] * without])
    assert severity(run, "no_local_port") == expected


def test_that_no_port_was_left_explains_the_errors() -> None:
    run = load([*due(900), *[NO_PORT] * 100])
    errors, cause = found(run, "errors"), found(run, "no_local_port")
    assert errors is not None
    assert errors.severity == "info"
    assert cause is not None
    assert "--bind" in cause.hint

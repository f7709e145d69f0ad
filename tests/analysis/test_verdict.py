"""Findings: each with the run that deserves it, and the run that just does not."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.analysis.samples import (
    CANCELLED,
    FAILED,
    MS,
    NO_TIMING,
    SUCCESS,
    TIMED_OUT,
    TIMING,
    found,
    load,
    severity,
    target,
)
from tests.records import decomposed
from tracebench.analysis.findings.client.near_floor import describe_floor
from tracebench.analysis.findings.finding import SEVERITIES
from tracebench.analysis.findings.server.otlp_spans import spans_lost
from tracebench.analysis.statistics.steady_state import settled
from tracebench.analysis.summary.summary import summarise
from tracebench.analysis.verdict import advised, usable_for
from tracebench.model.measurement import Measurement
from tracebench.model.record.exchange import Exchange, Stamp, Timing, Undecomposed
from tracebench.model.results.result import TargetResult, TcpInfo, Verdict

ENOUGH = 7_000
NEAR_WIRE = Timing(9_900_000, {"inference": 9 * MS}, "mirror")
"""Leaves 0.1 ms of network, a tenth of the round trip."""


def lagging(client_ns: int) -> Exchange:
    """A request of 10 ms of which the client took so much."""
    return SUCCESS._replace(
        scheduled_ns=0,
        ready_ns=0,
        sent_ns=client_ns // 2,
        arrived_ns=client_ns // 2 + 10 * MS - client_ns,
        done_ns=10 * MS,
    )


def mixed(of_code: Exchange, count: int, among: int) -> list[Exchange]:
    return [of_code] * count + [SUCCESS] * (among - count)


def test_a_good_run_has_nothing_against_it() -> None:
    verdict = target([SUCCESS] * ENOUGH, NEAR_WIRE).verdict
    assert verdict.findings == ()
    assert verdict.valid


@pytest.mark.parametrize(
    ("count", "expected"), [(0, None), (1, "warning"), (10, "warning"), (11, "invalid")]
)
@pytest.mark.parametrize("kind", [FAILED, TIMED_OUT])
def test_errors(kind: Exchange, count: int, expected: str | None) -> None:
    result = target(mixed(kind, count, 1000))
    assert severity(result, "errors") == expected
    assert result.verdict.valid is (expected != "invalid")


def test_what_was_cancelled_is_no_error() -> None:
    assert found(target([SUCCESS, CANCELLED]), "errors") is None


def test_errors_are_told_with_figures() -> None:
    finding = found(target([FAILED, FAILED, TIMED_OUT, SUCCESS]), "errors")
    assert finding is not None
    assert finding.message == ("75 % of the requests did not succeed: 2 failed, 1 timed out")


@pytest.mark.parametrize("exchanges", [[], [FAILED], [CANCELLED]])
def test_no_successes(exchanges: Sequence[Exchange]) -> None:
    result = target(exchanges)
    assert severity(result, "no_successes") == "invalid"
    assert found(target([SUCCESS, *exchanges]), "no_successes") is None


@pytest.mark.parametrize(
    ("client_ns", "expected"),
    [(MS, None), (MS + 2, "warning"), (5 * MS, "warning"), (5 * MS + 2, "invalid")],
)
def test_client_saturated(client_ns: int, expected: str | None) -> None:
    for timing in (NO_TIMING, Timing(MS, {}, "mirror")):
        assert severity(target([lagging(client_ns)], timing), "client_saturated") == expected


def test_a_saturated_client_is_told_with_figures() -> None:
    finding = found(target([lagging(6 * MS)], NO_TIMING), "client_saturated")
    assert finding is not None
    assert finding.message == (
        "60 % of the mean latency is the tool's own time "
        "(6 of 10 ms; its CPU was busy 25 % of the run)"
    )


@pytest.mark.parametrize(
    ("lag_ns", "expected"), [(102_000, None), (102_001, "info"), (1_020_001, "warning")]
)
def test_late_writes(lag_ns: int, expected: str | None) -> None:
    result = target([SUCCESS._replace(write_lag_ns=lag_ns)])
    assert severity(result, "late_writes") == expected


@pytest.mark.parametrize(
    ("stamp", "code", "counts"),
    [
        (Stamp.USER, "no_kernel_stamps", {10: None, 11: "info", 101: "warning"}),
        (Stamp.SHARED, "shared_stamps", {0: None, 1: "info", 501: "warning"}),
    ],
)
def test_stamps(stamp: Stamp, code: str, counts: dict[int, str | None]) -> None:
    for count, expected in counts.items():
        result = target(mixed(SUCCESS._replace(stamp=stamp), count, 1000))
        assert severity(result, code) == expected


def test_no_server_timing() -> None:
    result = target([SUCCESS, FAILED], NO_TIMING)
    finding = found(result, "no_server_timing")
    assert finding is not None
    assert finding.severity == "info"
    assert "instrument(app)" in finding.hint
    assert "X-Timing-Info" in finding.hint
    assert found(result, "not_decomposed") is None


def test_malformed_timings_are_not_no_timings() -> None:
    result = target([SUCCESS], Undecomposed.MALFORMED)
    assert found(result, "no_server_timing") is None
    assert severity(result, "not_decomposed") == "warning"


@pytest.mark.parametrize(("count", "expected"), [(0, None), (10, "info"), (11, "warning")])
def test_not_decomposed(count: int, expected: str | None) -> None:
    run = load([SUCCESS] * 1000)
    timings = [Undecomposed.EXCESS] * count + [TIMING] * (1000 - count)
    finding = found(summarise("x", run, decomposed(list(run.requests), timings)), "not_decomposed")
    if expected is None:
        assert finding is None
    else:
        assert finding is not None
        assert finding.severity == expected
        assert finding.message.endswith(f"the reported parts exceed their total ({count})")


def test_scaled_mirror() -> None:
    run = load([SUCCESS] * 3)
    timings: list[Timing | Undecomposed] = [
        TIMING,
        TIMING._replace(scaled=True),
        Undecomposed.EXCESS,
    ]
    finding = found(summarise("x", run, decomposed(list(run.requests), timings)), "scaled_mirror")
    assert finding is not None
    assert finding.severity == "info"
    assert finding.message.startswith("in 1 of 2 replies")


@pytest.mark.parametrize(
    ("count", "expected", "names"),
    [
        (63, "warning", "p90, p95, p99, p999"),
        (64, "info", "p95, p99, p999"),
        (130, "info", "p99, p999"),
        (662, "info", "p999"),
    ],
)
def test_too_few_samples(count: int, expected: str, names: str) -> None:
    finding = found(target([SUCCESS] * count), "too_few_samples")
    assert finding is not None
    assert finding.severity == expected
    assert finding.message == f"{count} samples are too few for {names}: shown without an interval"


@pytest.mark.parametrize(
    ("server_ns", "rtt_ms", "fires"),
    [
        (8 * MS, 0.189, True),
        (8 * MS, 0.19, False),
        (9 * MS, 0.01, False),
        (0, 0.1, True),
    ],
)
def test_waiting_before_server_span(server_ns: int, rtt_ms: float, fires: bool) -> None:
    run = load([SUCCESS], tcp=TcpInfo(rtt_ms, 7.0, 0, 1))
    result = target([SUCCESS], Timing(server_ns, {}, "mirror"), run=run)
    assert severity(result, "waiting_before_server_span") == ("info" if fires else None)


@pytest.mark.parametrize(("network_ns", "fires"), [(400_000, False), (400_001, True)])
def test_what_a_server_that_does_nothing_has_is_no_waiting(network_ns: int, fires: bool) -> None:
    idle = answered_in(200_000)
    floor = describe_floor(load([idle]), in_the_clear=False)
    run = load([quick := answered_in(MS)], tcp=TcpInfo(0.004, 1.0, 0, 1))
    decomposition = decomposed([quick], [Timing(MS - network_ns, {}, "mirror")])
    result = summarise("x", run, decomposition, floor=floor)
    assert (found(result, "waiting_before_server_span") is not None) is fires


def answered_in(waited_ns: int) -> Exchange:
    at_ns = SUCCESS.sent_ns + waited_ns
    return SUCCESS._replace(first_byte_ns=at_ns, arrived_ns=at_ns, done_ns=at_ns)


def test_waiting_is_told_with_figures() -> None:
    run = load([SUCCESS], tcp=TcpInfo(0.05, 7.0, 0, 1))
    finding = found(target([SUCCESS], run=run), "waiting_before_server_span")
    assert finding is not None
    assert finding.message.startswith(
        "1.85 ms of the median network time of 2 ms cannot be the path, whose round trip takes "
        "0.05 ms"
    )


def test_without_tcp_info_nothing_is_said_of_waiting() -> None:
    run = load([SUCCESS], tcp=None)
    assert found(target([SUCCESS], run=run), "waiting_before_server_span") is None


def ended(run: Measurement) -> TargetResult:
    return summarise("x", run, decomposed(list(run.requests), [TIMING] * len(list(run.requests))))


def test_interrupted() -> None:
    finding = found(ended(replace(load([SUCCESS, CANCELLED]), interrupted=True)), "interrupted")
    assert finding is not None
    assert finding.severity == "warning"
    assert finding.message == (
        "the run was interrupted, with 1 of 2 requests cancelled: not everything was measured"
    )


def test_how_far_it_came_is_told() -> None:
    result = ended(replace(load([SUCCESS, CANCELLED]), interrupted=True, done_share=0.17))
    finding = found(result, "interrupted")
    assert finding is not None
    assert finding.message.startswith("the run was interrupted at 17 %, with ")
    assert result.interrupted_at == 0.17
    assert ended(replace(load([SUCCESS]), done_share=1.0)).interrupted_at is None


def test_interrupted_in_the_warm_up() -> None:
    run = settled(replace(load([]), interrupted=True), 2_000)
    assert run.warmup is None
    [finding] = ended(run).verdict.findings
    assert "interrupted before the warm-up was over" in finding.message


def test_gave_up() -> None:
    result = ended(replace(load([SUCCESS]), gave_up="no reply came for 5 s"))
    finding = found(result, "gave_up")
    assert finding is not None
    assert finding.message == "the run was given up: no reply came for 5 s"
    assert not result.verdict.valid


def test_spans_lost() -> None:
    finding = spans_lost(12, "connection refused")
    assert (finding.code, finding.severity) == ("spans_lost", "warning")
    assert finding.message == "12 spans could not be exported: connection refused"


def test_the_gravest_comes_first() -> None:
    result = target([FAILED, SUCCESS], NO_TIMING)
    ranks = [SEVERITIES.index(one.severity) for one in result.verdict.findings]
    assert ranks == sorted(ranks, reverse=True)
    assert ranks[0] == SEVERITIES.index("invalid")


def usable(one: TargetResult) -> tuple[str, ...]:
    assert one.verdict.usable_for is not None
    return one.verdict.usable_for


def test_what_is_known_within_a_quarter_is_usable() -> None:
    assert usable(target([SUCCESS] * 64)) == ("mean", "p50", "p90")
    assert usable(target([SUCCESS] * ENOUGH)) == ("mean", "p50", "p90", "p95", "p99", "p999")
    assert usable(target([SUCCESS])) == ()
    latency = target([SUCCESS] * 64).latency
    assert latency is not None
    for reach, expected in ((0.25, ("mean",)), (0.26, ())):
        known = {"mean_ms": (10.2 * (1 - reach), 10.2 * 1.1)}
        wide = replace(latency, mean_ms=10.2, ci95=known)
        assert usable_for(Verdict(True, ()), wide) == expected


def test_numbers_that_are_not_valid_are_usable_for_nothing() -> None:
    assert usable(target(mixed(FAILED, 50, 100))) == ()
    assert usable_for(Verdict(True, ()), None) == ()


def test_a_tool_that_looked_away_spoils_the_tail_only() -> None:
    run = replace(load([SUCCESS] * ENOUGH), stalled_s=0.05)
    assert severity(ended(run), "loop_lag") == "warning"
    assert usable(ended(run)) == ("mean", "p50", "p90", "p95")


def test_one_cause_is_said_once() -> None:
    gone = ended(replace(load([FAILED]), gave_up="no reply came for 5 s"))
    graver = [one.code for one in gone.verdict.findings if one.severity != "info"]
    assert graver == ["gave_up"]
    assert severity(gone, "errors") == severity(gone, "no_successes") == "info"
    assert not gone.verdict.valid
    mirrored = target([SUCCESS] * 100, Timing(11 * MS, {}, "mirror"))
    assert severity(mirrored, "negative_network") == "warning"
    assert severity(mirrored, "not_decomposed") == "info"


def test_a_graver_finding_is_not_hidden_behind_a_lesser_one() -> None:
    busy = replace(load([SUCCESS] * 100), same_host=True, idle_share=0.01, stalled_s=0.05)
    assert severity(ended(busy), "cpu_shared") == "warning"
    assert severity(ended(busy), "loop_lag") == "info"
    busier = replace(busy, stalled_s=0.2)
    assert severity(ended(busier), "loop_lag") == "invalid"


@pytest.mark.parametrize(
    ("plan", "fix"),
    [
        ({"requests": 100}, "--requests 6600"),
        ({"requests": None, "duration_s": 8.0}, "--duration 530"),
        ({}, "more --requests"),
        ({"requests": 100, "until_stable": "p95 2%"}, "narrower --until-stable"),
        ({"schedule_s": {"count": 3}}, "a longer schedule"),
    ],
)
def test_how_many_requests_more_are_needed(plan: dict[str, Any], fix: str) -> None:
    told = advised({"rest": target([SUCCESS] * 101)}, plan, {})["rest"]
    finding = found(told, "too_few_samples")
    assert finding is not None
    assert finding.brief == "p95, p99, p999 need 66 times as many requests"
    assert finding.fix == fix


def test_the_fix_fits_the_plan() -> None:
    late = target([lagging(2 * MS)] * 64, NO_TIMING)
    for plan, fix in (({"concurrency": 8}, "lower --concurrency"), ({"rate": [1]}, "lower --rate")):
        finding = found(advised({"rest": late}, plan, {})["rest"], "client_saturated")
        assert finding is not None
        assert finding.fix == fix

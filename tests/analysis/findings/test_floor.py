"""What is said of a target beside its floor, and of one without."""

import pytest

from tests.records import measured
from tests.report.samples import exchange, target
from tracebench.analysis.findings.client.near_floor import beside_floor, describe_floor
from tracebench.model.record.exchange import Outcome
from tracebench.model.results.result import Floor, TargetResult


def floor(total_ms: float) -> Floor:
    exchanges = tuple(exchange(n, total_ms, Outcome.SUCCEEDED) for n in range(200))
    return describe_floor(
        measured(exchanges, duration_s=4.0, cpu_s=0.1, tcp=None), in_the_clear=False
    )


def codes(one: TargetResult) -> set[str]:
    return {finding.code for finding in one.verdict.findings}


def test_what_is_told_of_a_floor() -> None:
    told = floor(0.5)
    assert told.end_to_end.p50_ms == 0.5
    assert told.client.p50_ms == pytest.approx(0.06)
    assert told.network.p50_ms == pytest.approx(0.44)
    assert told.throughput_rps == 50


@pytest.mark.parametrize(("floor_ms", "close"), [(15.1, True), (10.1, True), (9.9, False)])
def test_a_latency_within_twice_the_floor_is_close(floor_ms: float, close: bool) -> None:
    beside = beside_floor(target(silent=True, scale=lambda _n: 20.0), floor(floor_ms))
    assert ("close_to_floor" in codes(beside)) is close
    assert beside.floor is not None


def test_a_network_time_within_twice_the_floor_is_close() -> None:
    slow = target(scale=lambda _n: 20.0)  # of which the network takes 4.24 ms
    (finding,) = [
        one
        for one in beside_floor(slow, floor(3.0)).verdict.findings
        if one.code == "close_to_floor"
    ]
    assert finding.message.startswith("the median network time of 4.24 ms is 1.4 times")
    assert "close_to_floor" not in codes(beside_floor(slow, floor(2.0)))


def test_without_a_floor_a_fast_server_is_a_reason_to_ask() -> None:
    fast = target(silent=True, scale=lambda _n: 0.9)
    assert "floor_unknown" in codes(beside_floor(fast, None))
    assert "floor_unknown" not in codes(beside_floor(target(silent=True), None))
    assert "floor_unknown" not in codes(beside_floor(fast, floor(0.1)))


def test_a_target_without_successes_says_nothing_of_floors() -> None:
    failed = target(20, failed=20)
    assert beside_floor(failed, None).verdict == failed.verdict
    assert beside_floor(failed, floor(1.0)).verdict == failed.verdict

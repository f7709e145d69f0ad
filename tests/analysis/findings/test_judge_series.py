"""Findings on the series of latencies, on both sides of each limit."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.analysis.samples import MS, NO_TIMING, SUCCESS, TIMING, found, load, severity, target
from tests.analysis.series import latencies, normal
from tests.records import decomposed
from tracebench.analysis.summary.summary import summarise
from tracebench.analysis.verdict import advised
from tracebench.model.record.exchange import Exchange, Nanoseconds, Timing, Undecomposed
from tracebench.model.results.result import TargetResult


def closed_loop(series: Nanoseconds, *, slots: int = 1) -> list[Exchange]:
    """Exchanges with these latencies; each slot's follow each other without a gap."""
    free_ns = [MS + slot for slot in range(slots)]
    exchanges = []
    for n, latency_ns in enumerate(series.tolist()):
        start_ns = free_ns[n % slots]
        free_ns[n % slots] = done_ns = start_ns + latency_ns
        exchanges.append(
            SUCCESS._replace(
                trace_id=f"{n:032x}",
                slot=n % slots,
                scheduled_ns=start_ns,
                ready_ns=start_ns,
                sent_ns=start_ns,
                arrived_ns=done_ns,
                done_ns=done_ns,
            )
        )
    return exchanges


def measured(series: Nanoseconds, *, slots: int = 1) -> TargetResult:
    return target(closed_loop(series, slots=slots), Undecomposed.NO_TIMING)


STEADY = np.random.default_rng(5).integers(99 * MS // 10, 101 * MS // 10, 2000)
"""10 ms ± 1 %."""


@pytest.mark.parametrize(
    ("factor", "expected"),
    [(1.0, None), (1.015, None), (1.03, "info"), (1.15, "warning"), (1.6, "invalid")],
)
def test_not_stationary(factor: float, expected: str | None) -> None:
    series = STEADY.copy()
    series[1000:] = (series[1000:] * factor).astype(np.int64)
    result = measured(series)
    assert severity(result, "not_stationary") == expected
    assert result.verdict.valid is (expected != "invalid")


def test_a_drift_is_told_with_figures() -> None:
    series = STEADY.copy()
    series[500:] *= 2
    finding = found(measured(series), "not_stationary")
    assert finding is not None
    assert finding.message == (
        "the server changed by 100 % within the run: the mean latency was 10 ms before 25 % of the "
        "requests, and 20 ms after"
    )


def arriving(gaps_ns: Sequence[int]) -> TargetResult:
    """An open loop whose second half is slow."""
    half = len(gaps_ns) // 2
    late = [SUCCESS.done_ns - SUCCESS.scheduled_ns] * half + [30 * MS] * half
    at_ns = np.cumsum(gaps_ns).tolist()
    exchanges = [
        SUCCESS._replace(scheduled_ns=at, ready_ns=at, sent_ns=at, done_ns=at + more)
        for at, more in zip(at_ns, late, strict=True)
    ]
    return target(exchanges, run=replace(load(exchanges), asked_rps=100.0))


def test_a_rate_that_rises_makes_no_drift() -> None:
    assert severity(arriving([10 * MS] * 1000), "not_stationary") == "invalid"
    assert severity(arriving([10 * MS] * 500 + [5 * MS] * 500), "not_stationary") is None


@pytest.mark.parametrize(
    ("factor", "expected"), [(1.0, None), (1.1, None), (2.0, "info"), (5.0, "warning")]
)
def test_warmup_too_short(factor: float, expected: str | None) -> None:
    series = STEADY.copy()
    series[:80] = (series[:80] * factor).astype(np.int64)
    finding = found(measured(series), "warmup_too_short")
    assert (finding.severity if finding else None) == expected
    if finding is not None:
        assert finding.message.startswith("the first 80 of 2,000 requests look like warm-up")


@pytest.mark.parametrize(("phi", "expected"), [(0.0, None), (0.8, "info"), (0.97, "warning")])
def test_correlated_samples(phi: float, expected: str | None) -> None:
    result = measured(latencies(normal(31, 1, 20_000, phi)[0]))
    finding = found(result, "correlated_samples")
    assert (finding.severity if finding else None) == expected
    if finding is not None:
        assert result.latency is not None
        worth = result.latency.effective_count
        told = f"20,000 are worth as much for the mean as {worth:,} independent"
        assert told in finding.message


@pytest.mark.parametrize(
    ("named_ms", "expected"), [(8, None), (7.5, None), (7.4, "info"), (5, "info"), (4.9, "warning")]
)
def test_unexplained_share(named_ms: float, expected: str | None) -> None:
    timing = Timing(10 * MS, {"inference": round(named_ms * MS)}, "mirror")
    assert severity(target([SUCCESS], timing), "unexplained_share") == expected


def test_a_total_alone_explains_nothing() -> None:
    result = target([SUCCESS], Timing(9 * MS, {}, "mirror"))
    assert severity(result, "unexplained_share") == "warning"
    [finding] = [
        one
        for one in advised({"rest": result}, {}, {})["rest"].verdict.findings
        if one.code == "unexplained_share"
    ]
    assert finding.message.startswith("100 % of the server's time")
    assert "process pool" in finding.hint


@pytest.mark.parametrize(
    ("total_ms", "count", "expected"),
    [(9, 0, None), (9, 1, "info"), (9, 3, "warning"), (0.5, 20, "info")],
)
def test_components_outside_requests(total_ms: float, count: int, expected: str | None) -> None:
    told = Timing(round(total_ms * MS), {}, "mirror")
    timings = [told._replace(strays=7)] * count + [told] * (20 - count)
    rows = [SUCCESS._replace(trace_id=f"{n:032x}") for n in range(20)]
    result = summarise("server", load(rows), decomposed(rows, timings))
    finding = found(result, "components_outside_requests")
    assert (finding.severity if finding else None) == expected
    if finding is not None:
        assert finding.message.startswith(f"during {count * 5} % of the requests, components ran")
        assert "copy_context" in str(finding.hint)


def test_next_to_no_time_of_the_server_needs_no_explanation() -> None:
    result = target([SUCCESS], Timing(MS // 2, {}, "mirror"))
    assert severity(result, "unexplained_share") is None


def test_no_account_of_the_server_is_no_share() -> None:
    assert severity(target([SUCCESS], NO_TIMING), "unexplained_share") is None


@pytest.mark.parametrize(
    ("count", "expected"), [(0, None), (1, "info"), (10, "info"), (11, "warning")]
)
def test_negative_network(count: int, expected: str | None) -> None:
    timings = [TIMING._replace(total_ns=11 * MS)] * count + [TIMING] * (1000 - count)
    run = load([SUCCESS] * 1000)
    result = summarise("x", run, decomposed(list(run.requests), timings))
    assert severity(result, "negative_network") == expected


def repeating(payloads: int, second_ms: float, *, exceptions: int = 0) -> TargetResult:
    """Each payload in turn takes 10 ms the first time."""
    series = [10.0] * payloads + [second_ms] * (payloads - exceptions) + [11.0] * exceptions
    exchanges = closed_loop((np.array(series) * MS).astype(np.int64))
    return target([one._replace(variant=n % payloads) for n, one in enumerate(exchanges)])


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (repeating(6, 10), None),
        (repeating(6, 5.1), None),
        (repeating(6, 4.9), "info"),
        (repeating(6, 1.9), "warning"),
        (repeating(5, 1.9), None),
        (repeating(6, 1.9, exceptions=1), None),
        (repeating(20, 1.9, exceptions=2), "warning"),
        (repeating(20, 1.9, exceptions=3), None),
        (repeating(1, 1.9), None),
    ],
)
def test_cached_replies(result: TargetResult, expected: str | None) -> None:
    assert severity(result, "cached_replies") == expected


def test_a_cache_is_told_with_figures() -> None:
    finding = found(repeating(6, 1.5), "cached_replies")
    assert finding is not None
    assert finding.message == (
        "a payload's second reply took 85 % less than its first (medians over 6 payloads: "
        "1.5 after 10 ms): a cache may answer"
    )


@pytest.mark.parametrize(
    ("more_ms", "expected"),
    [(0, None), (1.8, None), (2.2, "info"), (4.8, "info"), (5.2, "warning"), (50, "warning")],
)
def test_one_of_four_workers_is_slower(more_ms: float, expected: str | None) -> None:
    series = STEADY.copy()
    series[3::4] += round(more_ms * MS)
    assert severity(measured(series, slots=4), "uneven_slots") == expected


def test_slots_of_one_server_are_even() -> None:
    runs = latencies(normal(33, 100, 640))
    assert not any(found(measured(run_ns, slots=16), "uneven_slots") for run_ns in runs)


def test_a_few_requests_tell_no_slots_apart() -> None:
    series = STEADY[: 29 * 4].copy()
    series[3::4] += 50 * MS
    assert found(measured(series, slots=4), "uneven_slots") is None

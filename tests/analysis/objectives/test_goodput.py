"""Goodput: requests that meet every limit, of all that ended, whether replies stream or not."""

from dataclasses import replace

import pytest

from tests.analysis.samples import FAILED, MS, SUCCESS, TIMED_OUT, TIMING, found, load
from tests.load.streams.exact_streams import DONE, Streamed, chat, delta, event, streams, tokens
from tests.load.streams.test_pitfalls import TTFT_MS
from tests.records import record
from tracebench.analysis.closure.decomposition import decompose
from tracebench.analysis.summary.summary import summarise
from tracebench.model.measurement import Measurement
from tracebench.model.record.exchange import Exchange, Timing, Undecomposed
from tracebench.model.results.result import TargetResult
from tracebench.model.results.stream_result import Goodput


def judged(run: Measurement, slo: str, share: float | None = None) -> TargetResult:
    asked = replace(run, slo=slo, goodput=share)
    return summarise("x", asked, decompose(run.requests, run.times))


def goodput(run: Measurement, slo: str) -> Goodput:
    target = judged(run, slo)
    assert target.goodput is not None
    assert found(target, "limit_without_values") is None
    return target.goodput


@pytest.mark.parametrize(
    ("slo", "share"),
    [
        (f"ttft < {TTFT_MS + 0.1}ms", 1),
        (f"ttft < {TTFT_MS}ms", 0),
        ("stream.ttft < 1s, tpot < 10.1ms", 1),
        ("ttft < 1s, tpot < 9900us", 0),
        ("end_to_end < 681ms", 1),
        ("ending < 1us", 1),
    ],
)
def test_every_limit_counts(slo: str, share: float) -> None:
    run = Streamed(streams(chat(tokens())), requests=5)
    told = goodput(run.load, slo)
    assert told.share == share
    assert told.rps == pytest.approx(share * 5 / run.load.duration_s)
    stream = judged(run.load, slo).stream
    assert stream is not None
    assert stream.goodput == told


def test_failures_meet_no_limit() -> None:
    broken = [*tokens(4)[:-1], (90.0, event({"error": "engine died"}))]
    run = Streamed(streams(chat([*tokens(4)])), requests=3)
    assert goodput(run.load, "latency < 10s").share == 1
    run = Streamed(streams(chat(broken)), requests=3)
    assert goodput(run.load, "latency < 10s").share == 0
    assert judged(run.load, "ttft < 1s").goodput is None, "no reply had a token"


def test_a_single_token_has_no_time_per_token_to_limit() -> None:
    run = Streamed(streams(chat(tokens(1, end=delta("stop") + DONE))), requests=2)
    assert goodput(run.load, "tpot < 1us").share == 1


# Replies that do not stream.


def taking(*total_ms: float) -> list[Exchange]:
    """Successes that take so long between `sent` and `arrived`, beside 0.2 ms of the client."""
    ends = [SUCCESS.sent_ns + round(ms * MS) for ms in total_ms]
    return [
        SUCCESS._replace(arrived_ns=end, first_byte_ns=end, done_ns=end + 100_000) for end in ends
    ]


def unary(exchanges: list[Exchange], timings: list[Timing | Undecomposed]) -> Measurement:
    requests, times = record(exchanges, timings)
    return replace(load(exchanges), requests=requests, times=times)


def test_latency_of_unary_replies() -> None:
    run = unary([*taking(9, 11, 13), FAILED, TIMED_OUT], [Undecomposed.NO_TIMING] * 5)
    told = goodput(run, "latency < 12ms")
    assert told.share == 2 / 5
    assert told.rps == 2 / run.duration_s
    assert told.limits == {"latency": 12}
    assert told.ci95 is not None
    assert told.ci95[0] < 0.4 < told.ci95[1]
    assert goodput(run, "end_to_end < 9.3").share == 1 / 5
    assert goodput(run, "end_to_end < 9.2ms").share == 0, "a limit is to be stayed below"


def test_components_of_unary_replies() -> None:
    slow = Timing(8 * MS, {"preprocessing": 1 * MS, "inference": 6 * MS}, "mirror")
    cached = Timing(1 * MS, {"preprocessing": 1 * MS}, "mirror")
    run = unary([*taking(9, 9, 9), FAILED], [TIMING, slow, cached, TIMING])
    assert goodput(run, "inference < 5.5ms").share == 2 / 4, "a cached answer needs no inference"
    assert goodput(run, "inference < 5.5ms, preprocessing < 1.5ms").share == 1 / 4
    assert goodput(run, "network < 1.5ms").share == 2 / 4


def test_what_the_server_tells_of_some_is_judged_of_them() -> None:
    run = unary(taking(9, 9, 9, 9), [TIMING, TIMING, *[Undecomposed.NO_TIMING] * 2])
    told = goodput(run, "inference < 6ms")
    assert told.share == 1
    assert told.rps == 4 / run.duration_s


def test_what_the_client_alone_can_tell() -> None:
    run = unary(taking(9, 12), [Undecomposed.NO_TIMING] * 2)
    assert goodput(run, "server_and_network < 10ms").share == 1 / 2
    assert goodput(run, "client < 0.3ms").share == 1


@pytest.mark.parametrize("slo", ["ttft < 200ms", "inference < 5ms", "tokenize < 5ms"])
def test_a_limit_on_what_nobody_tells_is_a_finding(slo: str) -> None:
    target = judged(unary(taking(9, 9), [Undecomposed.NO_TIMING] * 2), slo)
    assert target.goodput is None
    told = found(target, "limit_without_values")
    assert told is not None
    assert told.severity == "warning"
    assert slo.partition(" ")[0] in told.message


# Objectives of a load.


def many(share_slow: float, count: int = 2_000) -> Measurement:
    every = round(1 / share_slow) if share_slow else count + 1
    times_ms = [20 if at % every == every - 1 else 9 for at in range(count)]
    return unary(taking(*times_ms), [TIMING] * count)


@pytest.mark.parametrize(
    ("share_slow", "decision"),
    [(0, "met"), (1 / 400, "met"), (1 / 100, "undecided"), (1 / 20, "missed")],
)
def test_the_whole_interval_decides(share_slow: float, decision: str) -> None:
    (p99,) = judged(many(share_slow), "p99 < 15ms", 0.9).objectives
    assert (p99.expression, p99.bound) == ("p99 < 15ms", 0.99)
    assert p99.decision == decision
    assert p99.value == pytest.approx(1 - share_slow, abs=1e-3)


def test_limits_together_are_one_objective() -> None:
    found = judged(many(0.05), "latency < 15ms, inference < 6ms, latency.mean < 10ms", 0.9)
    mean, limits = found.objectives
    assert limits.expression == "90% of the requests with latency < 15ms and inference < 6ms"
    assert (limits.bound, limits.decision) == (0.9, "met")
    assert mean.value == found.latency.mean_ms if found.latency else None
    assert (mean.bound, mean.decision) == (10, "met")
    assert found.goodput is not None
    assert found.goodput.limits == {"latency": 15, "inference": 6}


def test_a_run_has_no_objectives() -> None:
    assert judged(many(0), "latency < 15ms").objectives == ()

"""Gates are decided by whole intervals, and say why where they are not."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.report.samples import both, result, streamed, target
from tracebench.analysis.difference.comparison import compare
from tracebench.analysis.objectives.gates import (
    gate_of,
    judge,
    overall,
    slower_gate_of,
)
from tracebench.analysis.objectives.limits import Path
from tracebench.model.errors import UsageError
from tracebench.model.objectives import Decision, GateResult
from tracebench.model.results.result import Finding, Result, TargetResult, Verdict
from tracebench.model.results.stream_result import Goodput

TARGETS = ("rest", "grpc")


@pytest.mark.parametrize(
    ("text", "of", "metric", "statistic", "limit", "unit"),
    [
        ("rest.inference.p95_ms > 20", "rest", "inference", "p95_ms", 20, "ms"),
        ("inference.p95 > 0.02s", None, "inference", "p95_ms", 20, "ms"),
        ("p99 >= 500us", None, "latency", "p99_ms", 0.5, "ms"),
        ("grpc.p99.9_ms>5", "grpc", "latency", "p999_ms", 5, "ms"),
        ("stream.ttft.p95_ms > 200", None, "ttft", "p95_ms", 200, "ms"),
        ("rest.stream.ttft.p95_ms > 200", "rest", "ttft", "p95_ms", 200, "ms"),
        ("server.network.max > 3ms", None, "server.network", "max_ms", 3, "ms"),
        ("tokenize.mean > 3ms", None, "tokenize", "mean_ms", 3, "ms"),
        ("errors.share > 0.1%", None, "errors.share", None, 0.001, "share"),
        ("grpc.errors.share > 0.001", "grpc", "errors.share", None, 0.001, "share"),
        ("throughput_rps < 50", None, "throughput_rps", None, 50, "rps"),
        ("rest.throughput_rps < 50/s", "rest", "throughput_rps", None, 50, "rps"),
        ("stream.goodput.share < 99%", None, "goodput.share", None, 0.99, "share"),
        ("decomposed.share < 1", None, "decomposed.share", None, 1, "share"),
    ],
)
def test_gates_are_read(
    text: str, of: str | None, metric: str, statistic: str | None, limit: float, unit: str
) -> None:
    gate = gate_of(text, TARGETS)
    assert (gate.target, gate.path) == (of, Path(metric, statistic))
    assert gate.limit == pytest.approx(limit)
    assert gate.unit == unit


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no gate"),
        ("inference.p95", "is no gate"),
        ("inference.p95 = 20", "is no gate"),
        ("inference.p95 > nan", "is no gate"),
        ("inference.p95 > -1", "is no gate"),
        ("inference.p95 > 1e999", "is no time"),
        ("inference.p95 > 5%", "5% is no time: give it in ms or s"),
        ("errors.share > 5ms", "5ms is no share"),
        ("errors.share > 5", "5 is no share: give it from 0 to 1, or in %"),
        ("throughput_rps < 50%", "50% is no rate"),
        ("inference > 20ms", "write e.g. inference.p95_ms"),
        ("inference.p42 > 20ms", "says not which statistic"),
        ("infrence.p95 > 20ms", "did you mean 'inference'"),
        ("tcp.inference.p95 > 20ms", "there is no target 'tcp': the run has rest, grpc"),
        ("tcp.errors.share > 1%", "there is no target 'tcp'"),
    ],
)
def test_what_is_no_gate(text: str, said: str) -> None:
    with pytest.raises(UsageError, match="--fail-if") as refused:
        gate_of(text, TARGETS)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_goodput_needs_limits() -> None:
    with pytest.raises(UsageError, match="give --slo"):
        gate_of("goodput.share < 99%", TARGETS, limited=False)


def with_interval(low: float, high: float) -> Result:
    """A run whose median latency is known so well."""
    one = target()
    assert one.latency is not None
    latency = replace(one.latency, p50_ms=(low + high) / 2, ci95={"p50_ms": (low, high)})
    return result(rest=replace(one, latency=latency))


def decided(run: Result, *texts: str) -> list[Decision]:
    gates = [gate_of(text, run.targets) for text in texts]
    return [one.decision for one in judge(run, gates)]


@pytest.mark.parametrize(
    ("text", "decision"),
    [
        ("p50 > 9.99", "failed"),
        ("p50 > 10", "inconclusive"),
        ("p50 >= 10", "failed"),
        ("p50 > 11", "inconclusive"),
        ("p50 >= 12", "inconclusive"),
        ("p50 > 12", "passed"),
        ("p50 < 12.01", "failed"),
        ("p50 < 12", "inconclusive"),
        ("p50 <= 12", "failed"),
        ("p50 < 10", "passed"),
        ("p50 <= 10", "inconclusive"),
        ("p50 <= 9.99", "passed"),
    ],
)
def test_the_whole_interval_decides(text: str, decision: Decision) -> None:
    assert decided(with_interval(10, 12), text) == [decision]


def test_no_interval_decides_nothing() -> None:
    (gate,) = judge(both(), [gate_of("rest.p999 > 1ms", TARGETS)])
    assert (gate.decision, gate.interval) == ("inconclusive", None)
    assert gate.why == "200 requests are too few for an interval (at least 6,636)"


def test_a_maximum_is_a_fact_of_the_run() -> None:
    run = result(rest=target())
    assert decided(run, "max > 22.9", "max > 23.1") == ["failed", "passed"]


def test_it_tells_how_many_requests_it_takes() -> None:
    run = with_interval(10, 12)
    whys = [
        one.why for one in judge(run, [gate_of(f"p50 > {ms}", TARGETS) for ms in (11.5, 11.01)])
    ]
    assert whys == [
        "the interval contains the limit: it takes about 4 times as many requests",
        "it is too close to the limit for a longer run to decide",
    ]


def test_a_gate_without_a_target_is_for_each() -> None:
    gates = [gate_of(text, TARGETS) for text in ("p50 > 1s", "grpc.p50 > 1s")]
    assert [one.target for one in judge(both(), gates)] == ["rest", "grpc", "grpc"]


@pytest.mark.parametrize(("failed", "decision"), [(0, "inconclusive"), (30, "failed")])
def test_errors_have_an_interval(failed: int, decision: Decision) -> None:
    run = result(rest=target(200, failed=failed))
    (gate,) = judge(run, [gate_of("errors.share > 1%", run.targets)])
    assert gate.value == failed / 200
    assert gate.decision == decision


def test_counts() -> None:
    run = result(rest=target(2_000))
    expected: Mapping[str, Decision] = {
        "errors.share > 0.5%": "passed",
        "decomposed.share < 99%": "passed",
        "throughput_rps < 19": "passed",
        "throughput_rps < 21": "failed",
    }
    assert dict(zip(expected, decided(run, *expected), strict=True)) == expected


def test_goodput() -> None:
    one = target(1_000)
    good = Goodput(0.5, 10.0, {"latency": 5}, (0.4, 0.6))
    run = result(rest=replace(one, goodput=good, duration_s=50.0))
    expected: Mapping[str, Decision] = {
        "goodput.share < 39%": "passed",
        "goodput.share < 61%": "failed",
        "goodput.rps < 7.9": "passed",
        "goodput.rps < 8.1": "inconclusive",
        "goodput.rps < 12.1": "failed",
    }
    assert dict(zip(expected, decided(run, *expected), strict=True)) == expected


def test_streams() -> None:
    run = streamed()
    assert decided(run, "rest.ttft.p50 > 10", "rest.stream.itl.mean > 11ms") == ["failed", "passed"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tokenize.p95 > 2", "there is no 'tokenize': the requests tell of end_to_end, "),
        ("ttft.p95 > 2", "no reply streamed"),
        ("goodput.share < 1", "no limits were given"),
    ],
)
def test_what_is_not_there_is_broken(text: str, said: str) -> None:
    (gate,) = judge(result(rest=target()), [gate_of(text, ["rest"])])
    assert (gate.decision, gate.value, gate.interval) == ("broken", None, None)
    assert said in gate.why


def invalid(one: TargetResult) -> TargetResult:
    return replace(
        one, verdict=Verdict(False, (Finding("errors", "invalid", "so it is", "mend it"),))
    )


def test_numbers_that_are_not_valid_decide_nothing_but_counts_do() -> None:
    run = result(rest=invalid(target(200, failed=100)))
    assert decided(run, "p50 > 1ms", "errors.share > 1%") == ["broken", "failed"]


# What must not be slower.


def slower(run: Result, *texts: str) -> list[GateResult]:
    assert run.comparison is not None
    return list(judge(run, (), [slower_gate_of(text) for text in texts], [run.comparison]))


def test_slower_than_another() -> None:
    a, b = target(2_000), target(2_000, scale=lambda number: 17.8 + number % 7)
    run = result(old=a, new=b)
    gates = slower(run, "p50 3%", "p50 5%", "latency.mean 1%", "inference.p95 3%")
    assert [one.decision for one in gates] == ["failed", "passed", "failed", "passed"]
    assert {one.target for one in gates} == {"new against old"}
    assert gates[0].value == pytest.approx(0.8 / 20, rel=0.1)
    assert "measured one after the other" in gates[0].why
    back = compare("new", b, "old", a)
    (gate,) = judge(run, (), [slower_gate_of("p50 0%")], [back])
    assert gate.decision == "passed", "what is faster is not slower"


def test_noise_leaves_it_undecided() -> None:
    def noisy(number: int) -> float:
        return 17.0 + (number * 7919) % 97 / 5

    run = result(old=target(60, scale=noisy), new=target(60, scale=noisy))
    assert [one.decision for one in slower(run, "mean 3%")] == ["inconclusive"]


def test_what_cannot_be_compared_is_broken() -> None:
    gates = slower(result(a=target(), b=target()), "queue.p50 3%", "backlog.p50 3%")
    assert [one.decision for one in gates] == ["broken", "broken"]
    assert "'queue' cannot be compared: both sides have end_to_end, " in gates[0].why
    run = result(a=target(), b=invalid(target()))
    assert [one.decision for one in slower(run, "p50 3%")] == ["broken"]


@pytest.mark.parametrize(
    "text",
    ["", "p95", "p95 3", "p95 -3%", "p99 3%", "inference 3%", "p95 3% 4%", "infrence.p95 3%"],
)
def test_what_is_no_slower_gate(text: str) -> None:
    with pytest.raises(UsageError, match="--fail-if-slower"):
        slower_gate_of(text)


# All of them together.


@pytest.mark.parametrize(
    ("found", "on_inconclusive", "decision"),
    [
        ((), None, None),
        (("passed",), None, "passed"),
        (("passed", "inconclusive"), None, "inconclusive"),
        (("passed", "inconclusive"), "pass", "passed"),
        (("passed", "inconclusive"), "fail", "failed"),
        (("failed", "inconclusive"), None, "failed"),
        (("failed", "inconclusive"), "pass", "failed"),
        (("failed", "broken"), None, "broken"),
    ],
)
def test_the_decision(
    found: tuple[Decision, ...], on_inconclusive: str | None, decision: Decision | None
) -> None:
    gates = [GateResult("x", "rest", 1.0, None, 1.0, "ms", one) for one in found]
    how = {None: None, "pass": "pass", "fail": "fail"}[on_inconclusive]
    assert overall(gates, valid=True, on_inconclusive=how) == decision  # type: ignore[arg-type]
    assert overall(gates, valid=False) == ("broken" if gates else None)

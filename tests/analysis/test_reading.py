"""The sentence: what takes the most, and what that suggests."""

from dataclasses import replace

import pytest

from tests.analysis.samples import FAILED, MS, NO_TIMING, SUCCESS, load, read, target
from tracebench.analysis.findings.client.near_floor import beside_floor, describe_floor
from tracebench.analysis.interpretation import interpret, interpret_tail, tail_in_short
from tracebench.model.components import LEAVES
from tracebench.model.record.exchange import Timing, Undecomposed
from tracebench.model.results.result import Tail, TailPart, TargetResult, TcpInfo


def test_the_whole_sentence() -> None:
    result = target([SUCCESS], Timing(9 * MS, {"inference": 8 * MS}, "mirror"))
    assert read(result) == (
        "inference is 78 % of the mean: 8 of 10.2 ms: "
        "try quantisation, a smaller model or an accelerator"
    )


@pytest.mark.parametrize(
    ("part", "suggestion"),
    [
        ("queue", "model instances"),
        ("preprocessing", "transform pipeline"),
        ("inference", "quantisation"),
        ("postprocessing", "model's output"),
    ],
)
def test_parts_of_the_server(part: str, suggestion: str) -> None:
    result = target([SUCCESS], Timing(9 * MS, {part: 8 * MS}, "mirror"))
    assert read(result).startswith(f"{part} is 78 %")
    assert suggestion in read(result)


def test_a_framework_that_takes_the_most() -> None:
    result = target([SUCCESS], Timing(9 * MS, {"inference": MS}, "mirror"))
    assert read(result).startswith("server other is 78 %")
    assert "framework" in read(result)


def test_a_total_alone_says_little_of_the_framework() -> None:
    said = read(target([SUCCESS], Timing(9 * MS, {}, "mirror")))
    assert "reports only its total" in said
    assert "component()" in said


@pytest.mark.parametrize(
    ("why", "plan", "said"),
    [
        (NO_TIMING, {}, "two lines tell more"),
        (NO_TIMING, {"receive_otlp": "127.0.0.1:4317"}, "the findings say why"),
        (
            Undecomposed.NEGATIVE_NETWORK,
            {},
            "more time than the client waited: see --dry-run",
        ),
        (Undecomposed.MALFORMED, {}, "the reported timing cannot be read: see --dry-run"),
    ],
)
def test_what_is_not_told_apart(why: Undecomposed, plan: dict[str, str], said: str) -> None:
    sentence = read(target([SUCCESS], why), plan)
    assert sentence.startswith("server and network is 98 %")
    assert said in sentence
    assert ("middleware.md" in sentence) is (why is NO_TIMING and not plan)


@pytest.mark.parametrize(
    ("rtt_ms", "concurrency", "suggestion"),
    [
        (1.0, 1, "compression"),
        (5.0, 1, "the round trip of the path (5 ms)"),
        (0.1, 4, "more workers or threads"),
        (0.1, 1, "around its span: reading, writing"),
    ],
)
def test_network_is_the_wire_or_time_outside_the_span(
    rtt_ms: float, concurrency: int, suggestion: str
) -> None:
    run = load([SUCCESS], tcp=TcpInfo(rtt_ms, 7.0, 0, 1))
    plan = {"concurrency": concurrency}
    said = read(target([SUCCESS], Timing(MS, {}, "mirror"), run=run), plan)
    assert said.startswith("network is 88 %")
    assert suggestion in said
    assert ("workers" in said) is (concurrency > 1)


def test_the_floor_decides_before_the_round_trip() -> None:
    run = load([SUCCESS], tcp=TcpInfo(0.004, 7.0, 0, 1))
    result = target([SUCCESS], Timing(MS, {}, "mirror"), run=run)
    floor = describe_floor(load([SUCCESS]), in_the_clear=False)
    assert "little to gain" in read(beside_floor(result, floor))


def test_without_a_round_trip_nothing_is_claimed_of_the_path() -> None:
    result = target([SUCCESS], Timing(MS, {}, "mirror"), run=load([SUCCESS], tcp=None))
    assert "tells which" in read(result)


def test_numbers_that_are_not_valid_suggest_nothing() -> None:
    result = target([FAILED, SUCCESS])
    assert not result.verdict.valid
    assert interpret(result) == ("", "")


def waiting(*, connect_ns: int, backlog_ns: int, client_ns: int) -> TargetResult:
    before_ns = connect_ns + backlog_ns
    exchange = SUCCESS._replace(
        scheduled_ns=SUCCESS.ready_ns - before_ns,
        connect_ns=connect_ns,
        done_ns=SUCCESS.done_ns + client_ns,
    )
    return target([exchange])


def test_the_client_s_own_components() -> None:
    assert "the tool is the limit" in read(waiting(connect_ns=0, backlog_ns=0, client_ns=8 * MS))
    assert "keep them alive" in read(waiting(connect_ns=20 * MS, backlog_ns=0, client_ns=0))
    assert "does not keep up" in read(waiting(connect_ns=0, backlog_ns=20 * MS, client_ns=0))


def test_a_server_that_reports_nothing() -> None:
    said = read(target([SUCCESS], NO_TIMING))
    assert said.startswith("server and network is 98 %")
    assert "middleware" in said


def test_no_success() -> None:
    assert read(target([FAILED])) == ""


@pytest.mark.parametrize("component", [*LEAVES, "server_and_network"])
def test_there_is_a_sentence_for_every_component(component: str) -> None:
    result = replace(target([SUCCESS]), share={component: 1.0})
    assert read(result).startswith(f"{component.replace('_', ' ')} is 100 %")


@pytest.mark.parametrize(
    ("share", "ci95", "said"),
    [
        (0.82, (0.78, 0.86), "82 % of that in queue (95 % interval 78 … 86 %)"),
        (0.9, (0.79, 1.05), "90 % of that in queue (95 % interval 79 … 100 %)"),
        (
            1.2,
            (1.1, 1.3),
            "120 % of that in queue (95 % interval 110 … 130 %), while other components take less",
        ),
        (0.9, None, "90 % of that in queue, in a single stretch of the run"),
        (
            0.6,
            (-0.5, 1.7),
            "which no component clearly accounts for: it varies too much",
        ),
    ],
)
def test_the_tail_claims_no_more_than_it_knows(
    share: float, ci95: tuple[float, float] | None, said: str
) -> None:
    parts = {"queue": TailPart(share * 2218, share, ci95), "network": TailPart(1.0, 0.01, (0, 0))}
    tail = Tail(40, 400, slowest_ms=2220, usual_ms=2, excess_ms=2218, components=parts)
    assert interpret_tail(replace(target([SUCCESS]), tail={"slowest_1_percent": tail})) == (
        f"the slowest 1 % take 2,220 ms longer than the median request, {said}"
    )


def test_the_median_where_the_mean_is_not_known() -> None:
    result = target([SUCCESS], Timing(9 * MS, {"inference": 8 * MS}, "mirror"))
    assert read(result, by="p50").startswith("inference is 78 % of the median: 8 of 10.2 ms: try")
    assert read(result, by="p99") == (
        "so far inference takes the most, about 8 of 10.2 ms: measure more to be sure"
    )
    assert interpret(result).fact.startswith("so far inference"), "a single request"


def test_a_component_of_few_requests_is_no_part_of_the_median_one() -> None:
    result = target([SUCCESS] * 3, run=load([SUCCESS] * 3))
    rare = replace(result.components["inference"], count=1, p50_ms=9.0)
    result = replace(result, components={**result.components, "inference": rare})
    assert read(result, by="p50").startswith("network is 20 % of the median")


@pytest.mark.parametrize(
    ("usable", "ci95", "said"),
    [
        (("p50", "p99"), (0.78, 0.86), "the slowest 1 % take 40 ms longer, 82 % of that in queue"),
        (("p50",), (0.78, 0.86), ""),
        (("p99",), (-0.1, 0.9), ""),
        (("p99",), None, ""),
    ],
)
def test_the_tail_has_a_line_where_it_is_known(
    usable: tuple[str, ...], ci95: tuple[float, float] | None, said: str
) -> None:
    parts = {"queue": TailPart(33.0, 0.82, ci95)}
    tail = Tail(40, 400, slowest_ms=42, usual_ms=2, excess_ms=40, components=parts)
    result = replace(target([SUCCESS]), tail={"slowest_1_percent": tail})
    verdict = replace(result.verdict, usable_for=usable)
    assert tail_in_short(replace(result, verdict=verdict)) == said

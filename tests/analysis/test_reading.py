"""The sentence: what takes the most, and what that suggests."""

from dataclasses import replace

import pytest

from tests.analysis.samples import FAILED, MS, NO_TIMING, SUCCESS, load, target
from tracebench.analysis.findings.near_floor import beside_floor, describe_floor
from tracebench.analysis.interpretation import interpret, interpret_tail
from tracebench.model.components import LEAVES
from tracebench.model.exchange import Timing, Undecomposed
from tracebench.model.result import Tail, TailPart, TargetResult, TcpInfo


def test_the_whole_sentence() -> None:
    result = target([SUCCESS], Timing(9 * MS, {"inference": 8 * MS}, "mirror"))
    assert interpret(result) == (
        "inference takes 78% of the mean latency (8 of 10.2 ms): "
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
    assert interpret(result).startswith(f"{part} takes 78%")
    assert suggestion in interpret(result)


def test_a_framework_that_takes_the_most() -> None:
    result = target([SUCCESS], Timing(9 * MS, {"inference": MS}, "mirror"))
    assert interpret(result).startswith("server other takes 78%")
    assert "framework" in interpret(result)


def test_a_total_alone_says_little_of_the_framework() -> None:
    said = interpret(target([SUCCESS], Timing(9 * MS, {}, "mirror")))
    assert "reports only its total" in said
    assert "component()" in said


@pytest.mark.parametrize(
    ("why", "plan", "said"),
    [
        (NO_TIMING, {}, "two lines of middleware"),
        (NO_TIMING, {"receive_otlp": "127.0.0.1:4317"}, "the findings below say why"),
        (Undecomposed.NEGATIVE_NETWORK, {}, "reported more time than the client waited: look at"),
        (Undecomposed.MALFORMED, {}, "the reported timing cannot be read: look at what it reports"),
    ],
)
def test_what_is_not_told_apart(why: Undecomposed, plan: dict[str, str], said: str) -> None:
    sentence = interpret(target([SUCCESS], why), plan)
    assert sentence.startswith("server and network takes 98%")
    assert said in sentence
    assert ("middleware" in sentence) is (why is NO_TIMING and not plan)


@pytest.mark.parametrize(
    ("rtt_ms", "concurrency", "suggestion"),
    [
        (1.0, 1, "compression"),
        (5.0, 1, "the round trip of the path (5 ms)"),
        (0.1, 4, "more workers or threads"),
        (0.1, 1, "accepting, reading, writing"),
    ],
)
def test_network_is_the_wire_or_time_outside_the_span(
    rtt_ms: float, concurrency: int, suggestion: str
) -> None:
    run = load([SUCCESS], tcp=TcpInfo(rtt_ms, 7.0, 0, 1))
    plan = {"concurrency": concurrency}
    said = interpret(target([SUCCESS], Timing(MS, {}, "mirror"), run=run), plan)
    assert said.startswith("network takes 88%")
    assert suggestion in said
    assert ("workers" in said) is (concurrency > 1)


def test_the_floor_decides_before_the_round_trip() -> None:
    run = load([SUCCESS], tcp=TcpInfo(0.004, 7.0, 0, 1))
    result = target([SUCCESS], Timing(MS, {}, "mirror"), run=run)
    floor = describe_floor(load([SUCCESS]), in_the_clear=False)
    assert "little to gain" in interpret(beside_floor(result, floor))


def test_without_a_round_trip_nothing_is_claimed_of_the_path() -> None:
    result = target([SUCCESS], Timing(MS, {}, "mirror"), run=load([SUCCESS], tcp=None))
    assert "tells which" in interpret(result)


def test_numbers_that_are_not_valid_suggest_nothing() -> None:
    result = target([FAILED, SUCCESS])
    assert not result.verdict.valid
    assert interpret(result) == "inference takes 49% of the mean latency (5 of 10.2 ms)"


def waiting(*, connect_ns: int, backlog_ns: int, client_ns: int) -> TargetResult:
    before_ns = connect_ns + backlog_ns
    exchange = SUCCESS._replace(
        scheduled_ns=SUCCESS.ready_ns - before_ns,
        connect_ns=connect_ns,
        done_ns=SUCCESS.done_ns + client_ns,
    )
    return target([exchange])


def test_the_client_s_own_components() -> None:
    assert "the tool itself is the limit" in interpret(
        waiting(connect_ns=0, backlog_ns=0, client_ns=8 * MS)
    )
    assert "keep them alive" in interpret(waiting(connect_ns=20 * MS, backlog_ns=0, client_ns=0))
    assert "does not keep up" in interpret(waiting(connect_ns=0, backlog_ns=20 * MS, client_ns=0))


def test_a_server_that_reports_nothing() -> None:
    said = interpret(target([SUCCESS], NO_TIMING))
    assert said.startswith("server and network takes 98%")
    assert "middleware" in said


def test_no_success() -> None:
    assert "look at the errors" in interpret(target([FAILED]))


@pytest.mark.parametrize("component", [*LEAVES, "server_and_network"])
def test_there_is_a_sentence_for_every_component(component: str) -> None:
    result = replace(target([SUCCESS]), share={component: 1.0})
    assert interpret(result).startswith(f"{component.replace('_', ' ')} takes 100%")


@pytest.mark.parametrize(
    ("share", "ci95", "said"),
    [
        (0.82, (0.78, 0.86), "82 % is queue (95 % interval 78% … 86%)"),
        (0.9, (0.79, 1.05), "90 % is queue (95 % interval 79% … 100%)"),
        (
            1.2,
            (1.1, 1.3),
            "120 % is queue (95 % interval 110% … 130%), while other components take less",
        ),
        (0.9, None, "90 % is queue, in a single stretch of the run"),
        (0.6, (-0.5, 1.7), "no component clearly accounts for it: it varies too much over the run"),
    ],
)
def test_the_tail_claims_no_more_than_it_knows(
    share: float, ci95: tuple[float, float] | None, said: str
) -> None:
    parts = {"queue": TailPart(share * 2218, share, ci95), "network": TailPart(1.0, 0.01, (0, 0))}
    tail = Tail(40, 400, slowest_ms=2220, usual_ms=2, excess_ms=2218, components=parts)
    assert interpret_tail(replace(target([SUCCESS]), tail={"slowest_1_percent": tail})) == (
        f"of the 2,220 ms by which the slowest 1 % exceed the median request, {said}"
    )

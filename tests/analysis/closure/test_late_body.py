"""The rest of a reply whose head brought the server's timing: `body`, and what is said of it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.samples import MS, SUCCESS, found, load, read, target
from tests.records import decomposed
from tracebench.analysis.verdict import advised
from tracebench.model.components import CLIENT_PARTS, LEAVES
from tracebench.model.record.exchange import CameWith, Exchange, Timing
from tracebench.model.results.result import TargetResult, TcpInfo

LOOPBACK = TcpInfo(min_rtt_ms=0.02, rtt_ms=0.03, retransmits=0, connections=1)
MANY = {"concurrency": 8}


def streamed(began_ms: float, ended_ms: float) -> Exchange:
    """A reply that began and ended so long after the request was sent."""
    sent_ns = SUCCESS.scheduled_ns
    return SUCCESS._replace(
        ready_ns=sent_ns,
        sent_ns=sent_ns,
        first_byte_ns=sent_ns + round(began_ms * MS),
        arrived_ns=sent_ns + round(ended_ms * MS),
        done_ns=sent_ns + round(ended_ms * MS),
    )


def divided(one: Exchange, total_ms: float, came_with: CameWith) -> dict[str, float]:
    timing = Timing(round(total_ms * MS), {}, "mirror", came_with=came_with)
    columns = decomposed([one], [timing]).columns
    return {name: columns[name].item() / MS for name in ("network", "body", "server_processing")}


@pytest.mark.parametrize(
    ("began_ms", "ended_ms", "total_ms", "came_with", "network_ms", "body_ms"),
    [
        (0.3, 20.3, 0.1, "stream", 0.2, 20.0),
        (0.3, 20.3, 0.1, "head", 0.2, 20.0),
        (0.3, 20.3, 0.1, "end", 20.2, 0.0),  # gRPC's trailers, and spans: they may cover it
        (5.0, 6.0, 4.0, "head", 2.0, 0.0),  # not above 1 ms
        (5.0, 6.001, 4.0, "head", 1.0, 1.001),
        (99.0, 104.0, 90.0, "head", 14.0, 0.0),  # not above 5 % of 104 ms
        (99.0, 105.0, 90.0, "head", 9.0, 6.0),
        (1.0, 31.0, 30.0, "head", 1.0, 0.0),  # an interim reply came first
        (0.09, 20.0, 0.1, "stream", 0.0, 19.9),  # a total that was rounded up
    ],
)
def test_what_follows_the_head_stands_apart(
    began_ms: float,
    ended_ms: float,
    total_ms: float,
    came_with: CameWith,
    network_ms: float,
    body_ms: float,
) -> None:
    found = divided(streamed(began_ms, ended_ms), total_ms, came_with)
    assert found == pytest.approx(
        {"network": network_ms, "body": body_ms, "server_processing": total_ms}, abs=1e-9
    )


@given(
    st.integers(0, 10**10),
    st.integers(0, 10**10),
    st.integers(0, 10**10),
    st.sampled_from(["end", "head", "stream"]),
)
def test_the_parts_always_add_up(
    began_ns: int, ended_ns: int, total_ns: int, came_with: CameWith
) -> None:
    one = SUCCESS._replace(
        first_byte_ns=SUCCESS.sent_ns + began_ns,
        arrived_ns=SUCCESS.sent_ns + ended_ns,
        done_ns=SUCCESS.sent_ns + ended_ns,
    )
    found = decomposed([one], [Timing(min(total_ns, ended_ns), {}, "mirror", came_with=came_with)])
    parts = {name: found.columns[name].item() for name in (*CLIENT_PARTS, *LEAVES)}
    assert min(parts[name] for name in ("network", "body", "server_other")) >= 0
    assert sum(parts[name] for name in CLIENT_PARTS) == found.columns["end_to_end"].item()
    assert 0 <= found.before_reply().item() <= parts["network"]


def run(
    one: Exchange, total_ms: float, came_with: CameWith, tcp: TcpInfo | None = LOOPBACK
) -> TargetResult:
    timing = Timing(round(total_ms * MS), {}, "mirror", came_with=came_with)
    result = target([one] * 30, timing, run=load([one] * 30, tcp=tcp))
    return advised({"rest": result}, MANY, {})["rest"]


def said(result: TargetResult) -> str:
    findings = (f"{one.message} {one.hint}" for one in result.verdict.findings)
    return " ".join((read(result, MANY), *findings))


def test_a_stream_is_called_one_and_nobody_is_blamed() -> None:
    result = run(streamed(0.3, 20.3), 0.1, "stream")
    finding = found(result, "streamed_reply")
    assert finding is not None
    assert finding.severity == "warning"
    assert "20 ms pass between its first byte and its last" in finding.message
    assert "--receive-otlp" in finding.hint
    assert read(result, MANY).startswith("body is 99 % of the mean")
    assert "workers" not in said(result)
    assert found(result, "waiting_before_server_span") is None
    assert result.share["body"] == pytest.approx(20 / 20.3)
    assert sum(result.share.values()) == pytest.approx(1)


def test_a_large_reply_is_no_stream() -> None:
    result = run(streamed(20.0, 800.0), 5.0, "head", TcpInfo(10.0, 12.0, 0, 1))
    assert found(result, "streamed_reply") is None
    finding = found(result, "long_body")
    assert finding is not None
    assert finding.severity == "info"
    assert "stream" not in said(result)
    assert "workers" not in said(result)


def test_a_run_without_late_bodies_has_no_such_component() -> None:
    result = run(streamed(5.0, 5.2), 4.0, "head")
    assert "body" not in result.components
    assert "body" not in result.share


def test_the_tail_tells_of_it() -> None:
    usual, slow = streamed(0.3, 5.3), streamed(0.3, 50.3)
    exchanges = [
        replaced._replace(trace_id=f"{number:032x}", scheduled_ns=replaced.scheduled_ns)
        for number, replaced in enumerate([*[usual] * 1900, *[slow] * 100])
    ]
    timing = Timing(MS // 10, {}, "mirror", came_with="stream")
    tail = target(exchanges, timing).tail["slowest_5_percent"]
    assert tail.components["body"].share == pytest.approx(1)


@pytest.mark.parametrize(
    ("began_ms", "total_ms", "waits", "after"),
    [
        (1.0, 0.7, False, True),  # a span that ended with the first byte of a stream of 100 ms
        (50.0, 99.0, False, False),  # one that lasted as long
        (60.0, 45.0, True, True),  # 15 ms before the span, 40 ms after the reply had begun
        (80.0, 60.0, True, True),
        (50.0, 60.0, True, False),  # longer than until the first byte: it covers the rest
    ],
)
def test_only_what_passed_before_the_reply_waited(
    began_ms: float, total_ms: float, waits: bool, after: bool
) -> None:
    result = run(streamed(began_ms, 100.0), total_ms, "end")
    assert (found(result, "waiting_before_server_span") is not None) is waits
    assert (found(result, "network_after_reply_began") is not None) is after
    if not waits:
        assert "workers" not in said(result)


def test_a_part_of_the_network_time_is_never_more_than_all_of_it() -> None:
    exchanges = [streamed(0.1, ms) for ms in (20.0, 20.0, 30.0, 30.0)]
    result = target(exchanges, Timing(MS // 10, {}, "mirror", came_with="end"))
    finding = found(result, "network_after_reply_began")
    assert finding is not None
    after_ms, network_ms = map(float, re.findall(r"([0-9.]+) ms", finding.message)[:2])
    assert after_ms <= network_ms


def test_where_no_first_byte_is_known_the_reply_is_one_moment() -> None:
    one = streamed(0, 100.0)._replace(first_byte_ns=0)
    assert divided(one, 40.0, "head") == {"network": 60, "body": 0, "server_processing": 40}
    assert found(run(one, 40.0, "end"), "network_after_reply_began") is None


def test_a_plan_that_takes_spans_already_is_not_told_to() -> None:
    timing = Timing(MS // 10, {}, "mirror", came_with="stream")
    result = target([streamed(0.3, 20.3)] * 30, timing)
    plan = {"concurrency": 8, "receive_otlp": "127.0.0.1:4317"}
    finding = found(advised({"rest": result}, plan, {})["rest"], "streamed_reply")
    assert finding is not None
    assert "--receive-otlp" not in finding.hint
    assert "find out which are missing" in finding.hint

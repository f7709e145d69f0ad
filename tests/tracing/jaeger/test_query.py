"""Jaeger's answers, old and new, and those of what is no Jaeger."""

import pytest

from tests.servers import reply
from tests.tracing.jaeger.jaegers import NOTHING, PAGE, ROOT, TRACE, Answer, answering, modern, old
from tracebench.model.errors import TargetError
from tracebench.model.record.span import Link, Span
from tracebench.tracing.jaeger import legacy_json
from tracebench.tracing.jaeger.query_api import QueryApi, UnreadableError

START_US = 1_795_332_947_061_637


def spans(answer: Answer) -> dict[str, Span]:
    with answering(answer) as api:
        api.check()
        return {span.span_id: span for span in api.spans(TRACE)}


def to_the_microsecond(span: Span) -> Span:
    """A span as the old API can tell it: start and duration are cut off, not rounded."""
    start_us, duration_us = span.start_ns // 1000, (span.end_ns - span.start_ns) // 1000
    return span._replace(
        start_ns=start_us * 1000,
        end_ns=(start_us + duration_us) * 1000,
        events=tuple(one._replace(time_ns=one.time_ns // 1000 * 1000) for one in span.events),
        flags=0,
    )


def test_a_trace_is_read_as_it_was_recorded() -> None:
    found = spans(modern)
    (entry,) = (span for span in found.values() if span.parent_id == ROOT)
    assert (entry.name, entry.kind, entry.trace_id) == ("POST /predict", "SERVER", TRACE)
    assert entry.resource["service.name"] == "tracebench-example"
    inside = sorted(span.name for span in found.values() if span.parent_id == entry.span_id)
    assert inside == ["inference", "postprocessing", "preprocessing"]
    assert [event.name for event in found[ROOT].events] == [
        *("ready", "sent", "first_byte", "arrived", "done")
    ]


def test_an_old_jaeger_tells_the_same_to_the_microsecond() -> None:
    assert spans(old) == {id: to_the_microsecond(span) for id, span in spans(modern).items()}


def test_an_unknown_trace_has_no_spans() -> None:
    for answer in (modern, old):
        with answering(answer) as api:
            api.check()
            assert api.spans("1" * 32) == []


@pytest.mark.parametrize("answer", [modern, old])
def test_only_raw_traces_are_asked_for(answer: Answer) -> None:
    asked: list[str] = []

    def listening(path: str) -> bytes:
        asked.append(path)
        return answer(path)

    spans(listening)
    queries = [path.partition("?")[2].split("&") for path in asked if TRACE in path]
    assert queries in ([["raw_traces=true", "rawTraces=true"]], [["raw=true"]])


def test_ids_that_an_old_jaeger_cut_short_are_whole_again() -> None:
    span = {
        "traceID": "7b",
        "spanID": "c",
        "operationName": "x",
        "references": [
            {"refType": "CHILD_OF", "traceID": "9", "spanID": "1"},
            {"refType": "CHILD_OF", "traceID": "7b", "spanID": "2"},
            {"refType": "FOLLOWS_FROM", "traceID": "7b", "spanID": "3"},
        ],
        "startTime": START_US,
        "duration": 2,
        "processID": "p1",
    }
    processes = {"p1": {"serviceName": "s"}}
    (read,) = legacy_json.spans_in({"data": [{"spans": [span], "processes": processes}]})
    assert (read.trace_id, read.span_id, read.parent_id) == (
        *("7b".zfill(32), "c".zfill(16), "2".zfill(16)),
    )
    assert read.links == (
        Link("9".zfill(32), "1".zfill(16)),
        Link("7b".zfill(32), "3".zfill(16)),
    )
    assert (read.start_ns, read.end_ns, read.kind) == (
        *(START_US * 1000, (START_US + 2) * 1000, "UNSPECIFIED"),
    )


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"no JSON", "not a trace"),
        (b"{}", "not a trace"),
        (b'{"result":{"resourceSpans":7}}', "not a trace"),
        (b'{"result":[]}', "not a trace"),
        (b" " * ((16 << 20) + 1), "more than 16 MiB"),
    ],
    ids=["text", "empty", "number", "list", "large"],
)
def test_an_answer_that_is_no_trace_is_said_to_be_none(body: bytes, why: str) -> None:
    with answering(lambda path: reply(body)) as api, pytest.raises(UnreadableError, match=why):
        api.spans(TRACE)


@pytest.mark.parametrize("body", [b"{}", b'{"data":[{}]}', b'{"data":[{"processes":[]}]}', b"["])
def test_an_old_answer_that_is_no_trace_is_said_to_be_none(body: bytes) -> None:
    def answer(path: str) -> bytes:
        return reply(body) if "traces" in path else old(path)

    with answering(answer) as api:
        api.check()
        with pytest.raises(UnreadableError, match="not a trace"):
            api.spans(TRACE)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (PAGE, "not the API"),
        (NOTHING, "not the API"),
        (reply(b"?", "401 Unauthorized"), "HTTP 401"),
        (reply(b"?", "503 Service Unavailable"), "503"),
        (reply(b"?", "302 Found", "Location: http://127.0.0.1:1/"), "HTTP 302"),
    ],
    ids=["page", "nothing", "secret", "unwell", "elsewhere"],
)
def test_what_is_no_jaeger_is_named_in_a_line(answer: bytes, why: str) -> None:
    with answering(lambda path: answer) as api:
        with pytest.raises(TargetError, match=why) as refused:
            api.check()
        assert api.url in str(refused.value)
        assert "\n" not in str(refused.value)


def test_a_jaeger_that_is_not_there_is_named_in_a_line() -> None:
    api = QueryApi("http://127.0.0.1:1")
    with pytest.raises(TargetError, match=r"--jaeger 'http://127.0.0.1:1' \(.*refused\)"):
        api.check()


def test_spans_that_cannot_be_used_are_counted_once_however_often_they_are_asked_for() -> None:
    def answer(path: str) -> bytes:
        return modern(path).replace(b'"endTimeUnixNano"', b'"endTimeUnixNanO"', 1)

    with answering(answer) as api:
        api.check()
        assert [len(api.spans(TRACE)) for _ in range(2)] == [len(spans(modern)) - 1] * 2
        [reason] = api.unusable
    assert "has no end" in reason

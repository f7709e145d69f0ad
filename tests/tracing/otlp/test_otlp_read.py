"""OTLP in both encodings: records are right, and a bad span does not lose its batch."""

import json
from base64 import b64decode
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.tracing.otlp_samples import (
    END_NS,
    PARENT,
    RECORDED,
    SPAN,
    START_NS,
    TRACE,
    request,
    span,
)
from tests.tracing.otlp_samples import message as protobuf
from tracebench.model.record.span import Event, Link, Span
from tracebench.model.record.span_columns import SpanTable
from tracebench.tracing.otlp.checks import OtlpError
from tracebench.tracing.otlp.read_json import read_json
from tracebench.tracing.otlp.read_protobuf import count, read_into, read_protobuf

PLAIN = Span(
    TRACE,
    SPAN,
    PARENT,
    "POST /predict",
    "SERVER",
    START_NS,
    END_NS,
    resource={"service.name": "model"},
    scope="flask",
)


ROUND_NS = START_NS // 256 * 256
"""What a double can hold."""


def read(*spans: dict[str, Any]) -> list[Span]:
    return read_json(json.dumps(request(*spans)))


def recording(path: Path) -> list[Span]:
    reader = read_json if path.suffix == ".json" else read_protobuf
    bad: list[str] = []
    spans = reader(path.read_bytes(), bad.append)
    assert not bad
    return spans


REST, GRPC = "cd" * 8, "ef" * 8


@pytest.mark.parametrize(
    ("name", "rest", "over_grpc"),
    [
        ("triton-1.json", {"InferRequest": 1}, {}),
        ("triton-2.json", {"InferRequest": 1}, {"InferRequest": 1}),
        ("triton-3.json", {"InferRequest": 1}, {"InferRequest": 2}),
        (
            "mlserver-1.pb",
            {"POST /v2/models/{model_name}/infer": 3},
            {"/inference.GRPCInferenceService/ModelInfer": 3},
        ),
        ("bentoml-1.pb", {"POST /predict": 3}, {}),
        ("litserve-1.pb", {"POST /predict": 3}, {}),
    ],
)
def test_recordings_of_real_servers(
    name: str, rest: dict[str, int], over_grpc: dict[str, int]
) -> None:
    spans = recording(RECORDED / name)
    for parent, expected in (REST, rest), (GRPC, over_grpc):
        entries = [one for one in spans if one.parent_id == parent]
        assert Counter(one.name for one in entries) == expected
        assert {one.kind for one in entries} <= {"SERVER"}
        assert {one.trace_id for one in entries} <= {"ab" * 16, "ba" * 16}
    ids = {one.span_id for one in spans}
    assert len(ids) == len(spans)
    assert all(one.parent_id in ids | {REST, GRPC, ""} for one in spans)
    assert all(0 < one.end_ns - one.start_ns < 10**10 for one in spans)


def test_tritons_stages_are_events() -> None:
    compute = next(s for s in recording(RECORDED / "triton-1.json") if s.name == "compute")
    assert compute.events[0] == Event("COMPUTE_START", 1795332947061637949)
    assert compute.resource["service.name"] == "triton-cpu"
    assert compute.scope == "triton-server"


def test_a_plain_span_of_json() -> None:
    assert read(span()) == [PLAIN]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"traceId": TRACE.upper()}, {}),
        ({"kind": "SPAN_KIND_SERVER"}, {}),
        ({"kind": "2"}, {}),
        ({"kind": 77}, {"kind": "UNSPECIFIED"}),
        ({"kind": None}, {"kind": "UNSPECIFIED"}),
        ({"startTimeUnixNano": START_NS}, {}),
        ({"startTimeUnixNano": float(ROUND_NS)}, {"start_ns": ROUND_NS}),
        ({"parentSpanId": "0" * 16}, {"parent_id": ""}),
        ({"parentSpanId": None}, {"parent_id": ""}),
        ({"status": {"code": 2, "message": "no"}}, {"failed": True, "message": "no"}),
        ({"status": {"code": "STATUS_CODE_ERROR"}}, {"failed": True}),
        ({"status": {"code": 1}}, {}),
        ({"flags": 769}, {"flags": 769}),
        ({"unknown": [{"of": "tomorrow"}]}, {}),
        ({"links": [{"traceId": TRACE, "spanId": SPAN}]}, {"links": (Link(TRACE, SPAN),)}),
        (
            {"events": [{"name": "e", "timeUnixNano": str(START_NS)}]},
            {"events": (Event("e", START_NS),)},
        ),
    ],
)
def test_what_json_may_look_like(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    assert read(span(**changes)) == [PLAIN._replace(**expected)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"stringValue": "é"}, "é"),
        ({"boolValue": True}, True),
        ({"intValue": "-9223372036854775808"}, -(2**63)),
        ({"intValue": 7}, 7),
        ({"doubleValue": 0.5}, 0.5),
        ({"doubleValue": "Infinity"}, float("inf")),
        ({"bytesValue": "AAE="}, b"\x00\x01"),
        ({"arrayValue": {"values": [{"intValue": 1}, {}]}}, (1, None)),
        ({"arrayValue": {}}, ()),
        ({"kvlistValue": {"values": [{"key": "k", "value": {"intValue": 1}}]}}, {"k": 1}),
        ({}, None),
        (None, None),
    ],
)
def test_attribute_values(value: object, expected: object) -> None:
    (one,) = read(span(attributes=[{"key": "a", "value": value}]))
    assert one.attributes == {"a": expected}


NESTED: dict[str, Any] = {"stringValue": "deep"}
for _ in range(50):
    NESTED = {"arrayValue": {"values": [NESTED]}}

BAD_SPANS: list[Any] = [
    span(traceId="abc"),
    span(traceId="0" * 32),
    span(traceId="zz" * 16),
    span(traceId=5),
    span(spanId=""),
    span(parentSpanId="ab"),
    span(startTimeUnixNano=-1),
    span(startTimeUnixNano=2**63),
    span(startTimeUnixNano="soon"),
    span(startTimeUnixNano=0.5),
    span(startTimeUnixNano=1e400),
    span(startTimeUnixNano="9" * 5000),
    span(events=[{"timeUnixNano": str(2**63)}]),
    span(events="none"),
    span(links=[7]),
    span(status="bad"),
    span(attributes=[{"key": "a", "value": NESTED}]),
    span(attributes=[{"key": "a", "value": {"intValue": 2**64}}]),
    span(attributes=[{"key": "a", "value": {"doubleValue": []}}]),
    span(attributes=[{"key": "a", "value": {"bytesValue": "!"}}]),
    span(name=["x"]),
    None,
    "span",
]


@pytest.mark.parametrize("bad", BAD_SPANS)
def test_a_bad_span_does_not_lose_the_batch(bad: Any) -> None:
    reasons: list[str] = []
    text = json.dumps(request(span(), bad, span(name="after")))
    assert read_json(text, reasons.append) == [PLAIN, PLAIN._replace(name="after")]
    assert len(reasons) == 1


DAY_NS = 86_400 * 10**9
IMPOSSIBLE = [
    ({"end_time_unix_nano": 0}, "has no end"),
    ({"start_time_unix_nano": 0}, "has no start"),
    ({"start_time_unix_nano": END_NS + 7}, "ends 7 ns before it begins"),
    ({"end_time_unix_nano": START_NS - 1}, "ends 1 ns before it begins"),
    ({"end_time_unix_nano": START_NS + DAY_NS + 1}, "lasts longer than a day"),
    ({"start_time_unix_nano": 5}, "is not between the years 2000 and 2100"),
    (
        {"start_time_unix_nano": 5 * DAY_NS, "end_time_unix_nano": 5 * DAY_NS + 9},
        "is its clock set",
    ),
    ({"end_time_unix_nano": 16_725_225_600 * 10**9}, "is not between the years 2000 and 2100"),
]


@pytest.mark.parametrize(("changes", "said"), IMPOSSIBLE)
def test_times_that_no_request_can_have(changes: dict[str, int], said: str) -> None:
    made = ExportTraceServiceRequest.FromString(protobuf(3))
    bad = made.resource_spans[0].scope_spans[0].spans[1]
    for name, value in changes.items():
        setattr(bad, name, value)
    as_json = MessageToDict(made, use_integers_for_enums=True)
    for holder in spans_of(as_json):
        for name in {"traceId", "spanId", "parentSpanId"} & holder.keys():
            holder[name] = b64decode(holder[name]).hex()
    reasons: list[str] = []
    assert len(read_protobuf(made.SerializeToString(), reasons.append)) == 2
    assert len(read_json(json.dumps(as_json), reasons.append)) == 2
    assert [said in reason and "'predict'" in reason for reason in reasons] == [True, True]
    assert read_into(SpanTable(), made.SerializeToString()) == 2
    assert count(made)[:2] == (3, 1)
    assert said in count(made)[2]


@pytest.mark.parametrize(
    "changes", [{"end_time_unix_nano": START_NS}, {"end_time_unix_nano": START_NS + DAY_NS}]
)
def test_times_that_a_request_can_have(changes: dict[str, int]) -> None:
    made = ExportTraceServiceRequest.FromString(protobuf(1))
    for name, value in changes.items():
        setattr(made.resource_spans[0].scope_spans[0].spans[0], name, value)
    assert count(made) == (1, 0, "")
    assert len(read_protobuf(made.SerializeToString())) == 1


@given(st.data())
def test_what_is_counted_as_bad_is_what_is_left_out(data: st.DataObject) -> None:
    made = ExportTraceServiceRequest.FromString(protobuf(2))
    bad = made.resource_spans[0].scope_spans[0].spans[0]
    times = st.sampled_from([0, 1, START_NS, END_NS, END_NS + DAY_NS, 2**63, 2**64 - 1])
    bad.start_time_unix_nano, bad.end_time_unix_nano = data.draw(times), data.draw(times)
    bad.events.add(time_unix_nano=data.draw(times))
    bad.trace_id = data.draw(st.sampled_from([bytes(16), b"x" * 16, b"x"]))
    bad.parent_span_id = data.draw(st.sampled_from([b"", bytes(8), b"x" * 8, b"x"]))
    reasons: list[str] = []
    left = len(read_protobuf(made.SerializeToString(), reasons.append))
    assert count(made)[:2] == (2, len(reasons)) == (2, 2 - left)
    assert read_into(SpanTable(), made.SerializeToString()) == left


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{",
        b"\xff\xfe",
        b'"text"',
        b'{"resourceSpans": 5}',
        b'{"resourceSpans": [5]}',
        b'{"resourceSpans": [{"scopeSpans": {}}]}',
        b"[" * 100_000,
        b'{"resourceSpans":' * 100_000,
        b'{"resourceSpans": [{"x": ' + b"9" * 5000 + b"}]}",
    ],
)
def test_what_is_no_otlp_json(text: bytes) -> None:
    with pytest.raises(OtlpError):
        read_json(text)


def test_both_encodings_say_the_same() -> None:
    path = RECORDED / "mlserver-1.pb"
    as_json = MessageToDict(
        ExportTraceServiceRequest.FromString(path.read_bytes()), use_integers_for_enums=True
    )
    for holder in spans_of(as_json):
        for name in {"traceId", "spanId", "parentSpanId"} & holder.keys():
            holder[name] = b64decode(holder[name]).hex()
    assert read_json(json.dumps(as_json)) == read_protobuf(path.read_bytes())


def spans_of(as_json: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        one
        for of_resource in as_json["resourceSpans"]
        for of_scope in of_resource["scopeSpans"]
        for one in of_scope["spans"]
    ]


def test_a_bad_span_of_protobuf() -> None:
    made = ExportTraceServiceRequest.FromString(protobuf(3))
    made.resource_spans[0].scope_spans[0].spans[1].trace_id = b"short"
    reasons: list[str] = []
    assert len(read_protobuf(made.SerializeToString(), reasons.append)) == 2
    assert reasons == ["the trace id is '73686f7274'"]


@pytest.mark.parametrize("data", [b"\x0a", b"\x1f\x8b", b"\x0a\xff\xff\xff\xff\x0f", b"plain"])
def test_what_is_no_otlp_protobuf(data: bytes) -> None:
    with pytest.raises(OtlpError):
        read_protobuf(data)


@given(st.binary(max_size=400))
def test_random_bytes_are_read_or_refused(data: bytes) -> None:
    for reader in (read_json, read_protobuf):
        with suppress(OtlpError):
            assert isinstance(reader(data), list)


@given(st.data())
def test_damaged_recordings_are_read_or_refused(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(RECORDED.glob("*-*.*"))))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    try:
        spans = (read_json if path.suffix == ".json" else read_protobuf)(bytes(content))
    except OtlpError:
        return
    assert all(len(one.trace_id) == 32 and one.end_ns < 2**63 for one in spans)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["traceId", "values", "key", "value", "arrayValue", "intValue"]), inner
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(sorted(span())), JSON, max_size=4), JSON)
def test_any_json_in_a_span(changes: dict[str, Any], attributes: Any) -> None:
    text = json.dumps(request(span(**changes, attributes=attributes), span()))
    assert PLAIN in read_json(text)

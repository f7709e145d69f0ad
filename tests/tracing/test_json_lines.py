"""OTLP JSON: equal to what protobuf makes of the same spans, but for the ids."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.span import TraceState

from tests.tracing.archive import parse, requests_in
from tests.tracing.samples import MIRROR, RUN, SUCCESS, TIMED_OUT, exchanges, spans_of
from tracebench.errors import UsageError
from tracebench.model.exchange import Exchange, Timing, Undecomposed
from tracebench.tracing.delivery import Delivered
from tracebench.tracing.described import rest
from tracebench.tracing.json_lines import JsonLinesExporter
from tracebench.tracing.otlp_json import request
from tracebench.tracing.spans import export

SAMPLED = TraceFlags(TraceFlags.SAMPLED)
RESOURCE = Resource({"service.name": "modèle"}, "https://schema/1")
SCOPE = InstrumentationScope("flask", "3.0", "https://schema/2", {"a": 1})

values = st.one_of(
    st.sampled_from(["", "é☃", '"\\\n']),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.binary(max_size=4),
    st.lists(st.integers(-5, 5), max_size=3),
    st.lists(st.sampled_from(["a", "ü"]), max_size=3),
    st.dictionaries(st.sampled_from("kl"), st.integers(-5, 5), max_size=2),
)
attributes = st.dictionaries(st.sampled_from("abcdef"), values, max_size=3)


def foreign_span(
    attributes: Mapping[str, Any] | None = None,
    resource: Resource = RESOURCE,
    scope: InstrumentationScope | None = SCOPE,
) -> ReadableSpan:
    """A server's span with everything that a span can have."""
    remote = SpanContext(5, 7, is_remote=True, trace_flags=SAMPLED)
    return ReadableSpan(
        "GET /",
        SpanContext(5, 8, False, SAMPLED, TraceState([("vendor", "x")])),
        parent=remote,
        resource=resource,
        attributes=attributes,
        events=[Event("e", attributes, timestamp=2**63)],
        links=[Link(remote, attributes), Link(SpanContext(1, 2, False, SAMPLED))],
        kind=SpanKind.SERVER,
        status=Status(StatusCode.ERROR, "naïve"),
        start_time=2**63 - 1,
        end_time=2**64 - 1,
        instrumentation_scope=scope,
    )


@given(attributes)
def test_any_span_reads_as_protobuf_has_it(given_attributes: Mapping[str, Any]) -> None:
    spans = [foreign_span(given_attributes)]
    assert parse(json.loads(json.dumps(request(spans)))) == encode_spans(spans)


@given(st.lists(exchanges(), min_size=1, max_size=3))
def test_our_spans_read_as_protobuf_has_them(rows: Sequence[Exchange]) -> None:
    spans = spans_of(rows)
    assert parse(request(spans)) == encode_spans(spans)


@pytest.mark.parametrize("kind", SpanKind)
def test_kinds(kind: SpanKind) -> None:
    span = ReadableSpan("s", SpanContext(1, 2, False), kind=kind, start_time=1, end_time=2)
    assert parse(request([span])) == encode_spans([span])


def test_no_number_is_a_string() -> None:
    span = foreign_span({"nan": float("nan")})
    [written] = request([span])["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"]
    assert written == {"key": "nan", "value": {"doubleValue": "NaN"}}


def test_ids_are_hexadecimal_enums_integers_and_long_integers_strings() -> None:
    [span] = request(spans_of([SUCCESS]))["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert span["traceId"] == "0af7651916cd43dd8448eb211c80319c"
    assert span["spanId"] == "b7ad6b7169203331"
    assert span["parentSpanId"] == ""
    assert span["kind"] == 3
    assert span["startTimeUnixNano"] == "1764000001000000000"
    assert span["endTimeUnixNano"] == "1764000001005250007"
    assert {"key": "tracebench.write_lag_ns", "value": {"intValue": "13"}} in span["attributes"]


def test_spans_of_several_origins_keep_them() -> None:
    other = Resource({"service.name": "other"})
    spans = [foreign_span(), foreign_span(), foreign_span(scope=None), foreign_span(resource=other)]
    written = parse(request(spans)).resource_spans
    assert [len(group.scope_spans[0].spans) for group in written] == [2, 1, 1]
    assert [group.scope_spans[0].scope.name for group in written] == ["flask", "", "flask"]
    names = [group.resource.attributes[0].value.string_value for group in written]
    assert names == ["modèle", "modèle", "other"]


def test_a_run_is_written_a_batch_a_line(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    exporter = JsonLinesExporter(str(path))
    described = rest("POST", "http://modèle/")
    rows = [SUCCESS, TIMED_OUT] * 300
    timings: list[Timing | Undecomposed] = [MIRROR, Undecomposed.NO_TIMING]
    assert export(rows, timings * 300, described, RUN, [exporter]) == (Delivered(600, 0, ""),)
    exporter.shutdown()
    batches = [each.resource_spans[0].scope_spans[0].spans for each in requests_in(path)]
    assert [len(batch) for batch in batches] == [512, 88]
    assert {span.name for batch in batches for span in batch} == {"POST /"}
    assert "http://modèle/" in path.read_text(encoding="utf-8")


def test_what_is_no_text_costs_no_batch(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    exporter = JsonLinesExporter(str(path))
    exporter.export([foreign_span({"odd": "\udcff"})])
    exporter.shutdown()
    [read] = requests_in(path)
    assert read.resource_spans[0].scope_spans[0].spans[0].attributes[0].value.string_value == "?"


def test_a_file_that_cannot_be_written_is_said_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot write traces to '.*': Is a directory"):
        JsonLinesExporter(str(tmp_path))


def test_a_full_disk_is_counted() -> None:
    exporter = JsonLinesExporter("/dev/full")
    rows = [SUCCESS] * 513
    nothing = [Undecomposed.NO_TIMING] * 513
    [delivered] = export(rows, nothing, rest("POST", "http://h/"), RUN, [exporter])
    exporter.shutdown()
    assert delivered == Delivered(0, 513, "[Errno 28] No space left on device")

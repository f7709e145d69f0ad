"""OTLP JSON lines: nothing is lost on the way to the file and back."""

import json
import resource
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

from tests.tracing.archive import requests_in
from tests.tracing.samples import MIRROR, RUN, SUCCESS, TIMED_OUT, spans_of
from tracebench.model.errors import UsageError
from tracebench.model.record.exchange import Timing, Undecomposed
from tracebench.model.record.span import KINDS, Span
from tracebench.model.record.span import Event as SpanEvent
from tracebench.model.record.span import Link as SpanLink
from tracebench.tracing.archives.span_files import Archives
from tracebench.tracing.otlp.json_lines import JsonLinesExporter, request_line
from tracebench.tracing.otlp.read_json import read_json
from tracebench.tracing.otlp.sdk_spans import from_sdk
from tracebench.tracing.roots.delivery import Delivered
from tracebench.tracing.roots.export import export
from tracebench.tracing.roots.target_attributes import rest

SAMPLED = TraceFlags(TraceFlags.SAMPLED)
REMOTE = SpanContext(2**128 - 1, 2**64 - 2, is_remote=True, trace_flags=SAMPLED)
ATTRIBUTES: dict[str, Any] = {
    "text": 'é☃"\\\n',
    "yes": True,
    "long": 2**63 - 1,
    "half": 0.5,
    "list": (1, 2),
}
FOREIGN = ReadableSpan(
    "GET /modèle",
    SpanContext(2**128 - 1, 8, False, SAMPLED),
    parent=REMOTE,
    resource=Resource({"service.name": "modèle"}),
    attributes=ATTRIBUTES,
    events=[Event("e", ATTRIBUTES, timestamp=2**63)],
    links=[Link(REMOTE, ATTRIBUTES), Link(SpanContext(1, 2, False, SAMPLED))],
    kind=SpanKind.SERVER,
    status=Status(StatusCode.ERROR, "naïve"),
    start_time=2**63 - 1,
    end_time=2**64 - 1,
    instrumentation_scope=InstrumentationScope("flask", "3.0"),
)


def written(path: Path, *batches: list[ReadableSpan]) -> list[Any]:
    exporter = JsonLinesExporter(str(path))
    for batch in batches:
        exporter.export(batch)
    exporter.shutdown()
    return [json.loads(line) for line in path.read_bytes().decode().splitlines()]


def test_what_is_written_reads_as_what_otlp_sends(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    batches = [spans_of([SUCCESS]), spans_of([SUCCESS, TIMED_OUT], [MIRROR, MIRROR])]
    written(path, *batches)
    assert list(requests_in(path)) == [encode_spans(batch) for batch in batches]


def test_ids_are_hexadecimal_enums_integers_and_long_integers_strings(tmp_path: Path) -> None:
    [request] = written(tmp_path / "traces.jsonl", [FOREIGN])
    [span] = request["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert (span["traceId"], span["spanId"]) == ("f" * 32, "0000000000000008")
    assert span["parentSpanId"] == "fffffffffffffffe"
    assert [link["spanId"] for link in span["links"]] == ["fffffffffffffffe", "0000000000000002"]
    assert [link["traceId"] for link in span["links"]] == ["f" * 32, "0" * 31 + "1"]
    assert (span["kind"], span["status"]["code"]) == (2, 2)
    assert span["startTimeUnixNano"] == "9223372036854775807"
    assert {"key": "long", "value": {"intValue": "9223372036854775807"}} in span["attributes"]


def test_a_run_is_written_a_batch_a_line(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    exporter = JsonLinesExporter(str(path))
    rows = [SUCCESS, TIMED_OUT] * 300
    timings: list[Timing | Undecomposed] = [MIRROR, Undecomposed.NO_TIMING]
    described = rest("POST", "http://modèle/")
    assert export(rows, timings * 300, described, RUN, [exporter]) == (Delivered(600, 0, ""),)
    exporter.shutdown()
    batches = [each.resource_spans[0].scope_spans[0].spans for each in requests_in(path)]
    assert [len(batch) for batch in batches] == [512, 88]
    assert {span.name for batch in batches for span in batch} == {"POST /"}
    assert "http://modèle/" in path.read_text(encoding="utf-8")


def test_a_file_that_cannot_be_written_is_said_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot write traces to '.*': Is a directory"):
        JsonLinesExporter(str(tmp_path))


def test_a_run_that_fails_leaves_the_file_of_another(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("before")
    JsonLinesExporter(str(path)).shutdown()
    assert path.read_text() == "before"
    exporter = JsonLinesExporter(str(path))
    exporter.export(spans_of([SUCCESS]))
    assert path.read_text() == "before"
    exporter.shutdown()
    assert "before" not in path.read_text()
    assert list(tmp_path.iterdir()) == [path]


def test_a_batch_that_cannot_be_written_leaves_the_file_of_another(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("before")
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
    exporter = JsonLinesExporter(str(path))
    try:
        exporter.export(spans_of([SUCCESS]))
        with pytest.raises(OSError, match="File too large"):
            exporter.export(spans_of([SUCCESS] * 9))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    exporter.shutdown()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_counted() -> None:
    exporter = JsonLinesExporter("/dev/full")
    nothing = [Undecomposed.NO_TIMING] * 513
    [delivered] = export([SUCCESS] * 513, nothing, rest("POST", "http://h/"), RUN, [exporter])
    exporter.shutdown()
    assert delivered == Delivered(0, 513, "No space left on device")


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"))
    | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)
attributes = st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), values, max_size=3)
times = st.integers(946_684_800 * 10**9, 4_102_000_000 * 10**9)
trace_ids = st.integers(1, 2**128 - 1).map(lambda number: f"{number:032x}")
span_ids = st.integers(1, 2**64 - 1).map(lambda number: f"{number:016x}")
records = st.builds(
    Span,
    trace_ids,
    span_ids,
    span_ids | st.just(""),
    st.text(st.characters(codec="utf-8")),
    st.sampled_from(KINDS),
    times,
    st.just(0),
    attributes,
    st.lists(st.builds(SpanEvent, st.text(max_size=3), times, attributes), max_size=2).map(tuple),
    st.lists(st.builds(SpanLink, trace_ids, span_ids), max_size=2).map(tuple),
    attributes,
    st.text(st.characters(codec="utf-8"), max_size=3),
    st.booleans(),
    st.integers(0, 2**32 - 1),
    st.text(st.characters(codec="utf-8"), max_size=3),
)
lasting = st.builds(
    lambda span, duration_ns: span._replace(end_ns=span.start_ns + duration_ns),
    records,
    st.integers(0, 86_400 * 10**9),
)


@given(st.lists(lasting, max_size=4))
def test_spans_of_others_are_read_as_they_were_written(spans: list[Span]) -> None:
    assert read_json(request_line(spans)) == spans


def test_spans_of_others_stand_in_the_file_as_well(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    exporter = JsonLinesExporter(str(path))
    exporter.export([FOREIGN])
    theirs = from_sdk(FOREIGN)._replace(start_ns=2**60, end_ns=2**60 + 2, events=())
    exporter.add([theirs] * 600)
    exporter.shutdown()
    assert len(path.read_text().splitlines()) == 1 + 2
    found = list(Archives([str(path)]))
    assert found == [theirs] * 600

"""Files of spans as people have them: each form gives the same spans, or is named."""

import gzip
import json
import os
import threading
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tracing.otlp_samples import END_NS, PARENT, RECORDED, SPAN, START_NS, TRACE, request
from tests.tracing.otlp_samples import message as protobuf
from tests.tracing.otlp_samples import span as otlp_span
from tracebench.model.errors import UsageError
from tracebench.model.record.span import Span
from tracebench.tracing.archives import unpacking
from tracebench.tracing.archives.span_files import Archives
from tracebench.tracing.archives.unpacking import zstd

MESSAGES = [protobuf(3, bytes([number]) * 16) for number in (1, 2, 3)]
LINES = [json.dumps(request(otlp_span(spanId=f"{number:016x}"))).encode() for number in (1, 2)]


def found(path: Path, content: bytes) -> list[Span]:
    path.write_bytes(content)
    archives = Archives([str(path)])
    spans = list(archives)
    assert (archives.spans, archives.bad, archives.problem) == (len(spans), 0, "")
    return spans


def framed(*messages: bytes) -> bytes:
    """As the collector's file exporter writes what is no line of JSON."""
    return b"".join(len(one).to_bytes(4, "big") + one for one in messages)


def delimited(*messages: bytes) -> bytes:
    """As protobuf's own libraries part messages; these are of 128 to 16,383 bytes."""
    sizes = [len(one) for one in messages]
    heads = [bytes([size & 0x7F | 0x80, size >> 7]) for size in sizes]
    return b"".join(head + one for head, one in zip(heads, messages, strict=True))


def same(content: bytes) -> bytes:
    return content


@pytest.mark.parametrize("packed", [same, gzip.compress, zstd.compress])
@pytest.mark.parametrize(
    ("content", "count"),
    [
        (b"\n".join(LINES), 2),
        (framed(*MESSAGES), 9),
        (framed(*map(zstd.compress, MESSAGES)), 9),
        (framed(*map(zstd.compress, LINES)), 2),
        (framed(*LINES), 2),
        (delimited(*MESSAGES), 9),
        (b"".join(MESSAGES), 9),
        (json.dumps(json.loads(LINES[0]), indent=2).encode(), 1),
    ],
    ids=["lines", "framed", "proto-zstd", "json-zstd", "framed-json", "delimited", "one", "pretty"],
)
def test_what_collectors_and_people_write(
    content: bytes, count: int, packed: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    spans = found(tmp_path / "traces", packed(content))
    assert len(spans) == count
    assert {one.name for one in spans} <= {"predict", "POST /predict"}
    assert {(one.start_ns, one.end_ns) for one in spans} == {(START_NS, END_NS)}


@pytest.mark.parametrize("size", range(100, 140))
def test_a_protobuf_request_of_any_length_is_no_json(size: int, tmp_path: Path) -> None:
    """Its second byte may be a brace, and its first is a line break."""
    message = protobuf(1, text="x" * size)
    assert len(found(tmp_path / "framed", framed(message))) == 1
    assert len(found(tmp_path / "whole", message)) == 1


JAEGER_SPAN = {
    "traceID": TRACE,
    "spanID": SPAN,
    "operationName": "POST /predict",
    "references": [{"refType": "CHILD_OF", "traceID": TRACE, "spanID": PARENT}],
    "startTime": START_NS // 1000,
    "duration": 20_000,
    "tags": [{"key": "span.kind", "type": "string", "value": "server"}],
    "logs": [],
    "processID": "p1",
}
JAEGER = {
    "traceID": TRACE,
    "spans": [JAEGER_SPAN],
    "processes": {"p1": {"serviceName": "model", "tags": []}},
}


def tempo(*, ids: Callable[[str], str], scopes: str, scope: str) -> dict[str, Any]:
    """A trace as Tempo answers, or as Grafana saves it."""
    span = otlp_span(
        traceId=ids(TRACE), spanId=ids(SPAN), parentSpanId=ids(PARENT), kind="SPAN_KIND_SERVER"
    )
    [one] = request(span)["resourceSpans"]
    held = {scope: {"name": "flask"}, "spans": [span]}
    return {"resource": one["resource"], scopes: [held]}


def base64(digits: str) -> str:
    return b64encode(bytes.fromhex(digits)).decode()


OF_TEMPO = tempo(ids=base64, scopes="scopeSpans", scope="scope")
OF_GRAFANA = tempo(ids=str, scopes="instrumentationLibrarySpans", scope="instrumentationLibrary")


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    "document",
    [
        {"data": [JAEGER], "total": 0, "limit": 0, "offset": 0, "errors": None},
        JAEGER,
        [JAEGER],
        {"batches": [OF_TEMPO]},
        {"batches": [OF_GRAFANA]},
        {"trace": {"resourceSpans": [OF_TEMPO]}},
        {"result": request(otlp_span())},
    ],
    ids=["jaeger", "jaeger-trace", "jaeger-list", "tempo", "grafana", "tempo-2", "jaeger-3"],
)
def test_what_trace_backends_save(document: Any, indent: int | None, tmp_path: Path) -> None:
    [span] = found(tmp_path / "trace.json", json.dumps(document, indent=indent).encode())
    assert (span.trace_id, span.span_id, span.parent_id) == (TRACE, SPAN, PARENT)
    assert (span.name, span.kind) == ("POST /predict", "SERVER")
    assert span.resource["service.name"] == "model"
    assert span.start_ns // 1000 == START_NS // 1000


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([{"traceId": TRACE, "id": SPAN, "kind": "SERVER"}], "in the format of Zipkin"),
        ({"resourceMetrics": []}, "metrics, not spans"),
        ({"resourceLogs": []}, "logs, not spans"),
        ({"traceEvents": []}, "in the format of browsers"),
        ({"schema": "tracebench.result/1"}, "read it with `tracebench report`"),
        ({"name": "x", "context": {"trace_id": "0x1"}}, "console exporter"),
        ({"data": [{"id": 1}]}, "not a valid Jaeger trace"),
        (7, "JSON, but not OTLP JSON"),
    ],
)
def test_what_else_people_have_is_named(
    document: Any, said: str, indent: int | None, tmp_path: Path
) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(document, indent=indent))
    with pytest.raises(UsageError, match=said) as refused:
        list(Archives([str(path)]))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "content",
    [
        framed(*MESSAGES)[:-5],
        framed(*MESSAGES) + b"\0\0",
        framed(*map(zstd.compress, MESSAGES[:2]), zstd.compress(MESSAGES[2])[:-5]),
        framed(*map(zstd.compress, MESSAGES[:2]), b"\x28\xb5\x2f\xfd" + bytes(20)),
        zstd.compress(b"\n".join([*LINES, *LINES, b""])) + zstd.compress(b"x" * 999_999)[:-9],
    ],
)
def test_a_file_that_was_cut_off_gives_what_is_whole(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cut"
    path.write_bytes(content)
    archives = Archives([str(path)])
    assert len(list(archives)) >= 4
    assert archives.bad == 1
    assert "is cut short" in archives.problem


def test_a_bomb_is_no_line(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zst"
    path.write_bytes(b"".join([zstd.compress(bytes(2**26))] * 10))
    assert path.stat().st_size < 100_000
    with pytest.raises(UsageError, match="is longer than 256 MiB"):
        list(Archives([str(path)]))


def test_spans_of_a_message_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "x"
    good = otlp_span(spanId="1" * 16)
    for content in (
        json.dumps(request(good, otlp_span(endTimeUnixNano="0")), indent=1).encode(),
        framed(json.dumps(request(good, otlp_span(endTimeUnixNano="0"))).encode()),
        json.dumps({"data": [JAEGER | {"spans": [JAEGER_SPAN, JAEGER_SPAN | {"duration": -1}]}]}),
    ):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        archives = Archives([str(path)])
        assert len(list(archives)) == 1
        assert archives.bad == 1
        assert "'POST /predict'" in archives.problem


def test_a_recording_is_read_whichever_way(tmp_path: Path) -> None:
    content = (RECORDED / "triton-3.json").read_bytes()
    pretty = json.dumps(json.loads(content.splitlines()[0]), indent=1).encode()
    spans = found(tmp_path / "x", content)
    assert spans
    assert found(tmp_path / "x", pretty)[:3] == spans[:3]


def test_without_the_package_zstd_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "traces.zst"
    monkeypatch.setattr(unpacking, "zstd", None)
    for content in zstd.compress(LINES[0]), framed(zstd.compress(MESSAGES[0])):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=r"pip install backports.zstd"):
            list(Archives([str(path)]))


@pytest.mark.parametrize("packed", [same, gzip.compress, zstd.compress])
def test_a_pipe_is_read_as_a_file_is(packed: Callable[[bytes], bytes], tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for content in b"\n".join(LINES), framed(*MESSAGES), json.dumps(JAEGER, indent=1).encode():
        writer = threading.Thread(target=pipe.write_bytes, args=[packed(content)])
        writer.start()
        archives = Archives([str(pipe)])
        assert list(archives)
        assert archives.bad == 0
        writer.join()

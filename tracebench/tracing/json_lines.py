"""Spans in a file: OTLP JSON, one ExportTraceServiceRequest a line.

OTLP's JSON is protobuf's mapping with two exceptions: ids are hexadecimal, where the mapping has
base64, and enums are integers.
"""

import json
from base64 import b64decode
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from tracebench.errors import UsageError
from tracebench.files import why
from tracebench.files.writing import Writing
from tracebench.model.span import Span
from tracebench.tracing import otlp_write

_BATCH = 512
_IDS = {"traceId", "spanId", "parentSpanId"}


class JsonLinesExporter(SpanExporter):
    """Writes what an OpenTelemetry Collector's file exporter would write.

    Args:
        path: the file. What it held stays until the last span is written, and for good where not
            all of them could be.

    Raises:
        UsageError: the file cannot be written.
    """

    def __init__(self, path: str) -> None:
        self._is_whole = False
        try:
            self._writing = Writing(path)
        except (OSError, ValueError) as error:
            raise UsageError(f"cannot write traces to {path!r}: {why(error)}") from None

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write a batch as one line.

        Raises:
            OSError: the line could not be written, or not all of it.
        """
        self._write(_request(spans))
        return SpanExportResult.SUCCESS

    def add(self, spans: Iterable[Span]) -> None:
        """Write spans that others made, in lines of many.

        Raises:
            OSError: a line could not be written, or not all of it.
        """
        remaining = iter(spans)
        while batch := list(islice(remaining, _BATCH)):
            self._write(otlp_write.request(batch))

    def _write(self, request: Mapping[str, Any]) -> None:
        if self._writing.file.closed:
            raise OSError("the file of spans was given up")
        text = json.dumps(request, ensure_ascii=False, separators=(",", ":"))
        try:
            self._writing.file.write(text.encode(errors="backslashreplace") + b"\n")
            self._writing.file.flush()
        except BaseException:
            self.abandon()
            raise
        self._is_whole = True

    def shutdown(self) -> None:
        """Let the file take its place, if anything was written."""
        if self._is_whole:
            with suppress(OSError):
                self._writing.commit()
        self._writing.discard()

    def abandon(self) -> None:
        """Leave what was there as it was."""
        self._is_whole = False
        self._writing.discard()


def _request(spans: Sequence[ReadableSpan]) -> dict[str, Any]:
    request: dict[str, Any] = MessageToDict(encode_spans(spans), use_integers_for_enums=True)
    for of_resource in request["resourceSpans"]:
        for of_scope in of_resource["scopeSpans"]:
            for span in of_scope["spans"]:
                for holder in (span, *span.get("links", ())):
                    _write_ids_in_hex(holder)
    return request


def _write_ids_in_hex(holder: dict[str, Any]) -> None:
    for name in _IDS & holder.keys():
        holder[name] = b64decode(holder[name]).hex()

"""Spans in a file: OTLP JSON, one ExportTraceServiceRequest a line.

OTLP's JSON is protobuf's mapping with two exceptions: ids are hexadecimal, where the mapping has
base64, and enums are integers.
"""

import json
from base64 import b64decode
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from tracebench.errors import UsageError
from tracebench.model.span import Span
from tracebench.tracing import otlp_write

_BATCH = 512
_IDS = {"traceId", "spanId", "parentSpanId"}


class JsonLinesExporter(SpanExporter):
    """Writes what an OpenTelemetry Collector's file exporter would write.

    Args:
        path: the file; until the last span is written it is another beside it (`….part`), so that
            what it held is not lost to a run that fails.

    Raises:
        UsageError: the file cannot be written.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        plain = self._path.is_file() or not self._path.exists()  # or a pipe, or a device
        self._part = self._path.with_name(f"{self._path.name}.part") if plain else self._path
        self._wrote = False
        try:
            self._file = self._part.open("w", encoding="utf-8")
        except OSError as error:
            raise UsageError(f"cannot write traces to {path!r}: {error.strerror}") from error

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
        self._wrote = True
        self._file.write(json.dumps(request, ensure_ascii=False, separators=(",", ":")))
        self._file.write("\n")
        self._file.flush()

    def shutdown(self) -> None:
        """Close the file, and let it take its place."""
        with suppress(OSError):  # of a line that could not be written, and was reported then
            self._file.close()
        if self._part != self._path:
            with suppress(OSError):
                self._part.replace(self._path) if self._wrote else self._part.unlink()


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

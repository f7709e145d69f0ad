"""Spans in a file: OTLP JSON, one ExportTraceServiceRequest a line."""

import json
from collections.abc import Sequence
from contextlib import suppress

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from tracebench.errors import UsageError
from tracebench.tracing.otlp_json import request


class JsonLinesExporter(SpanExporter):
    """Writes what an OpenTelemetry Collector's file exporter would write.

    Args:
        path: the file; what it held is overwritten at once.

    Raises:
        UsageError: the file cannot be written.
    """

    def __init__(self, path: str) -> None:
        try:
            # An exporter outlives any block. Text that is no Unicode must not cost a whole batch.
            self._file = open(path, "w", encoding="utf-8", errors="replace")  # noqa: SIM115
        except OSError as error:
            raise UsageError(f"cannot write traces to {path!r}: {error.strerror}") from error

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write a batch as one line.

        Raises:
            OSError: the line could not be written, or not all of it.
        """
        self._file.write(json.dumps(request(spans), ensure_ascii=False, separators=(",", ":")))
        self._file.write("\n")
        self._file.flush()
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Close the file."""
        with suppress(OSError):  # of a line that could not be written, and was reported then
            self._file.close()

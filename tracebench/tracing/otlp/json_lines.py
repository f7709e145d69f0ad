"""Spans in a file: OTLP JSON, one ExportTraceServiceRequest a line."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import islice

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from tracebench.model.errors import UsageError
from tracebench.model.span import Span
from tracebench.system import why
from tracebench.system.output_files import Writing
from tracebench.tracing.otlp import otlp_write
from tracebench.tracing.otlp.sdk_spans import from_sdk

_BATCH = 512


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
        self._write(map(from_sdk, spans))
        return SpanExportResult.SUCCESS

    def add(self, spans: Iterable[Span]) -> None:
        """Write spans that others made, in lines of many.

        Raises:
            OSError: a line could not be written, or not all of it.
        """
        remaining = iter(spans)
        while batch := list(islice(remaining, _BATCH)):
            self._write(batch)

    def _write(self, spans: Iterable[Span]) -> None:
        if self._writing.file.closed:
            raise OSError("the file of spans was given up")
        text = otlp_write.request(spans)
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

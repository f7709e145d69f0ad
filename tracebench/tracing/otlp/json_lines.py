"""A file of spans as OTLP JSON, one ExportTraceServiceRequest per line."""

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import groupby, islice
from json import JSONEncoder
from math import isfinite
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from tracebench.model.errors import UsageError
from tracebench.model.record.span import KINDS, Attributes, Event, Span, Value
from tracebench.system import why
from tracebench.system.output_files import Writing
from tracebench.tracing.otlp.checks import STATUS_ERROR
from tracebench.tracing.otlp.sdk_spans import from_sdk

# Write records as OTLP JSON: the reverse of read_json.py.
#
# The text is concatenated directly, and attributes that thousands of spans share are encoded only
# once: five times as fast as building a tree of objects.

_KIND_NUMBERS: Final = {kind: number for number, kind in enumerate(KINDS)}
_ALIKE: Final = 4096
"""How many encoded attributes are cached."""

_quoted = JSONEncoder(ensure_ascii=False).encode


def request_line(spans: Iterable[Span]) -> str:
    """One ExportTraceServiceRequest; adjacent spans of the same origin are grouped."""
    origins = groupby(spans, lambda one: (one.resource, one.scope))
    written = (_of_origin(resource, scope, those) for (resource, scope), those in origins)
    return f'{{"resourceSpans":[{",".join(written)}]}}'


def _of_origin(resource: Attributes, scope: str, spans: Iterable[Span]) -> str:
    attributes = f'{{"attributes":{_attributes(resource)}}}'
    named = f'{{"scope":{{"name":{_quoted(scope)}}},"spans":[{",".join(map(_span, spans))}]}}'
    return f'{{"resource":{attributes},"scopeSpans":[{named}]}}'


def _span(span: Span) -> str:
    fields = [
        f'"traceId":"{span.trace_id}","spanId":"{span.span_id}","name":{_quoted(span.name)}',
        f'"kind":{_KIND_NUMBERS[span.kind]}',
        f'"startTimeUnixNano":"{span.start_ns}","endTimeUnixNano":"{span.end_ns}"',
        f'"status":{_status(span)}',
    ]
    if span.parent_id:
        fields.append(f'"parentSpanId":"{span.parent_id}"')
    if span.flags:
        fields.append(f'"flags":{span.flags}')
    if span.attributes:
        fields.append(f'"attributes":{_attributes(span.attributes)}')
    if span.events:
        fields.append(f'"events":[{",".join(map(_event, span.events))}]')
    if span.links:
        links = (f'{{"traceId":"{one.trace_id}","spanId":"{one.span_id}"}}' for one in span.links)
        fields.append(f'"links":[{",".join(links)}]')
    return f"{{{','.join(fields)}}}"


def _status(span: Span) -> str:
    code = [f'"code":{STATUS_ERROR}'] if span.failed else []
    message = [f'"message":{_quoted(span.message)}'] if span.message else []
    return f"{{{','.join([*code, *message])}}}"


def _event(event: Event) -> str:
    attributes = f',"attributes":{_attributes(event.attributes)}' if event.attributes else ""
    return f'{{"name":{_name(event.name)},"timeUnixNano":"{event.time_ns}"{attributes}}}'


def _attributes(attributes: Attributes) -> str:
    return f"[{','.join([_attribute(name, value) for name, value in attributes.items()])}]"


def _attribute(name: str, value: Value) -> str:
    if isinstance(value, str):
        return _textual(name, value)
    return f'{{"key":{_name(name)},"value":{_value(value)}}}'


@lru_cache(_ALIKE)
def _textual(name: str, text: str) -> str:
    return f'{{"key":{_quoted(name)},"value":{{"stringValue":{_quoted(text)}}}}}'


@lru_cache(_ALIKE)
def _name(text: str) -> str:
    return _quoted(text)


def _value(value: Value) -> str:
    match value:
        case bool():
            return f'{{"boolValue":{"true" if value else "false"}}}'
        case int():
            return f'{{"intValue":"{value}"}}'
        case float():
            return f'{{"doubleValue":{_number(value)}}}'
        case str():
            return f'{{"stringValue":{_quoted(value)}}}'
        case bytes():
            return f'{{"bytesValue":"{b64encode(value).decode()}"}}'
        case None:
            return "{}"
        case Mapping():
            return f'{{"kvlistValue":{{"values":{_attributes(value)}}}}}'
    return f'{{"arrayValue":{{"values":[{",".join(map(_value, value))}]}}}}'


def _number(value: float) -> str:
    """A number as in protobuf's JSON, which writes NaN and infinities as text."""
    if isfinite(value):
        return repr(value)
    return '"NaN"' if value != value else f'"{"-" if value < 0 else ""}Infinity"'


# A file of spans as OTLP JSON, one ExportTraceServiceRequest per line.

_BATCH = 512


class JsonLinesExporter(SpanExporter):
    """Writes the same format as an OpenTelemetry Collector's file exporter.

    Args:
        path: the file. Its old content is replaced only after the last span has been written, and
            never if a write fails.

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
            OSError: the line could not be written in full.
        """
        self._write(map(from_sdk, spans))
        return SpanExportResult.SUCCESS

    def add(self, spans: Iterable[Span]) -> None:
        """Write spans that were made elsewhere, many per line.

        Raises:
            OSError: a line could not be written in full.
        """
        remaining = iter(spans)
        while batch := list(islice(remaining, _BATCH)):
            self._write(batch)

    def _write(self, spans: Iterable[Span]) -> None:
        if self._writing.file.closed:
            raise OSError("writing the spans was abandoned")
        text = request_line(spans)
        try:
            self._writing.file.write(text.encode(errors="backslashreplace") + b"\n")
            self._writing.file.flush()
        except BaseException:
            self.abandon()
            raise
        self._is_whole = True

    def shutdown(self) -> None:
        """Replace the target file, if anything was written."""
        if self._is_whole:
            with suppress(OSError):
                self._writing.commit()
        self._writing.discard()

    def abandon(self) -> None:
        """Leave the target file unchanged."""
        self._is_whole = False
        self._writing.discard()

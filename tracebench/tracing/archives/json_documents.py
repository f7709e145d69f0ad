"""A JSON document of spans: OTLP, or a trace saved by Jaeger's UI or Tempo."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tracebench.model.record.span import Span
from tracebench.system import json_fault
from tracebench.tracing.jaeger import legacy_json
from tracebench.tracing.otlp.checks import OnBad, OtlpError
from tracebench.tracing.otlp.read_json import read_request

_TEMPO: Final = "batches"
_WRAPPERS: Final = ("result", "trace")
"""Keys that wrap an OTLP request, in Jaeger's API (v3) and in Tempo's (v2)."""
_NOT_JAEGER: Final = (KeyError, TypeError, AttributeError, ValueError, OverflowError)
_ADVICE: Final = "send it to a collector, whose file exporter writes OTLP"
_OTHERS: Final = {
    "resourceMetrics": "metrics, not spans: give the file of traces",
    "resourceLogs": "logs, not spans: give the file of traces",
    "resourceProfiles": "profiles, not spans: give the file of traces",
    "traceEvents": f"a trace of events in the format of browsers: {_ADVICE}",
    "schema": "a tracebench result: read it with `tracebench report`",
    "context": f"output of OpenTelemetry's console exporter: {_ADVICE}",
}
"""Other formats that users may pass by mistake, by a key that only they have."""


class NotJsonError(OtlpError):
    """The text is not JSON."""


def read_document(data: bytes, on_bad: OnBad) -> list[Span]:
    """Read a document, or a line of a file.

    Args:
        data: JSON.
        on_bad: called with the reason for each unusable span.

    Raises:
        NotJsonError: it is not JSON.
        OtlpError: it holds something other than spans; the message says what.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise NotJsonError(f"not OTLP JSON ({json_fault(error)})") from None
    return _read(document, on_bad)


def _read(document: Any, on_bad: OnBad) -> list[Span]:
    if isinstance(document, list) and document:
        _name_zipkin(document)
        return [span for one in document for span in _read(one, on_bad)]
    if not isinstance(document, Mapping):
        raise OtlpError("JSON, but not OTLP JSON")
    for name in _WRAPPERS:
        if isinstance(inner := document.get(name), Mapping):
            return _read(inner, on_bad)
    if _TEMPO in document:
        return read_request({"resourceSpans": document[_TEMPO]}, on_bad)
    if "spans" in document and "processes" in document:
        return _jaeger({"data": [document]}, on_bad)
    if "data" in document:
        return _jaeger(document, on_bad)
    if name := next((name for name in _OTHERS if name in document), ""):
        raise OtlpError(_OTHERS[name])
    return read_request(document, on_bad)


def _name_zipkin(documents: Sequence[Any]) -> None:
    first = documents[0]
    if isinstance(first, Mapping) and {"traceId", "id"} <= first.keys():
        raise OtlpError(f"spans in the format of Zipkin: {_ADVICE}")


def _jaeger(document: Mapping[str, Any], on_bad: OnBad) -> list[Span]:
    try:
        return list(legacy_json.spans_in(document, on_bad))
    except _NOT_JAEGER as error:
        raise OtlpError(f"not a valid Jaeger trace: {type(error).__name__} {error}") from None

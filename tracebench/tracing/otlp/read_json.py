"""Read OTLP as JSON into records.

This is not protobuf's JSON mapping: ids are hexadecimal. By the specification, enums are integers,
but names occur too; 64-bit integers are strings or numbers; unknown fields are ignored.
Source: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

import json
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from tracebench.model.record.span import HEX_DIGITS, KINDS, Attributes, Event, Link, Span, Value
from tracebench.tracing.otlp.checks import (
    DEEPEST,
    STATUS_ERROR,
    BadSpanError,
    OnBad,
    OtlpError,
    checked,
    ignore,
)

Fields: TypeAlias = Mapping[str, Any]

_OLD_SCOPES, _OLD_SCOPE = "instrumentationLibrarySpans", "instrumentationLibrary"
"""The names used until OTLP 0.15; Grafana still writes them."""
_BASE64: Final = (24, 12)
"""Length in characters of base64 ids, as in protobuf's JSON mapping, which Tempo uses."""
_KIND_NAMES: Final = {f"SPAN_KIND_{name}": name for name in KINDS}
_ERRORS: Final = (STATUS_ERROR, str(STATUS_ERROR), "STATUS_CODE_ERROR")
_UNREADABLE = (ValueError, TypeError, AttributeError, KeyError, OverflowError)


def read_json(data: bytes | str, on_bad: OnBad = ignore) -> list[Span]:
    """Read one request, as posted to a collector or found in a line of a file.

    Unusable spans are left out.

    Raises:
        OtlpError: it is not JSON, or not an ExportTraceServiceRequest.
    """
    try:
        request = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _malformed(str(error)) from None
    return read_request(request, on_bad)


def read_request(request: Fields, on_bad: OnBad = ignore) -> list[Span]:
    """Like `read_json`, for a request that has been parsed already.

    Raises:
        OtlpError: it is not an ExportTraceServiceRequest.
    """
    spans: list[Span] = []
    try:
        for of_resource in _items(request, "resourceSpans"):
            resource = _attributes(_message(of_resource, "resource"))
            for of_scope in _scopes(of_resource, "scopeSpans", _OLD_SCOPES):
                named = _message(of_scope, "scope") or _message(of_scope, _OLD_SCOPE)
                scope = str(named.get("name") or "")
                for raw in _items(of_scope, "spans"):
                    _append(spans, raw, resource, scope, on_bad)
    except _UNREADABLE as error:
        raise _malformed(str(error)) from None
    return spans


def _scopes(of_resource: Fields, *names: str) -> Sequence[Fields]:
    return next(filter(None, (_items(of_resource, name) for name in names)), ())


def _malformed(why: str) -> OtlpError:
    return OtlpError(f"not OTLP JSON ({why}): send an ExportTraceServiceRequest")


def _append(spans: list[Span], raw: Fields, resource: Attributes, scope: str, bad: OnBad) -> None:
    try:
        spans.append(checked(_span(raw, resource, scope)))
    except _UNREADABLE as error:
        bad(str(error))


def _span(raw: Fields, resource: Attributes, scope: str) -> Span:
    status = _message(raw, "status")
    return Span(
        trace_id=_hex(raw.get("traceId")),
        span_id=_hex(raw.get("spanId")),
        parent_id=_hex(raw.get("parentSpanId")),
        name=_text(raw.get("name")),
        kind=_kind(raw.get("kind")),
        start_ns=_integer(raw.get("startTimeUnixNano")),
        end_ns=_integer(raw.get("endTimeUnixNano")),
        attributes=_attributes(raw),
        events=tuple(
            Event(_text(one.get("name")), _integer(one.get("timeUnixNano")), _attributes(one))
            for one in _items(raw, "events")
        ),
        links=tuple(
            Link(_hex(one.get("traceId")), _hex(one.get("spanId"))) for one in _items(raw, "links")
        ),
        resource=resource,
        scope=scope,
        failed=status.get("code") in _ERRORS,
        flags=_integer(raw.get("flags")),
        message=_text(status.get("message")),
    )


def _items(holder: Fields, name: str) -> Sequence[Fields]:
    """A repeated field; empty if it is null or absent."""
    items = holder.get(name)
    if items is None:
        return ()
    if not isinstance(items, list):
        raise BadSpanError(f"{name} is not a list")
    return items


def _message(holder: Fields, name: str) -> Fields:
    message = holder.get(name)
    if message is None:
        return {}
    if not isinstance(message, dict):
        raise BadSpanError(f"{name} is not an object")
    return message


def _hex(value: object) -> str:
    text = _text(value)
    if len(text) in _BASE64 and text.endswith("="):
        return b64decode(text, validate=True).hex()
    text = text.lower()
    if not HEX_DIGITS.issuperset(text):
        raise BadSpanError(f"the id {text[:64]!r} is not hexadecimal")
    return text


def _text(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadSpanError(f"{str(value)[:64]!r} is not text")
    return value


def _integer(value: object) -> int:
    """An integer; null means 0, as absence does, and a fraction is refused."""
    if value is None:
        return 0
    number = int(value) if isinstance(value, str | int | float) else None
    if number is None or (isinstance(value, bool | float) and number != value):
        raise BadSpanError(f"{str(value)[:64]!r} is not an integer")
    if not -(2**63) <= number < 2**64:
        raise BadSpanError(f"{str(number)[:64]} does not fit into 64 bits")
    return number


def _kind(value: object) -> Any:
    if isinstance(value, str) and not value.isdigit():
        return _KIND_NAMES.get(value, "UNSPECIFIED")
    number = _integer(value)
    return KINDS[number] if number in range(len(KINDS)) else "UNSPECIFIED"


def _attributes(holder: Fields, depth: int = 0, name: str = "attributes") -> dict[str, Value]:
    return {
        _text(pair.get("key")): _value(_message(pair, "value"), depth)
        for pair in _items(holder, name)
    }


def _value(value: Fields, depth: int) -> Value:
    """One AnyValue: an object with a single field, whose name tells the type."""
    if depth > DEEPEST:
        raise BadSpanError(f"an attribute is nested deeper than {DEEPEST}")
    for which, plain in value.items():
        if which in _SCALARS:
            return _SCALARS[which](plain)
        if which == "arrayValue":
            return tuple(_value(one, depth + 1) for one in _items(plain, "values"))
        if which == "kvlistValue":
            return _attributes(plain, depth + 1, "values")
    return None


_SCALARS: Final[Mapping[str, Callable[[Any], Value]]] = {
    "stringValue": _text,
    "boolValue": bool,
    "intValue": _integer,
    "doubleValue": float,
    "bytesValue": lambda text: b64decode(_text(text), validate=True),
}

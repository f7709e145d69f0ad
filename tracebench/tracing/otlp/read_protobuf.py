"""Read OTLP as protobuf into records; opentelemetry-proto's trace.proto defines the fields."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter, methodcaller, sub
from typing import Any, Final, TypeAlias

import numpy as np
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from tracebench.model.record.span import KINDS, Attributes, Event, Link, Span, Value
from tracebench.model.record.span_columns import SpanTable, Words
from tracebench.tracing.otlp.checks import (
    DEEPEST,
    EARLIEST_NS,
    LATEST_NS,
    LONGEST_NS,
    STATUS_ERROR,
    BadSpanError,
    OnBad,
    OtlpError,
    checked,
    fault_of,
    ignore,
)

Message: TypeAlias = ExportTraceServiceRequest

_IDS = (0, 8)
"""Allowed sizes in bytes of the parent's id, which may be missing."""
_NO_TRACE_ID, _NO_SPAN_ID = bytes(16), bytes(8)
_OWN: Final = (
    "trace_id",
    "span_id",
    "parent_span_id",
    "start_time_unix_nano",
    "end_time_unix_nano",
)
"""The fields that differ between any two spans."""
_CHECKED: Final = attrgetter(*_OWN, "events")
_CLEAR_OWN: Final = [methodcaller("ClearField", name) for name in _OWN]
_TEXT: Final = methodcaller("SerializeToString")
_UNREADABLE: Final = -1
_FEW: Final = 8


def parse(data: bytes) -> Message:
    """Parse a request, at 0.6 µs per span and up to about 50 bytes of memory per byte.

    Raises:
        OtlpError: it is not an ExportTraceServiceRequest.
    """
    try:
        return ExportTraceServiceRequest.FromString(data)
    except DecodeError as error:
        raise OtlpError(
            f"{len(data)} bytes are not OTLP protobuf ({error}): send an ExportTraceServiceRequest"
        ) from None


def read_protobuf(data: bytes, on_bad: OnBad = ignore) -> list[Span]:
    """Read an ExportTraceServiceRequest; unusable spans are left out.

    Raises:
        OtlpError: it is not such a request.
    """
    spans = []
    for of_resource in parse(data).resource_spans:
        resource = _attributes(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            for raw in of_scope.spans:
                try:
                    spans.append(checked(_span(raw, resource, of_scope.scope)))
                except BadSpanError as bad:
                    on_bad(str(bad))
    return spans


def count(message: Message) -> tuple[int, int, str]:
    """Count spans and unusable ones, and say why the first is unusable: 0.9 µs per span."""
    spans = bad = 0
    why = ""
    for _, of_scope in _scopes(message):
        spans += len(of_scope.spans)
        if not _are_good(of_scope.spans):
            faults = [(raw, fault) for raw in of_scope.spans if (fault := _fault(raw))]
            bad += len(faults)
            why = why or next((f"the span {raw.name[:64]!r} {fault}" for raw, fault in faults), "")
    return spans, bad, why


def read_into(table: SpanTable, data: bytes) -> int:
    """Add the spans of a request to a record, at 2 µs each; returns how many were added.

    Unusable spans are left out.

    Raises:
        OtlpError: it is not an ExportTraceServiceRequest.
    """
    before = len(table)
    for of_resource, of_scope in _scopes(parse(data)):
        spans = list(of_scope.spans)
        if not _are_good(spans):
            spans = [raw for raw in spans if not _fault(raw)]
        if spans:
            _append(table, spans, of_resource, of_scope)
    return len(table) - before


def _append(
    table: SpanTable,
    spans: Sequence[trace_pb2.Span],
    of_resource: trace_pb2.ResourceSpans,
    of_scope: trace_pb2.ScopeSpans,
) -> None:
    """Add spans; spans whose bytes are equal apart from ids and times are decoded only once."""
    rows = list(map(_CHECKED, spans))
    for clear in _CLEAR_OWN:
        deque(map(clear, spans), maxlen=0)
    texts = list(map(_TEXT, spans))
    resource, scope = of_resource.resource, of_scope.scope
    numbers = table.numbers((resource.SerializeToString(), scope.SerializeToString()))
    if unknown := set(texts).difference(numbers):
        try:
            process = _attributes(resource.attributes)
        except BadSpanError:
            return
        for text in unknown:
            numbers[text] = _number(table, trace_pb2.Span.FromString(text), process, scope)
    said = list(map(numbers.__getitem__, texts))
    if _UNREADABLE in said:
        rows = [row for row, number in zip(rows, said, strict=True) if number != _UNREADABLE]
        said = [number for number in said if number != _UNREADABLE]
    if rows:
        traces, ids, parents, starts, ends, _ = zip(*rows, strict=True)
        above = _words([one or _NO_SPAN_ID for one in parents])
        times = np.array([starts, ends], np.int64)
        table.append(_words(traces).reshape(-1, 2), _words(ids), above, times[0], times[1], said)


def _number(
    table: SpanTable, raw: trace_pb2.Span, resource: Attributes, scope: InstrumentationScope
) -> int:
    try:
        return table.new(_span(raw, resource, scope))
    except BadSpanError:
        return _UNREADABLE


def _words(ids: Iterable[bytes]) -> Words:
    return np.frombuffer(b"".join(ids), ">u8").astype(np.uint64)


def _are_good(spans: Sequence[trace_pb2.Span]) -> bool:
    """Whether all are usable: like `_fault`, but in bulk; for a few, one by one is as fast."""
    if len(spans) < _FEW:
        return False
    traces, ids, parents, starts, ends, events = zip(*map(_CHECKED, spans), strict=True)
    lengths = [set(map(len, one)) for one in (traces, ids, parents, events)]
    durations_ns = list(map(sub, ends, starts))
    return (
        lengths[0] == {16}
        and lengths[1] == {8}
        and lengths[2].issubset(_IDS)
        and lengths[3] == {0}
        and _NO_TRACE_ID not in traces
        and _NO_SPAN_ID not in ids
        and min(starts) >= EARLIEST_NS
        and max(ends) <= LATEST_NS
        and min(durations_ns) >= 0
        and max(durations_ns) <= LONGEST_NS
    )


def _fault(raw: trace_pb2.Span) -> str:
    """Why a span is unusable, by the rules of `checked`, but without decoding it."""
    if len(raw.trace_id) != 16 or len(raw.span_id) != 8 or len(raw.parent_span_id) not in _IDS:
        return "has an id of the wrong length"
    if raw.trace_id == _NO_TRACE_ID or raw.span_id == _NO_SPAN_ID:
        return "has an all-zero id"
    events_ns = (event.time_unix_nano for event in raw.events)
    return fault_of(raw.start_time_unix_nano, raw.end_time_unix_nano, events_ns)


def _scopes(message: Message) -> Iterator[tuple[trace_pb2.ResourceSpans, trace_pb2.ScopeSpans]]:
    for of_resource in message.resource_spans:
        for of_scope in of_resource.scope_spans:
            yield of_resource, of_scope


def _span(raw: trace_pb2.Span, resource: Attributes, scope: InstrumentationScope) -> Span:
    return Span(
        trace_id=raw.trace_id.hex(),
        span_id=raw.span_id.hex(),
        parent_id=raw.parent_span_id.hex(),
        name=raw.name,
        kind=KINDS[raw.kind] if raw.kind in range(len(KINDS)) else "UNSPECIFIED",
        start_ns=raw.start_time_unix_nano,
        end_ns=raw.end_time_unix_nano,
        attributes=_attributes(raw.attributes),
        events=tuple(
            Event(event.name, event.time_unix_nano, _attributes(event.attributes))
            for event in raw.events
        ),
        links=tuple(Link(link.trace_id.hex(), link.span_id.hex()) for link in raw.links),
        resource=resource,
        scope=scope.name,
        failed=raw.status.code == STATUS_ERROR,
        flags=raw.flags,
        message=raw.status.message,
    )


def _attributes(pairs: Iterable[KeyValue], depth: int = 0) -> dict[str, Value]:
    return {pair.key: _value(pair.value, depth) for pair in pairs}


def _value(value: AnyValue, depth: int) -> Value:
    which = value.WhichOneof("value")
    if which is None:
        return None
    plain: Any = getattr(value, which)
    if which not in ("array_value", "kvlist_value"):
        return plain  # type: ignore[no-any-return] # a scalar of the oneof
    if depth >= DEEPEST:
        raise BadSpanError(f"an attribute is nested deeper than {DEEPEST}")
    if which == "array_value":
        return tuple(_value(one, depth + 1) for one in plain.values)
    return _attributes(plain.values, depth + 1)

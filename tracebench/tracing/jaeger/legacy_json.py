"""Read spans from the JSON of Jaeger 1 and its UI: times are in µs, and ids may be short."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from tracebench.model.record.span import KINDS, Attributes, Event, Link, Span, Value
from tracebench.tracing.otlp.checks import BadSpanError, OnBad, checked, ignore

NS_PER_US: Final = 1_000
_KINDS: Final = {kind.lower(): kind for kind in KINDS}
_CHILD_OF: Final = "CHILD_OF"
_SPAN_DIGITS, _TRACE_DIGITS = 16, 32


def spans_in(answer: Any, on_bad: OnBad = ignore) -> Iterator[Span]:
    """The spans in an answer of `/api/traces/{id}`, or in a file that the UI saved.

    Unusable spans are left out.

    Raises:
        KeyError, TypeError, AttributeError, ValueError: it has another form.
    """
    for trace in answer["data"]:
        resources = {name: _resource(one) for name, one in trace["processes"].items()}
        for span in trace["spans"]:
            try:
                yield checked(_span(span, resources[span["processID"]]))
            except BadSpanError as bad:
                on_bad(str(bad))


def _span(span: dict[str, Any], resource: Attributes) -> Span:
    tags = dict(_tags(span.get("tags")))
    start_ns = int(span["startTime"]) * NS_PER_US
    links = [_link(one) for one in span.get("references") or ()]
    is_parent = [one["refType"] == _CHILD_OF for one in span.get("references") or ()]
    trace_id = span["traceID"].zfill(_TRACE_DIGITS)
    parents = [
        link.span_id
        for link, parent in zip(links, is_parent, strict=True)
        if parent and link.trace_id == trace_id
    ]
    return Span(
        trace_id=trace_id,
        span_id=span["spanID"].zfill(_SPAN_DIGITS),
        parent_id=parents[0] if parents else "",
        name=span["operationName"],
        kind=_KINDS.get(str(tags.pop("span.kind", "")), "UNSPECIFIED"),
        start_ns=start_ns,
        end_ns=start_ns + int(span["duration"]) * NS_PER_US,
        events=tuple(_event(log) for log in span.get("logs") or ()),
        links=tuple(link for link in links if link.span_id not in parents[:1]),
        resource=resource,
        scope=str(tags.pop("otel.scope.name", "")),
        failed=tags.get("otel.status_code") == "ERROR" or tags.get("error") is True,
        message=str(tags.pop("otel.status_description", "")),
        attributes=tags,
    )


def _link(reference: dict[str, str]) -> Link:
    return Link(reference["traceID"].zfill(_TRACE_DIGITS), reference["spanID"].zfill(_SPAN_DIGITS))


def _event(log: dict[str, Any]) -> Event:
    fields = dict(_tags(log["fields"]))
    return Event(str(fields.pop("event", "")), int(log["timestamp"]) * NS_PER_US, fields)


def _resource(process: dict[str, Any]) -> Attributes:
    return {**dict(_tags(process.get("tags"))), "service.name": str(process["serviceName"])}


def _tags(tags: Iterable[dict[str, Any]] | None) -> Iterator[tuple[str, Value]]:
    for tag in tags or ():
        yield tag["key"], int(tag["value"]) if tag.get("type") == "int64" else tag["value"]

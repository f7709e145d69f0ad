"""Traces of servers, in ms from their start."""

from collections.abc import Mapping

from tracebench.model.record.exchange import Timing, Undecomposed
from tracebench.model.record.span import Event, Kind, Link, Span, Value
from tracebench.tracing.join.server_spans import entry_of
from tracebench.tracing.mapping.mapper import Mapper

ROOT = "c" * 16
MS = 1_000_000
START_NS = 1_900_000_000_000_000_000


def at(ms: float) -> int:
    return START_NS + round(ms * MS)


def span(
    name: str,
    start_ms: float,
    end_ms: float,
    parent: str = ROOT,
    *,
    kind: Kind = "INTERNAL",
    events: Mapping[str, float] | None = None,
    attributes: Mapping[str, Value] | None = None,
    scope: str = "",
    resource: Mapping[str, Value] | None = None,
    span_id: str = "",
    links: tuple[Link, ...] = (),
) -> Span:
    """A span whose id is its name, unless it is given another."""
    return Span(
        "a" * 32,
        span_id or name,
        parent,
        name,
        kind,
        at(start_ms),
        at(end_ms),
        attributes or {},
        tuple(Event(event, at(ms)) for event, ms in (events or {}).items()),
        links,
        resource or {},
        scope,
    )


def timing(mapper: Mapper, *spans: Span) -> Timing | Undecomposed:
    entry = entry_of(spans, ROOT)
    assert entry is not None
    return mapper.timing(entry, spans)


def split(mapper: Mapper, *spans: Span) -> dict[str, float]:
    """Component → ms, the total among them."""
    found = timing(mapper, *spans)
    assert isinstance(found, Timing), found
    parts_ns = {"server_processing": found.total_ns, **found.parts_ns}
    return {name: ns / MS for name, ns in parts_ns.items()}

"""List the spans that servers emit, how they are mapped, and rules for the unmapped ones."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final, NamedTuple

from server_middleware.vocabulary import (
    INFERENCE,
    POSTPROCESSING,
    PREPROCESSING,
    QUEUE,
    SERVER_PROCESSING,
)
from tracebench.analysis.statistics.distribution import NS_PER_MS
from tracebench.model.record.span import Span
from tracebench.model.results.inventory import Row, Service, What
from tracebench.tracing.join.server_spans import ServerSpans
from tracebench.tracing.mapping.mapper import Mapped, Mapper
from tracebench.tracing.mapping.precedence import by_service, service_of
from tracebench.tracing.mapping.stages import TO, nanoseconds
from tracebench.tracing.roots.read_back import is_root

# Rules for unmapped spans, to be pasted into a mapping; the component is a guess.

_GUESSES: Final = (
    (QUEUE, re.compile(r"queu|wait|pending|schedul|backlog", re.I)),
    (POSTPROCESSING, re.compile(r"post|serial|respon|format|render|detoken|output|encode", re.I)),
    (
        PREPROCESSING,
        re.compile(r"pre.?proc|token|parse|resize|transform|valid|input|decode.?im", re.I),
    ),
)
"""The first match counts; names that match none are taken for inference."""
_IDS: Final = re.compile(r"(?=[0-9a-fA-F-]*\d)[0-9a-fA-F]{8}[0-9a-fA-F-]*|\d{4,}")


def without_ids(name: str) -> str:
    """A name with `*` in place of anything like an id, so that it matches all spans of its kind."""
    return _IDS.sub("*", name)


def for_span(name: str) -> str:
    """A rule that maps all spans of this name."""
    return _rule(name, f"span = {_quoted(name)}")


def for_events(span: str, first: str, then: str) -> str:
    """A rule that maps the stretch between two events of a span."""
    events = f"from = {_quoted(first)}\nto = {_quoted(then)}"
    return _rule(f"{first} {then}", f"span = {_quoted(span)}\n{events}")


def for_duration(span: str, attribute: str, unit: str) -> str:
    """A rule that maps an attribute that holds a duration."""
    told = f"duration = {_quoted(attribute)}\nunit = {_quoted(unit)}"
    return _rule(attribute, f"span = {_quoted(span)}\n{told}")


def _rule(hint: str, conditions: str) -> str:
    return f"[[rule]]\n{conditions}\ncomponent = {_quoted(_guess(hint))}"


def _guess(hint: str) -> str:
    return next((component for component, words in _GUESSES if words.search(hint)), INFERENCE)


def _quoted(text: str) -> str:
    """Any text as a TOML string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + '"'


# The inventory: what each server emits, and how the rules map it.

_TIMELIKE: Final = re.compile(r"time(?!out|stamp)|latency|duration|elapsed|[._-][mun]?s$", re.I)
_UNITS: Final = tuple(
    (re.compile(rf"[._-]{unit}(ec|econds)?$"), unit) for unit in ("ms", "us", "ns")
)
"""A unit at the end of an attribute's name; without one, seconds are assumed."""


class _Kind(NamedTuple):
    span: str
    what: What
    name: str


@dataclass(slots=True)
class _Seen:
    """The data collected for one kind."""

    component: str | None = None
    unit: str = "s"
    values_ns: list[int] = field(default_factory=list)


class _Stock:
    """The inventory of one server."""

    def __init__(self) -> None:
        self.profiles: dict[str, None] = {}
        self.traces: set[str] = set()
        self.spans = self.orphans = 0
        self.kinds: defaultdict[_Kind, _Seen] = defaultdict(_Seen)

    def add(self, mapped: Mapped, *, is_entry: bool, is_orphan: bool) -> None:
        span, name = mapped.span, without_ids(mapped.span.name)
        self.traces.add(span.trace_id)
        self.profiles.update(dict.fromkeys(mapped.profiles))
        self.spans += 1
        self.orphans += is_orphan
        component = SERVER_PROCESSING if is_entry else mapped.component
        self._note(_Kind(name, "span", ""), span.end_ns - span.start_ns, component)
        for stage in mapped.stages:
            kind = _Kind(
                name, "attribute" if stage.name in span.attributes else "stage", stage.name
            )
            self._note(kind, stage.end_ns - stage.start_ns, stage.component)
        used = {part for stage in mapped.stages for part in stage.name.split(TO)}
        for event in span.events:
            if event.name not in used:
                self._note(_Kind(name, "event", event.name), event.time_ns - span.start_ns, None)
        for attribute, unit, value_ns in _durations(span):
            if attribute not in used:
                self._note(_Kind(name, "attribute", attribute), value_ns, None, unit)

    def _note(self, kind: _Kind, value_ns: int, component: str | None, unit: str = "s") -> None:
        seen = self.kinds[kind]
        seen.component, seen.unit = component or seen.component, unit
        seen.values_ns.append(value_ns)

    def rows(self) -> Iterator[Row]:
        """Entry spans first, then others in order of appearance, each followed by its parts."""
        spans = [kind for kind in self.kinds if kind.what == "span"]
        spans.sort(key=lambda kind: self.kinds[kind].component != SERVER_PROCESSING)
        for name in (kind.span for kind in spans):
            own = {kind: seen for kind, seen in self.kinds.items() if kind.span == name}
            told = any(seen.component and kind.what != "span" for kind, seen in own.items())
            events = [] if told else [kind.name for kind in own if kind.what == "event"]
            for kind in sorted(own, key=lambda kind: kind.what != "span"):
                seen = own[kind]
                rule = "" if seen.component or told else _rule_for(kind, seen, events)
                at_ms = median(seen.values_ns) / NS_PER_MS
                yield Row(*kind, len(seen.values_ns), at_ms, seen.component, rule)


def _rule_for(kind: _Kind, seen: _Seen, events: Sequence[str]) -> str:
    """A rule for an unmapped kind; for an event, the stretch from it to the next event."""
    if kind.what == "span":
        return for_span(kind.span)
    if kind.what == "attribute":
        return for_duration(kind.span, kind.name, seen.unit)
    following = events[events.index(kind.name) + 1 :]
    return for_events(kind.span, kind.name, following[0]) if following else ""


def take_stock(spans: Iterable[Span], mapper: Mapper) -> tuple[Service, ...]:
    """List what servers emit; tracebench's own root spans are skipped.

    Args:
        spans: of any number of traces and servers, in any order.
        mapper: maps spans to components.
    """
    kept, clients = ServerSpans(), set[str]()
    for span in spans:
        if is_root(span) or (span.kind == "CLIENT" and not span.parent_id):
            clients.add(span.span_id)
        else:
            kept.add(span)
    trust = by_service(kept)
    stocks: defaultdict[str, _Stock] = defaultdict(_Stock)
    counted: set[tuple[str, str]] = set()
    for trace_id in kept.traces():
        of_trace = kept.of(trace_id)
        known = {span.span_id for span in of_trace}
        for one in mapper.map(of_trace, trust):
            span, stock = one.span, stocks[service_of(one.span)]
            if (key := (span.trace_id, span.span_id)) in counted:
                continue
            counted.add(key)
            is_entry = span.parent_id in clients or (
                span.parent_id not in known and span.kind == "SERVER"
            )
            is_lost = bool(span.parent_id) and span.parent_id not in known and not span.links
            stock.add(one, is_entry=is_entry, is_orphan=is_lost and not is_entry)
    return tuple(
        Service(
            name, tuple(one.profiles), len(one.traces), one.spans, one.orphans, tuple(one.rows())
        )
        for name, one in stocks.items()
    )


def _durations(span: Span) -> Iterator[tuple[str, str, int]]:
    """Attributes that look like durations: name, unit, value in ns."""
    for name, value in span.attributes.items():
        if not _TIMELIKE.search(name) or isinstance(value, bool):
            continue
        unit = next((unit for ending, unit in _UNITS if ending.search(name)), "s")
        if isinstance(value, str):
            unit = "text"
        if (value_ns := nanoseconds(value, unit)) is not None:
            yield name, unit, value_ns

"""Shapes of traces: traces of the same shape are mapped only once."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Final, NamedTuple

from server_middleware.vocabulary import PART_NS
from tracebench.analysis.closure.bulk_attribution import TraceShape, shape_of
from tracebench.model.record.span import Span
from tracebench.tracing.mapping.mapper import Mapper
from tracebench.tracing.mapping.precedence import Trust
from tracebench.tracing.mapping.stream_marks import tells_chunks

BELOW_ROOT: Final = -2
"""Stands for a parent's index if the parent is the client's root span."""
UNKNOWN: Final = -1
"""Stands for a parent's index if the parent is not in the trace."""
_ROOT_ID: Final = "root"


class Apart(NamedTuple):
    """A span and its parent that were recorded by different processes."""

    span: int
    parent: int
    asked: bool
    """The parent is a CLIENT span and the span its SERVER span, so its end must lie within, too."""


class ShapePlan(NamedTuple):
    """How to divide traces of one shape."""

    form: TraceShape | None
    """The shape; None if such traces have no entry span."""
    apart: tuple[Apart, ...] = ()
    last: tuple[int, ...] = ()
    """Indices of spans; see `Outline`."""
    last_if_outlived: tuple[int, ...] = ()


class SpanKinds:
    """Numbers kinds of spans; the rules treat all spans of a kind the same.

    Args:
        mapper: has the rules.
        trust: server → trust in profiles.
    """

    def __init__(self, mapper: Mapper, trust: Mapping[str, Trust]) -> None:
        self._mapper, self._trust, self._asked = mapper, trust, mapper.asked()
        self._numbers: dict[Hashable, int] = {}
        self._examples: list[Span] = []
        self._plans: dict[Hashable, ShapePlan | None] = {}
        self._resources: dict[int, str] = {}
        """Resources as text by object id; the spans' record keeps the objects alive."""

    def number(self, span: Span) -> int:
        """The number of a span's kind."""
        key = self._key(span)
        if key not in self._numbers:
            self._numbers[key] = len(self._examples)
            self._examples.append(span)
        return self._numbers[key]

    def plan(self, kinds: tuple[int, ...], parents: tuple[int, ...]) -> ShapePlan | None:
        """How to divide traces of a shape.

        Args:
            kinds: the kind of each span; spans of the same kind are in order of their start.
            parents: indices of their parents, `BELOW_ROOT` or `UNKNOWN`.

        Returns:
            None if such traces must be divided one by one.
        """
        key = (kinds, parents)
        if key not in self._plans:
            self._plans[key] = self._made(kinds, parents)
        return self._plans[key]

    def _made(self, kinds: Sequence[int], parents: Sequence[int]) -> ShapePlan | None:
        spans = [
            self._examples[kind]._replace(span_id=str(place), parent_id=_parent_id(parent))
            for place, (kind, parent) in enumerate(zip(kinds, parents, strict=True))
        ]
        entries = [place for place, parent in enumerate(parents) if parent == BELOW_ROOT]
        entries = [one for one in entries if spans[one].kind == "SERVER"] or entries
        if not entries:
            return ShapePlan(None)
        if len({kinds[one] for one in entries}) > 1 or _tells_parts(spans[entries[0]]):
            return None
        outline = self._mapper.outline(entries[0], spans, self._trust)
        if outline is None:
            return None
        form = shape_of(entries[0], parents, outline.components)
        return ShapePlan(
            form, tuple(_apart(spans, parents)), outline.last, outline.last_if_outlived
        )

    def _key(self, span: Span) -> Hashable:
        said, asked = span.attributes, self._asked
        values = [(name, repr(said[name])) for name in sorted(asked.values & said.keys())]
        durations = frozenset(asked.durations & said.keys())
        events = asked.events.intersection(event.name for event in span.events)
        if (resource := self._resources.get(id(span.resource))) is None:
            resource = self._resources[id(span.resource)] = repr(span.resource)
        named = (span.name, span.kind, span.scope, resource, _tells_parts(span))
        return (*named, tuple(values), durations, events)


def _parent_id(place: int) -> str:
    return str(place) if place >= 0 else _ROOT_ID if place == BELOW_ROOT else ""


def _tells_parts(span: Span) -> bool:
    """Whether a span reports parts of its time or of its reply, which differ in each trace."""
    return any(name.startswith(PART_NS) for name in span.attributes) or tells_chunks(span)


def _apart(spans: Sequence[Span], parents: Sequence[int]) -> list[Apart]:
    pairs = [(place, parent) for place, parent in enumerate(parents) if parent >= 0]
    return [
        Apart(place, parent, spans[parent].kind == "CLIENT" and spans[place].kind == "SERVER")
        for place, parent in pairs
        if spans[place].resource != spans[parent].resource
    ]

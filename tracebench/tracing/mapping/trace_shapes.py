"""Forms of traces: what the rules make of many traces alike is found once."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Final, NamedTuple

from server_middleware.vocabulary import PART_NS
from tracebench.analysis.closure.bulk_attribution import TraceShape, shape_of
from tracebench.model.span import Span
from tracebench.tracing.mapping.mapper import Mapper
from tracebench.tracing.mapping.precedence import Trust
from tracebench.tracing.mapping.stream_marks import tells_chunks

BELOW_ROOT: Final = -2
"""In place of a parent's place: it is the client's root span."""
UNKNOWN: Final = -1
"""In place of a parent's place: it is not in the trace."""
_ROOT_ID: Final = "root"


class Apart(NamedTuple):
    """A span and its parent that two processes stamped."""

    span: int
    parent: int
    asked: bool
    """A server's span below that of its client: its end must lie within, too."""


class ShapePlan(NamedTuple):
    """How traces of one form are divided."""

    form: TraceShape | None
    """None where they have no entry span."""
    apart: tuple[Apart, ...] = ()
    last: tuple[int, ...] = ()
    """Places of spans; see `Outline`."""
    last_if_outlived: tuple[int, ...] = ()


class SpanKinds:
    """Numbers for spans between which no rule makes a difference.

    Args:
        mapper: has the rules.
        trust: server → how far profiles are believed of it.
    """

    def __init__(self, mapper: Mapper, trust: Mapping[str, Trust]) -> None:
        self._mapper, self._trust, self._asked = mapper, trust, mapper.asked()
        self._numbers: dict[Hashable, int] = {}
        self._examples: list[Span] = []
        self._plans: dict[Hashable, ShapePlan | None] = {}
        self._resources: dict[int, str] = {}
        """By what identifies them as objects, which their record keeps."""

    def number(self, span: Span) -> int:
        """The number of a span's kind."""
        key = self._key(span)
        if key not in self._numbers:
            self._numbers[key] = len(self._examples)
            self._examples.append(span)
        return self._numbers[key]

    def plan(self, kinds: tuple[int, ...], parents: tuple[int, ...]) -> ShapePlan | None:
        """How to divide traces of a form.

        Args:
            kinds: of the spans; spans of equal kinds stand in the order in which they began.
            parents: places of their parents, `BELOW_ROOT` or `UNKNOWN`.

        Returns:
            None where they are to be divided one by one.
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
    """Whether a span tells parts of its own time, or of its reply: each trace has its own."""
    return any(name.startswith(PART_NS) for name in span.attributes) or tells_chunks(span)


def _apart(spans: Sequence[Span], parents: Sequence[int]) -> list[Apart]:
    pairs = [(place, parent) for place, parent in enumerate(parents) if parent >= 0]
    return [
        Apart(place, parent, spans[parent].kind == "CLIENT" and spans[place].kind == "SERVER")
        for place, parent in pairs
        if spans[place].resource != spans[parent].resource
    ]

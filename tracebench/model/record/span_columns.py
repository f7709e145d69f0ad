"""The record of spans: ids and times in columns; what many spans share is stored only once."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from tracebench.model.record.columns import Int64
from tracebench.model.record.span import HEX_DIGITS, Attributes, Span

Words = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.uint32]

_TRACE_DIGITS, _SPAN_DIGITS = 32, 16
_LATEST_NS: Final = 2**63
_LOW: Final = 2**64 - 1
_MULTIPLIERS: Final = tuple(
    np.uint64(one) for one in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0xD6E8FEB86659FD93)
)
"""Odd, so that ids that differ in only one half never get the same key."""


@dataclass(frozen=True, slots=True)
class Spans:
    """Spans in the order in which they were received; all columns have the same length."""

    trace_high: Words
    trace_low: Words
    span: Words
    parent: Words
    """0 if the span has no parent."""
    start: Int64
    end: Int64
    said: Numbers
    """Index into `templates`, for everything else in the span."""
    templates: tuple[Span, ...]
    """Spans without ids and times."""

    def __len__(self) -> int:
        return len(self.said)

    def __iter__(self) -> Iterator[Span]:
        """Views of all rows, created one at a time."""
        columns = (self.trace_high, self.trace_low, self.span, self.parent, self.start, self.end)
        rows = zip(*(one.tolist() for one in columns), self.said.tolist(), strict=True)
        for high, low, span, parent, start_ns, end_ns, said in rows:
            yield self.templates[said]._replace(
                trace_id=f"{high:016x}{low:016x}",
                span_id=f"{span:016x}",
                parent_id=f"{parent:016x}" if parent else "",
                start_ns=start_ns,
                end_ns=end_ns,
            )

    def take(self, rows: npt.NDArray[Any]) -> "Spans":
        """A record of only these rows.

        Args:
            rows: their indices, or a mask.
        """
        return Spans(
            self.trace_high[rows],
            self.trace_low[rows],
            self.span[rows],
            self.parent[rows],
            self.start[rows],
            self.end[rows],
            self.said[rows],
            self.templates,
        )

    def such(self, wanted: Callable[[Span], bool]) -> npt.NDArray[np.bool_]:
        """A mask of the spans for which `wanted` holds; it must not depend on ids or times."""
        holds = np.fromiter(map(wanted, self.templates), np.bool_, len(self.templates))
        return holds[self.said] if len(self) else np.zeros(0, np.bool_)

    def linking(self) -> "Spans":
        """Only the spans that link to others."""
        return self.take(self.such(lambda span: bool(span.links)))


def together(records: Sequence[Spans]) -> Spans:
    """Concatenate several records, in order."""
    if len(records) == 1:
        return records[0]
    templates: list[Span] = []
    said: list[Numbers] = [np.zeros(0, np.uint32)]
    for one in records:
        said.append(one.said + np.uint32(len(templates)))
        templates += one.templates

    def whole(name: str, kind: type) -> npt.NDArray[Any]:
        return np.concatenate([np.zeros(0, kind), *(getattr(one, name) for one in records)])

    return Spans(
        whole("trace_high", np.uint64),
        whole("trace_low", np.uint64),
        whole("span", np.uint64),
        whole("parent", np.uint64),
        whole("start", np.int64),
        whole("end", np.int64),
        np.concatenate(said),
        tuple(templates),
    )


_Piece: TypeAlias = tuple[Words, Words, Words, Int64, Int64, Sequence[int]]
_NO_WORDS: Final = np.zeros(0, np.uint64)
_NO_TIMES: Final = np.zeros(0, np.int64)
_NOTHING: Final[_Piece] = (
    np.zeros((0, 2), np.uint64),
    _NO_WORDS,
    _NO_WORDS,
    _NO_TIMES,
    _NO_TIMES,
    (),
)


class SpanTable:
    """A record of spans that is still being filled."""

    def __init__(self) -> None:
        self._pieces: list[_Piece] = []
        self._rows: list[tuple[int, int, int, int, int, int, int]] = []
        self._numbers: dict[Hashable, int] = {}
        self._of_origin: dict[Hashable, dict[bytes, int]] = {}
        self._templates: list[Span] = []

    def __len__(self) -> int:
        return len(self._rows) + sum(len(piece[-1]) for piece in self._pieces)

    def numbers(self, origin: Hashable) -> dict[bytes, int]:
        """Template indices by a key of the caller, who fills the dictionary; one per origin."""
        return self._of_origin.setdefault(origin, {})

    def new(self, template: Span) -> int:
        """Store a template and return its index."""
        self._templates.append(template)
        return len(self._templates) - 1

    def append(
        self, traces: Words, span: Words, parent: Words, start: Int64, end: Int64, said: list[int]
    ) -> None:
        """Add many spans.

        Args:
            traces: two words per span.
            span: one word per span.
            parent: one word per span; 0 if it has no parent.
            start: in ns.
            end: in ns.
            said: template indices.
        """
        self._settle()
        self._pieces.append((traces, span, parent, start, end, said))

    def add(self, span: Span) -> bool:
        """Add one span; return False if its ids or times do not fit the columns."""
        if not fits(span):
            return False
        trace_id, parent = int(span.trace_id, 16), int(span.parent_id or "0", 16)
        ids = (trace_id >> 64, trace_id & _LOW, int(span.span_id, 16), parent)
        self._rows.append((*ids, span.start_ns, span.end_ns, self._number_of(span)))
        return True

    def finished(self) -> Spans:
        """The finished record."""
        self._settle()
        pieces = self._pieces or [_NOTHING]
        traces, span, parent, start, end, said = map(np.concatenate, zip(*pieces, strict=True))
        high, low = np.ascontiguousarray(traces.T)
        templates = tuple(self._templates)
        return Spans(high, low, span, parent, start, end, said.astype(np.uint32), templates)

    def _settle(self) -> None:
        if self._rows:
            high, low, span, parent, start, end, said = zip(*self._rows, strict=True)
            traces = np.array([high, low], np.uint64).T
            ids = np.array(span, np.uint64), np.array(parent, np.uint64)
            times = np.array(start, np.int64), np.array(end, np.int64)
            self._pieces.append((traces, *ids, *times, said))
            self._rows = []

    def _number_of(self, span: Span) -> int:
        key = None if span.events or span.links else _key_of(span)
        found = None if key is None else self._numbers.get(key)
        if found is None:
            found = self.new(_template(span))
            if key is not None:
                self._numbers[key] = found
        return found


def fits(span: Span) -> bool:
    """Whether ids are full-length lower-case hexadecimal, and times fit into 63 bits."""
    return (
        is_id(span.trace_id, _TRACE_DIGITS)
        and is_id(span.span_id, _SPAN_DIGITS)
        and (not span.parent_id or is_id(span.parent_id, _SPAN_DIGITS))
        and 0 <= span.start_ns < _LATEST_NS
        and 0 <= span.end_ns < _LATEST_NS
    )


def is_trace_id(text: str) -> bool:
    """Whether a text is 32 hexadecimal digits in lower case."""
    return is_id(text, _TRACE_DIGITS)


def is_id(text: str, digits: int) -> bool:
    """Whether a text consists of exactly `digits` lower-case hexadecimal digits."""
    return len(text) == digits and HEX_DIGITS.issuperset(text)


def _template(span: Span) -> Span:
    return span._replace(trace_id="", span_id="", parent_id="", start_ns=0, end_ns=0)


def _key_of(span: Span) -> Hashable:
    attributes, resource = _said(span.attributes), _said(span.resource)
    if attributes is None or resource is None:
        return None
    plain = (span.name, span.kind, span.scope, span.failed, span.flags, span.message)
    return (*plain, attributes, resource)


def _said(attributes: Attributes) -> Hashable:
    """A key for attributes; None if any value is not a scalar: equal lists may differ in type."""
    key = tuple((name, type(value), value) for name, value in attributes.items())
    scalar = all(issubclass(kind, str | bool | int | float | bytes) for _, kind, _ in key)
    return key if scalar else None


class TraceIndex:
    """Finds rows by trace id, given as two words; if several rows share an id, the first."""

    def __init__(self, high: Words, low: Words) -> None:
        self._high, self._low = high, low
        self.is_unique = False
        """Whether all ids are distinct."""
        for self._multiplier in _MULTIPLIERS:
            keys = self._keys(high, low)
            self._order = np.argsort(keys, kind="stable")
            self._sorted = keys[self._order]
            self.is_unique = not (self._sorted[1:] == self._sorted[:-1]).any()
            if self.is_unique:
                return

    @classmethod
    def of(cls, texts: Iterable[str]) -> "TraceIndex":
        """Build the index from ids in hexadecimal.

        Raises:
            ValueError: an id does not have that form.
        """
        return cls(*trace_words(texts))

    @classmethod
    def blind(cls, rows: int) -> "TraceIndex":
        """An index of rows whose ids have another form: it never finds any."""
        index = cls(*np.zeros((2, rows), np.uint64))
        index.is_unique = False
        return index

    def __len__(self) -> int:
        return len(self._high)

    def find(self, texts: Iterable[str]) -> Int64:
        """The row of each id in hexadecimal; −1 if there is none."""
        return self.places(*trace_words(texts))

    def places(self, high: Words, low: Words) -> Int64:
        """The row of each id, given as two words; −1 if there is none."""
        if not len(self):
            return np.full(len(high), -1)
        found = np.searchsorted(self._sorted, self._keys(high, low))
        rows = self._order[np.minimum(found, len(self) - 1)]
        return np.where((self._high[rows] == high) & (self._low[rows] == low), rows, -1)

    def _keys(self, high: Words, low: Words) -> Words:
        keys: Words = low ^ (high * self._multiplier)
        return keys


def trace_words(texts: Iterable[str]) -> tuple[Words, Words]:
    """High and low halves of trace ids that are given in hexadecimal.

    Raises:
        ValueError: an id does not have that form.
    """
    numbers = [_number(text, _TRACE_DIGITS) for text in texts]
    high = np.array([one >> 64 for one in numbers], np.uint64)
    return high, np.array([one & _LOW for one in numbers], np.uint64)


def span_words(texts: Iterable[str]) -> Words:
    """Words of span ids that are given in hexadecimal; an empty id becomes 0.

    Raises:
        ValueError: an id does not have that form.
    """
    return np.array([_number(text, _SPAN_DIGITS) if text else 0 for text in texts], np.uint64)


def _number(text: str, digits: int) -> int:
    if not is_id(text, digits):
        raise ValueError(f"{text[:64]!r} is not {digits} hexadecimal digits")
    return int(text, 16)

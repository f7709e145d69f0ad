"""What came where a request's server span did not: the server's own traces, others, or nothing."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeAlias

from tracebench.analysis.numbers import counted
from tracebench.model.span import Span

Cause: TypeAlias = Literal["own_traces", "now_and_then", "headless", "lost", "silent"]
"""Why a server span is missing, as far as what came tells; the hints of findings name it."""

_MOST_LOOKED_AT: Final = 200_000
"""Spans; what the first of them are tells enough."""
_MOST_NAMES: Final = 1_000
_MOST_NAMED: Final = 3
_LONGEST_NAME: Final = 60
_NOW_AND_THEN: Final = 0.5
"""Of the requests: a server that joins more of them does not ignore the context as such."""
_OF_CALLERS: Final = ("CLIENT", "PRODUCER")
_NONE: Final[Mapping[str, int]] = MappingProxyType({})


class OtherSpans(NamedTuple):
    """What came for one target, beside what was waited for."""

    spans: int = 0
    """All that came."""
    own_traces: int = 0
    """Traces that a server began by itself: spans without a parent, in traces of nobody's."""
    names: Mapping[str, int] = _NONE
    """How such spans are called, with their service → how many."""
    headless: int = 0
    """Requests of which spans came, but none that is the child of their root span."""


NOTHING: Final = OtherSpans()


def other_spans(
    spans: Iterable[Span], ours: Collection[str], missing: Collection[str]
) -> OtherSpans:
    """Look at what came.

    A warm-up's requests are in no collection, but a server that takes their context gives its spans
    a parent. Roots of callers are not a server's.

    Args:
        spans: whatever came; the first 200,000 are looked at.
        ours: traces that were started here, and what is linked to them.
        missing: those of them without an entry span.
    """
    seen = 0
    names, headless = Counter[str](), set[str]()
    for span in islice(spans, _MOST_LOOKED_AT):
        seen += 1
        if span.trace_id in missing:
            headless.add(span.trace_id)
        elif _began_a_trace(span, ours):
            name = _called(span)
            names[name if name in names or len(names) < _MOST_NAMES else "others"] += 1
    return OtherSpans(seen, names.total(), names, len(headless))


def _began_a_trace(span: Span, ours: Collection[str]) -> bool:
    """Whether a server began a trace with it that has nothing to do with the requests."""
    if span.parent_id or span.kind in _OF_CALLERS or span.trace_id in ours:
        return False
    return not any(link.trace_id in ours for link in span.links)


def _called(span: Span) -> str:
    """Its name and service, fit to be printed."""
    service = span.resource.get("service.name", "")
    text = f"{span.name!r} of {service}" if service else repr(span.name)
    line = "".join(filter(str.isprintable, text))
    return line if len(line) <= _LONGEST_NAME else f"{line[: _LONGEST_NAME - 1]}…"


def causes(found: OtherSpans, missing: int, wanted: int) -> tuple[Cause, ...]:
    """What the missing spans are due to, as far as that can be told."""
    if found.own_traces:
        often = missing >= _NOW_AND_THEN * wanted
        return ("own_traces",) if often else ("own_traces", "now_and_then")
    if found.headless:
        return ("headless",)
    return ("lost",) if found.spans else ("silent",)


def words(found: OtherSpans) -> str:
    """What came instead, as a sentence with a space before it; empty where that tells nothing."""
    if found.own_traces:
        most = Counter(found.names).most_common(_MOST_NAMED)
        named = ", ".join(f"{name} ({count:,})" for name, count in most)
        more = ", …" if len(found.names) > len(most) else ""
        return (
            f". Instead {counted(found.own_traces, 'trace')} came that the server started by "
            f"itself, despite the request's context: {named}{more}"
        )
    if found.headless:
        return (
            f". Spans of {found.headless:,} of these requests came, but none is a child of the "
            "request's own span"
        )
    return "" if found.spans else ". No span came at all"

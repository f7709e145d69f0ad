"""Why requests lack a server span, judged by the spans that came instead."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeAlias

from tracebench.analysis.numbers import counted
from tracebench.model.record.span import Span

Cause: TypeAlias = Literal["own_traces", "now_and_then", "headless", "lost", "silent"]
"""Likely reason for a missing server span; advice refers to it by name."""

_MOST_LOOKED_AT: Final = 200_000
"""How many spans are examined; that many are representative."""
_MOST_NAMES: Final = 1_000
_MOST_NAMED: Final = 3
_LONGEST_NAME: Final = 60
_NOW_AND_THEN: Final = 0.5
"""Share of requests; a server that joins more of them does not ignore the trace context."""
_OF_CALLERS: Final = ("CLIENT", "PRODUCER")
_NONE: Final[Mapping[str, int]] = MappingProxyType({})


class OtherSpans(NamedTuple):
    """The spans received for one target other than the expected ones."""

    spans: int = 0
    """How many spans came in total."""
    own_traces: int = 0
    """Traces that a server began itself: spans without a parent, in traces unknown to the run."""
    names: Mapping[str, int] = _NONE
    """Name and service of such spans → how many."""
    headless: int = 0
    """Requests with spans, none of which is a child of the request's root span."""


NOTHING: Final = OtherSpans()


def other_spans(
    spans: Iterable[Span], ours: Collection[str], missing: Collection[str]
) -> OtherSpans:
    """Classify the spans that came.

    Warm-up requests are in neither collection, but a server that takes their context gives its
    spans a parent, so they do not count as its own traces. Nor do callers' root spans.

    Args:
        spans: all spans received; the first 200,000 are examined.
        ours: ids of the traces started here, and of those linked to them.
        missing: ids of the traces without an entry span.
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
    """Whether this span is the root of a server's own trace, unrelated to the requests."""
    if span.parent_id or span.kind in _OF_CALLERS or span.trace_id in ours:
        return False
    return not any(link.trace_id in ours for link in span.links)


def _called(span: Span) -> str:
    """A span's name and service, in printable characters."""
    service = span.resource.get("service.name", "")
    text = f"{span.name!r} of {service}" if service else repr(span.name)
    line = "".join(filter(str.isprintable, text))
    return line if len(line) <= _LONGEST_NAME else f"{line[: _LONGEST_NAME - 1]}…"


def causes(found: OtherSpans, missing: int, wanted: int) -> tuple[Cause, ...]:
    """The likely causes of missing spans.

    Args:
        found: the spans that came instead.
        missing: requests without a server span.
        wanted: requests that should have one.
    """
    if found.own_traces:
        often = missing >= _NOW_AND_THEN * wanted
        return ("own_traces",) if often else ("own_traces", "now_and_then")
    if found.headless:
        return ("headless",)
    return ("lost",) if found.spans else ("silent",)


def words(found: OtherSpans) -> str:
    """A sentence on what came instead, with a leading space; empty if that is not informative."""
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

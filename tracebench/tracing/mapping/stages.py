"""Stretches of a span that are components of their own: between events, or told as durations."""

import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from math import isfinite
from typing import Final, NamedTuple

from tracebench.model.exchange import Undecomposed
from tracebench.model.span import Span
from tracebench.tracing.mapping.rules import TEXT, UNITS_NS, Rule
from tracebench.vocabulary import SERVER_PROCESSING

_TEXT: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|ms|us|µs|μs|ns)", re.ASCII)
_LONGEST_NS: Final = 2**62
_ROUNDING: Final = 1.001
"""Servers read two clocks for a span and for what it tells; what is more is no rounding."""
_ROUNDING_NS: Final = 1_000


TO: Final = " → "


class Stage(NamedTuple):
    """A stretch of a span."""

    name: str
    """The events, `A → B`, where those may be `begin` and `end`; or the attribute that tells it."""
    component: str
    start_ns: int
    end_ns: int
    problem: Undecomposed | None = None
    """Why it cannot be used."""


def stretches(
    span: Span, rules: Iterable[Rule], children: Mapping[str, Sequence[Span]]
) -> Iterator[Stage]:
    """What lies between the events of a span.

    Each start goes with the first end after it. Of rules for the same events the first counts,
    and of those for `server_processing` the first that fits.

    Args:
        span: its own events begin a stretch; the end may be an event of a child.
        rules: those for the span that speak of events.
        children: of all spans, by their ids.
    """
    seen = set()
    for rule in rules:
        is_total = rule.component == SERVER_PROCESSING
        key = SERVER_PROCESSING if is_total else (rule.starts, rule.ends)
        if key in seen:
            continue
        found = list(_between(span, rule, children.get(span.span_id, ())))
        if found:
            seen.add(key)
        yield from (_total(found),) if is_total and found else found


def _between(span: Span, rule: Rule, children: Sequence[Span]) -> Iterator[Stage]:
    starts = _times(rule.starts, [span]) if rule.starts else ("begin", [span.start_ns])
    ends = _times(rule.ends, [span], children) if rule.ends else ("end", [span.end_ns])
    name = f"{starts[0]}{TO}{ends[0]}"
    done_ns = None
    for start_ns in starts[1]:
        end_ns = next((at_ns for at_ns in ends[1] if at_ns >= start_ns), None)
        if end_ns is not None and (done_ns is None or start_ns >= done_ns):
            yield Stage(name, rule.component, start_ns, end_ns)
            done_ns = end_ns


def _times(names: Iterable[str], *holders: Sequence[Span]) -> tuple[str, list[int]]:
    """When the first known of these events happened, in the first holders that have it."""
    for spans in holders:
        for name in names:
            times = (event.time_ns for span in spans for event in span.events if event.name == name)
            if times_ns := sorted(times):
                return name, times_ns
    return "", []


def _total(found: Sequence[Stage]) -> Stage:
    return found[0]._replace(end_ns=found[-1].end_ns)


def durations(span: Span, rules: Iterable[Rule], known: Container[str | None]) -> Iterator[Stage]:
    """What a span tells as durations, laid end to end from its start: only lengths are meant.

    Args:
        span: has the attributes.
        rules: those for the span that speak of durations.
        known: components of the spans below it, which say it more exactly.
    """
    at_ns, seen = span.start_ns, set[str]()
    longest_ns = (span.end_ns - span.start_ns) * _ROUNDING + _ROUNDING_NS
    for rule in rules:
        if rule.duration in seen or rule.component in known:
            continue
        if (told := span.attributes.get(rule.duration)) is None:
            continue
        seen.add(rule.duration)
        duration_ns = nanoseconds(told, rule.unit)
        problem = None if duration_ns is not None else Undecomposed.MALFORMED
        end_ns = at_ns + (duration_ns or 0)
        if end_ns - span.start_ns > longest_ns:
            problem = Undecomposed.EXCESS
        yield Stage(rule.duration, rule.component, at_ns, end_ns, problem)
        at_ns = end_ns


def nanoseconds(told: object, unit: str) -> int | None:
    """Read a duration; None where it is none: no number, negative, or beyond 146 years."""
    if unit == TEXT:
        match = _TEXT.fullmatch(str(told).strip())
        if match is None:
            return None
        told, unit = match[1], match[2].replace("µ", "u").replace("μ", "u")
    if isinstance(told, bool) or not isinstance(told, str | int | float):
        return None
    try:
        value_ns = float(told) * UNITS_NS[unit]
    except (ValueError, OverflowError):
        return None
    return round(value_ns) if isfinite(value_ns) and 0 <= value_ns <= _LONGEST_NS else None

"""Parts of a span that are components: stretches between events, and durations in attributes."""

import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from math import isfinite
from typing import Final, NamedTuple

from server_middleware.vocabulary import INFERENCE, INFERENCE_PARTS
from tracebench.model.record.exchange import Undecomposed
from tracebench.model.record.span import Span
from tracebench.tracing.mapping.rules import FIRST_TOKEN, TEXT, UNITS_NS, Rule, one_fits

_TEXT: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|ms|us|µs|μs|ns)", re.ASCII)
_LONGEST_NS: Final = 2**62
_ROUNDING: Final = 1.001
"""Tolerance, since servers read different clocks for a span and for the durations in it."""
_ROUNDING_NS: Final = 1_000
_SEVERAL: Final = 2


TO: Final = " → "


class Stage(NamedTuple):
    """A stretch of a span."""

    name: str
    """`A → B`, where A and B are events or `begin` and `end`; or the attribute that holds the
    duration."""
    component: str
    start_ns: int
    end_ns: int
    problem: Undecomposed | None = None
    """Why the stage cannot be used; None if it can."""
    outlived: bool = False
    """The stage counts only if the span continues after the client has the reply."""
    message: int = 0
    """Only for `first_token`: the message of the stream, from 1, whose sending ends the stage; 0:
    it ends when the token was ready, whichever message carried it."""


def stretches(
    span: Span, rules: Iterable[Rule], children: Mapping[str, Sequence[Span]]
) -> Iterator[Stage]:
    """The stretches between the events of a span.

    Each start is paired with the first end after it. There are two exceptions: for
    `server_processing`, the first start is paired with the last end, and for `first_token`, with
    every end. If several rules name the same events, the first one counts; for these two
    components, the first that matches.

    Args:
        span: a stretch begins at one of its own events; the end may be an event of a child.
        rules: the rules for the span that name events.
        children: span id → its children.
    """
    seen = set()
    for rule in rules:
        named = (rule.starts, rule.ends, rule.last)
        key = named if rule.is_part else (rule.component, rule.outlived)
        if key in seen:
            continue
        found = list(_between(span, rule, children.get(span.span_id, ())))
        if found:
            seen.add(key)
        yield from found


def may_begin(span: Span, rule: Rule, children: Sequence[Span]) -> bool:
    """Whether a span has the events that a rule names, whatever their times are."""

    def has(names: Iterable[str], holders: Iterable[Span]) -> bool:
        return any(event.name in names for one in holders for event in one.events)

    if rule.starts and not has(rule.starts, [span]):
        return False
    if rule.last:
        return any(one_fits(rule.last, one.name) for one in children)
    return not rule.ends or has(rule.ends, [span, *children])


def _between(span: Span, rule: Rule, children: Sequence[Span]) -> Iterator[Stage]:
    """Pair each start with the first end after it; the total is the longest stretch."""
    begin, starts_ns = _starts(span, rule)
    end, ends_ns = _ends(span, rule, children)
    name, done_ns = f"{begin}{TO}{end}", None
    if rule.repeated and len(ends_ns) < _SEVERAL:
        return
    for start_ns in starts_ns if rule.is_part else starts_ns[:1]:
        after_ns = [at_ns for at_ns in ends_ns if at_ns >= start_ns]
        if rule.component == FIRST_TOKEN:
            for message, at_ns in enumerate(after_ns, 1):
                yield Stage(name, rule.component, start_ns, at_ns, message=message)
        elif after_ns and (done_ns is None or start_ns >= done_ns):
            done_ns = after_ns[0 if rule.is_part else -1]
            yield Stage(name, rule.component, start_ns, done_ns, outlived=rule.outlived)


def _starts(span: Span, rule: Rule) -> tuple[str, list[int]]:
    return _times(rule.starts, [span]) if rule.starts else ("begin", [span.start_ns])


def _ends(span: Span, rule: Rule, children: Sequence[Span]) -> tuple[str, list[int]]:
    if rule.last:
        names = [pattern.text for pattern in rule.last]
        fitting = [one for one in children if one_fits(rule.last, one.name)]
        return f"end of {names[0]}", sorted(one.end_ns for one in fitting)
    return _times(rule.ends, [span], children) if rule.ends else ("end", [span.end_ns])


def _times(names: Iterable[str], *holders: Sequence[Span]) -> tuple[str, list[int]]:
    """The times of the first of these events that exists, in the first holders that have it."""
    for spans in holders:
        for name in names:
            times = (event.time_ns for span in spans for event in span.events if event.name == name)
            if times_ns := sorted(times):
                return name, times_ns
    return "", []


def durations(span: Span, rules: Iterable[Rule], known: Container[str | None]) -> Iterator[Stage]:
    """The stages that a span describes by durations, laid end to end, as only their lengths count.

    That of `first_token` also begins at the span's start, but takes up no room. If there are parts
    of `inference`, the duration of `inference` as a whole is ignored.

    Args:
        span: has the attributes.
        rules: the rules for the span that name durations.
        known: components of the spans below it, which are more exact.
    """
    at_ns, seen = span.start_ns, set[str]()
    in_parts = any(part in known for part in INFERENCE_PARTS)
    longest_ns = (span.end_ns - span.start_ns) * _ROUNDING + _ROUNDING_NS
    for rule in rules:
        if rule.duration in seen or rule.component in known:
            continue
        if in_parts and rule.component == INFERENCE:
            continue
        if (told := span.attributes.get(rule.duration)) is None:
            continue
        seen.add(rule.duration)
        duration_ns = nanoseconds(told, rule.unit)
        if rule.component == FIRST_TOKEN:
            if duration_ns is not None:
                end_ns = span.start_ns + duration_ns
                yield Stage(rule.duration, rule.component, span.start_ns, end_ns)
            continue
        in_parts |= rule.component in INFERENCE_PARTS
        problem = None if duration_ns is not None else Undecomposed.MALFORMED
        end_ns = at_ns + (duration_ns or 0)
        if end_ns - span.start_ns > longest_ns:
            problem = Undecomposed.EXCESS
        yield Stage(rule.duration, rule.component, at_ns, end_ns, problem)
        at_ns = end_ns


def nanoseconds(told: object, unit: str) -> int | None:
    """Read a duration; None if it is not a number, negative, or longer than 146 years."""
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

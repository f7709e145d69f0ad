"""Stretches of a span that are components of their own: between events, or told as durations."""

import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from math import isfinite
from typing import Final, NamedTuple

from server_middleware.vocabulary import INFERENCE, INFERENCE_PARTS
from tracebench.model.exchange import Undecomposed
from tracebench.model.span import Span
from tracebench.tracing.mapping.rules import FIRST_TOKEN, TEXT, UNITS_NS, Rule, one_fits

_TEXT: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|ms|us|µs|μs|ns)", re.ASCII)
_LONGEST_NS: Final = 2**62
_ROUNDING: Final = 1.001
"""Servers read two clocks for a span and for what it tells; what is more is no rounding."""
_ROUNDING_NS: Final = 1_000
_SEVERAL: Final = 2


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
    outlived: bool = False
    """It counts only where the span goes on after the client has the reply."""
    message: int = 0
    """Of `first_token`: it ends when this message of a stream left, from 1 on; 0: when the token
    was there, whichever message carried it."""


def stretches(
    span: Span, rules: Iterable[Rule], children: Mapping[str, Sequence[Span]]
) -> Iterator[Stage]:
    """What lies between the events of a span.

    Each start goes with the first end after it, but for `server_processing`: there the first
    start goes with the last end, and for `first_token`: there it goes with each. Of rules for the
    same events the first counts, and of those for one of these two the first that fits.

    Args:
        span: its own events begin a stretch; the end may be an event of a child.
        rules: those for the span that speak of events.
        children: of each span, by its id.
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
    """Whether a span has what a rule's stretch is between, whatever the times are."""

    def has(names: Iterable[str], holders: Iterable[Span]) -> bool:
        return any(event.name in names for one in holders for event in one.events)

    if rule.starts and not has(rule.starts, [span]):
        return False
    if rule.last:
        return any(one_fits(rule.last, one.name) for one in children)
    return not rule.ends or has(rule.ends, [span, *children])


def _between(span: Span, rule: Rule, children: Sequence[Span]) -> Iterator[Stage]:
    """The stretches from each start to the first end after it; the total is the longest of all."""
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
    """When the first known of these events happened, in the first holders that have it."""
    for spans in holders:
        for name in names:
            times = (event.time_ns for span in spans for event in span.events if event.name == name)
            if times_ns := sorted(times):
                return name, times_ns
    return "", []


def durations(span: Span, rules: Iterable[Rule], known: Container[str | None]) -> Iterator[Stage]:
    """What a span tells as durations, laid end to end from its start: only lengths are meant.

    That of `first_token` is from its start as well, and takes no room. What tells of the parts of
    `inference` is not asked for the whole of it.

    Args:
        span: has the attributes.
        rules: those for the span that speak of durations.
        known: components of the spans below it, which say it more exactly.
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

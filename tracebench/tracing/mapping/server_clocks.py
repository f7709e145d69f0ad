"""Correct the clocks of servers behind a server, of which only durations can be used.

Work that one process requests from another lies within the request's span. If the times contradict
this, the clocks differ, and everything that the other process recorded is moved to the middle of
that span: no duration changes, and none is lost by clipping to the entry span.
"""

from collections import defaultdict, deque
from collections.abc import Container, Sequence

from tracebench.model.record.span import Event, Span


def on_one_clock(spans: Sequence[Span]) -> Sequence[Span]:
    """The spans of a trace as the clock of its first server would have recorded them.

    Args:
        spans: of one trace, each once. Spans without a known parent are not moved, nor is what lies
            below them on the same machine's clock.
    """
    by_id = {span.span_id: span for span in spans}
    if not any(span.parent_id in by_id and _strange(span, by_id[span.parent_id]) for span in spans):
        return spans
    shifts_ns = _shifts(spans, by_id.keys())
    return [_moved(span, shifts_ns.get(span.span_id, 0)) for span in spans]


def _shifts(spans: Sequence[Span], known: Container[str]) -> dict[str, int]:
    children: defaultdict[str, list[Span]] = defaultdict(list)
    for span in spans:
        children[span.parent_id].append(span)
    to_visit = deque(span for span in spans if span.parent_id not in known)
    shifts_ns = {span.span_id: 0 for span in to_visit}
    while to_visit:
        above = to_visit.popleft()
        shift_ns = shifts_ns[above.span_id]
        for span in children.pop(above.span_id, ()):
            shifts_ns[span.span_id] = (
                shift_ns + _to_the_middle_ns(span, above) if _strange(span, above) else shift_ns
            )
            to_visit.append(span)
    return shifts_ns


def _strange(span: Span, above: Span) -> bool:
    """Whether a span from another process has a clock that cannot be its parent's."""
    if span.resource is above.resource or span.resource == above.resource:
        return False
    if span.end_ns - span.start_ns > above.end_ns - above.start_ns:
        return False  # it outlasts its parent, so nothing shows where it belongs
    if not above.start_ns <= span.start_ns <= above.end_ns:
        return True
    return above.kind == "CLIENT" and span.kind == "SERVER" and span.end_ns > above.end_ns


def _to_the_middle_ns(span: Span, above: Span) -> int:
    return (above.start_ns + above.end_ns - span.start_ns - span.end_ns) // 2


def _moved(span: Span, shift_ns: int) -> Span:
    if not shift_ns:
        return span
    return span._replace(
        start_ns=span.start_ns + shift_ns,
        end_ns=span.end_ns + shift_ns,
        events=tuple(
            Event(event.name, event.time_ns + shift_ns, event.attributes) for event in span.events
        ),
    )

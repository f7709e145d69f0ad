"""Checks on every span read from OTLP, whatever its encoding."""

from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from tracebench.model.errors import TracebenchError
from tracebench.model.record.span import Span

STATUS_ERROR: Final = 2
DEEPEST: Final = 32
"""Attribute values nested deeper than this are refused."""

_TRACE_ID_DIGITS, _SPAN_ID_DIGITS = 32, 16
EARLIEST_NS: Final = 946_684_800 * 10**9
LATEST_NS: Final = 4_102_444_800 * 10**9
"""The years 2000 and 2100: times outside them come from a clock that was never set."""
LONGEST_NS: Final = 86_400 * 10**9
"""A day, which is the longest allowed timeout: a longer span does not belong to a request."""
_NO_PARENT: Final = "0" * _SPAN_ID_DIGITS

OnBad: TypeAlias = Callable[[str], object]
"""Called with the reason for each span that is left out."""


class OtlpError(TracebenchError):
    """The whole request cannot be read."""


class BadSpanError(ValueError):
    """One span cannot be used; the others of its batch can."""


def ignore(_reason: str) -> None:
    """Do nothing: for callers that do not count left-out spans."""


def checked(span: Span) -> Span:
    """The span, without a parent if the parent's id is all zeros.

    Raises:
        BadSpanError: an id is invalid, or a time is out of range.
    """
    _check_id("trace id", span.trace_id, _TRACE_ID_DIGITS)
    _check_id("span id", span.span_id, _SPAN_ID_DIGITS)
    if fault := fault_of(span.start_ns, span.end_ns, (event.time_ns for event in span.events)):
        raise BadSpanError(f"the span {span.name[:64]!r} ({span.span_id}) {fault}")
    if span.parent_id == _NO_PARENT:
        return span._replace(parent_id="")
    if span.parent_id:
        _check_id("parent's id", span.parent_id, _SPAN_ID_DIGITS)
    return span


def fault_of(start_ns: int, end_ns: int, events_ns: Iterable[int]) -> str:
    """What is wrong with a span's times, to follow "the span"; empty if nothing is."""
    if not start_ns or not end_ns:
        return "has no end" if start_ns else "has no start"
    if end_ns < start_ns:
        return f"ends {start_ns - end_ns} ns before it begins"
    if not EARLIEST_NS <= start_ns <= end_ns <= LATEST_NS:
        return "is not between the years 2000 and 2100: is its clock set?"
    if end_ns - start_ns > LONGEST_NS:
        return "lasts longer than a day"
    if not all(EARLIEST_NS <= event_ns <= LATEST_NS for event_ns in events_ns):
        return "has an event at an invalid time"
    return ""


def _check_id(what: str, digits: str, length: int) -> None:
    if len(digits) != length or not digits.strip("0"):
        raise BadSpanError(f"the {what} is {digits[: 2 * length]!r}")

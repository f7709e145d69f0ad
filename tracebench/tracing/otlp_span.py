"""What every span that is read from OTLP must fulfil, however it was encoded."""

from collections.abc import Callable
from typing import Final, TypeAlias

from tracebench.errors import TracebenchError
from tracebench.model.span import Kind, Span

KINDS: Final[tuple[Kind, ...]] = (
    "UNSPECIFIED",
    "INTERNAL",
    "SERVER",
    "CLIENT",
    "PRODUCER",
    "CONSUMER",
)
STATUS_ERROR: Final = 2
DEEPEST: Final = 32
"""Attribute values nested deeper than this are no telemetry."""

_TRACE_ID_DIGITS, _SPAN_ID_DIGITS = 32, 16
_LATEST_NS: Final = 2**63 - 1
"""In the year 2262. What is later does not fit into a column of a result."""
_NO_PARENT: Final = "0" * _SPAN_ID_DIGITS

OnBad: TypeAlias = Callable[[str], object]
"""Told of each span that is left out, and why."""


class OtlpError(TracebenchError):
    """The whole request cannot be read."""


class BadSpanError(ValueError):
    """One span cannot be used; the others of its batch can."""


def ignore(_reason: str) -> None:
    """For readers who need no count of what was left out."""


def checked(span: Span) -> Span:
    """The span, with no parent where the parent's id is all zeros.

    Raises:
        BadSpanError: an id is not one, or a time is out of range.
    """
    _check_id("trace id", span.trace_id, _TRACE_ID_DIGITS)
    _check_id("span id", span.span_id, _SPAN_ID_DIGITS)
    for time_ns in (span.start_ns, span.end_ns, *[event.time_ns for event in span.events]):
        if not 0 <= time_ns <= _LATEST_NS:
            raise BadSpanError(f"the time is {time_ns} ns")
    if span.parent_id == _NO_PARENT:
        return span._replace(parent_id="")
    if span.parent_id:
        _check_id("parent's id", span.parent_id, _SPAN_ID_DIGITS)
    return span


def _check_id(what: str, digits: str, length: int) -> None:
    if len(digits) != length or not digits.strip("0"):
        raise BadSpanError(f"the {what} is {digits[: 2 * length]!r}")

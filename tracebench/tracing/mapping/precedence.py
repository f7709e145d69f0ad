"""How far profiles are trusted: the author's own names take precedence over a profile's guesses."""

from collections.abc import Iterable, Mapping
from enum import IntEnum

from server_middleware.vocabulary import COMPONENT_ATTRIBUTE, SERVER_PARTS
from tracebench.model.record.span import Span


class Trust(IntEnum):
    """Levels of trust in profiles, from the lowest to the highest."""

    IN_NOTHING = 0
    """`component()` names the components, so profiles add none."""
    NO_GUESSES = 1
    """Rules that only guess what the author's code does (`guess = true`) are ignored."""
    FULL = 2


def told_by(span: Span) -> Trust:
    """The trust that a span leaves to profiles, in every trace of its server."""
    if COMPONENT_ATTRIBUTE in span.attributes:
        return Trust.IN_NOTHING
    return Trust.NO_GUESSES if span.name in SERVER_PARTS else Trust.FULL


def service_of(span: Span) -> str:
    """The name of the server that recorded a span."""
    return str(span.resource.get("service.name", ""))


def by_service(spans: Iterable[Span]) -> dict[str, Trust]:
    """Server → trust in profiles, as far as its spans reduce it."""
    trust: dict[str, Trust] = {}
    for span in spans:
        if (told := told_by(span)) is not Trust.FULL:
            service = service_of(span)
            trust[service] = min(told, trust.get(service, told))
    return trust


def least(spans: Iterable[Span], known: Mapping[str, Trust]) -> Trust:
    """The trust in profiles for one trace.

    Args:
        spans: the spans of the trace.
        known: server → trust according to its spans in any trace; a request answered from a cache
            has no components, although the author has named them.
    """
    return min(
        (min(told_by(one), known.get(service_of(one), Trust.FULL)) for one in spans),
        default=Trust.FULL,
    )

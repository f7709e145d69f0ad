"""How far profiles are believed: what an author says goes before what a profile guesses."""

from collections.abc import Iterable, Mapping
from enum import IntEnum

from server_middleware.vocabulary import COMPONENT_ATTRIBUTE, SERVER_PARTS
from tracebench.model.span import Span


class Trust(IntEnum):
    """From the least to the most."""

    IN_NOTHING = 0
    """`component()` says what the components are: no profile names any beside it."""
    NO_GUESSES = 1
    """Rules that only guess what the author's code does (`guess = true`) do not count."""
    FULL = 2


def told_by(span: Span) -> Trust:
    """What a span leaves to profiles, in every trace of its server."""
    if COMPONENT_ATTRIBUTE in span.attributes:
        return Trust.IN_NOTHING
    return Trust.NO_GUESSES if span.name in SERVER_PARTS else Trust.FULL


def service_of(span: Span) -> str:
    """Which server a span is of."""
    return str(span.resource.get("service.name", ""))


def by_service(spans: Iterable[Span]) -> dict[str, Trust]:
    """Server → how far profiles are believed of it, by what its spans say themselves."""
    trust: dict[str, Trust] = {}
    for span in spans:
        if (told := told_by(span)) is not Trust.FULL:
            service = service_of(span)
            trust[service] = min(told, trust.get(service, told))
    return trust


def least(spans: Iterable[Span], known: Mapping[str, Trust]) -> Trust:
    """How far profiles are believed of a trace.

    Args:
        spans: of the trace.
        known: server → what its spans leave to profiles, in this trace or another one: a request
            that is answered from a cache has no components, but its author has named them.
    """
    return min(
        (min(told_by(one), known.get(service_of(one), Trust.FULL)) for one in spans),
        default=Trust.FULL,
    )

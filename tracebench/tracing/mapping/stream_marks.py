"""What spans say about a streamed reply: when parts of it left, and when its token was ready."""

from collections.abc import Sequence
from typing import Final

from server_middleware.vocabulary import (
    CHUNK_ATTRIBUTE,
    CHUNK_EVENT,
    LAST_CHUNK_EVENT,
    STREAM_CHUNKS,
    STREAM_WAITED_ATTRIBUTE,
)
from tracebench.model.record.exchange import HandedOver, StreamTiming
from tracebench.model.record.span import Event, Span
from tracebench.tracing.mapping.stages import Stage

_MOST: Final = 2**62
"""Limit for bytes and ns: larger values would not fit into a column."""


def tells_chunks(span: Span) -> bool:
    """Whether a server's span says when parts of a streamed reply were handed over."""
    return any(event.name == CHUNK_EVENT for event in span.events)


def of_stream(entry: Span, tokens: Sequence[Stage], began_ns: int) -> StreamTiming | None:
    """What a request's spans say about its stream.

    Args:
        entry: its first span in the server; our middleware records an event per chunk in it.
        tokens: stages of `first_token`, from any of its spans.
        began_ns: when the server's part of the request began; earlier times are ignored.

    Returns:
        None if they say nothing.
    """
    handed_over, waited_ns = [], 0
    for event in entry.events:
        if event.name == CHUNK_EVENT and (size := _size(event)) is not None:
            chunk = HandedOver(size, event.time_ns - began_ns)
            handed_over += [chunk] if 0 <= min(chunk) <= max(chunk) <= _MOST else []
        elif event.name == LAST_CHUNK_EVENT:
            waited_ns = _waited_ns(event)
    after = [(one.message, one.end_ns - began_ns) for one in tokens if one.end_ns >= began_ns]
    if not handed_over:
        handed_over = [HandedOver(*one) for one in sorted(after) if one[0]]
    first_ns = min((at_ns for message, at_ns in after if not message), default=None)
    if not handed_over and first_ns is None:
        return None
    return StreamTiming(tuple(handed_over[:STREAM_CHUNKS]), first_ns, waited_ns)


def _size(event: Event) -> int | None:
    """The size in the event, in bytes of the body or, over gRPC, in messages; None if missing."""
    sizes = (event.attributes.get(CHUNK_ATTRIBUTE + unit) for unit in ("bytes", "messages"))
    return next((one for one in sizes if type(one) is int), None)


def _waited_ns(event: Event) -> int:
    waited_ms = event.attributes.get(STREAM_WAITED_ATTRIBUTE)
    told = isinstance(waited_ms, float) and 0 <= waited_ms < _MOST / 1e6
    return round(waited_ms * 1e6) if told else 0  # type: ignore[operator] # it is a float then

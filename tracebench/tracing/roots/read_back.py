"""Client root spans, read back so that an archive of spans can be analysed again."""

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, get_args

from opentelemetry.semconv.attributes.http_attributes import HTTP_RESPONSE_STATUS_CODE

from server_middleware.vocabulary import SERVER_PROCESSING
from tracebench.model.record.exchange import (
    CameWith,
    Exchange,
    HandedOver,
    Lost,
    Outcome,
    Reply,
    Stamp,
    StreamTiming,
    Timing,
    Undecomposed,
)
from tracebench.model.record.span import Span
from tracebench.tracing.roots import attributes as names
from tracebench.tracing.roots.generated import StreamText, text_of

_CUT_OFF_NS: Final = 2_000


class Root(NamedTuple):
    """A request as described by its root span."""

    exchange: Exchange
    """The exchange, with epoch times; only the status of its reply is known."""
    mirror: Timing | Undecomposed
    stream: StreamText | None = None
    """The stream; None if the reply did not stream."""


def is_root(span: Span) -> bool:
    """Whether a span is one of ours."""
    return names.OUTCOME in span.attributes


def read(span: Span) -> Root | None:
    """Read a span written by `roots.export`; None for any other span.

    A span that only resembles one, with missing data or stamps out of order, also gives None.
    """
    if not is_root(span):
        return None
    attributes: Mapping[str, Any] = span.attributes
    try:
        return Root(_exchange(span, attributes), _mirror(attributes), text_of(attributes))
    except (KeyError, ValueError, TypeError):
        return None


def _exchange(span: Span, attributes: Mapping[str, Any]) -> Exchange:
    reached_ns = {event.name: event.time_ns for event in span.events}
    connect_ns = int(attributes[names.CONNECT_NS])
    arrived_ns = reached_ns.get(names.ARRIVED, 0)
    if attributes[names.OUTCOME] == Outcome.SUCCEEDED.value:
        ready_ns, sent_ns = (reached_ns[name] for name in (names.READY, names.SENT))
        waited_ns = ready_ns - span.start_ns
        connect_ns = _at_most(connect_ns, waited_ns)
        arrived_ns = _at_most(arrived_ns, span.end_ns)
        stamps_ns = (span.start_ns, ready_ns, sent_ns, arrived_ns, span.end_ns)
        if list(stamps_ns) != sorted(stamps_ns) or connect_ns < 0:
            raise ValueError("these are not the stamps of one request")
    status = attributes.get(HTTP_RESPONSE_STATUS_CODE, attributes.get(names.RPC_STATUS, ""))
    return Exchange(
        trace_id=span.trace_id,
        span_id=span.span_id,
        scheduled_ns=span.start_ns,
        connect_ns=connect_ns,
        ready_ns=reached_ns.get(names.READY, 0),
        sent_ns=reached_ns.get(names.SENT, 0),
        first_byte_ns=reached_ns.get(names.FIRST_BYTE, 0),
        arrived_ns=arrived_ns,
        done_ns=span.end_ns,
        write_lag_ns=int(attributes[names.WRITE_LAG_NS]),
        outcome=Outcome(attributes[names.OUTCOME]),
        stamp=Stamp(attributes[names.STAMP]),
        reply=Reply(str(status), {}, b""),
        reason=str(attributes.get(names.REASON, span.message)),
        slot=int(attributes.get(names.SLOT, 0)),
        lost=Lost(attributes[names.LOST]) if names.LOST in attributes else None,
    )


def _at_most(time_ns: int, most_ns: int) -> int:
    """The time, capped at `most_ns` if a store that truncates to microseconds made it exceed it."""
    return most_ns if most_ns < time_ns <= most_ns + _CUT_OFF_NS else time_ns


def _mirror(attributes: Mapping[str, Any]) -> Timing | Undecomposed:
    if problem := attributes.get(names.MIRROR_PROBLEM):
        return Undecomposed[problem]
    parts_ns = {
        key.removeprefix(names.MIRROR_NS): int(ns)
        for key, ns in attributes.items()
        if key.startswith(names.MIRROR_NS)
    }
    if not parts_ns:
        return Undecomposed.NO_TIMING
    total_ns = parts_ns.pop(SERVER_PROCESSING)
    scaled, left_out = bool(attributes[names.MIRROR_SCALED]), attributes.get(names.MIRROR_LEFT_OUT)
    return Timing(
        total_ns,
        parts_ns,
        "mirror",
        scaled,
        left_out=tuple(str(left_out).split(",")) if left_out else (),
        unlisted=int(attributes.get(names.MIRROR_UNLISTED, 0)),
        came_with=_came_with(attributes),
        strays=int(attributes.get(names.MIRROR_STRAYS, 0)),
        stream=_stream(attributes.get(names.MIRROR_STREAM)),
    )


def _stream(text: object) -> StreamTiming | None:
    if text is None:
        return None
    chunks, first_ns, waited_ns = json.loads(str(text))
    handed_over = tuple(HandedOver(int(size), int(at_ns)) for size, at_ns in chunks)
    return StreamTiming(handed_over, None if first_ns is None else int(first_ns), int(waited_ns))


def _came_with(attributes: Mapping[str, Any]) -> CameWith:
    usual = "head" if attributes.get(names.PROTOCOL) == "rest" else "end"
    told = attributes.get(names.MIRROR_CAME_WITH, usual)
    return next(one for one in get_args(CameWith) if one == told)

"""Requests of other clients, as described by their spans."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from tracebench.model.record.exchange import Exchange, Outcome, Reply, Stamp
from tracebench.model.record.span import Span

_STATUS: Final = (
    "http.response.status_code",
    "http.status_code",
    "rpc.response.status_code",
    "rpc.grpc.status_code",
)
"""Both new and old conventions, since instrumentations use either."""
_ADDRESS: Final = ("server.address", "net.peer.name", "http.host", "url.full", "http.url")
_PORT: Final = ("server.port", "net.peer.port")


class Target(NamedTuple):
    """The target of a client."""

    client: str
    """The `service.name` of the client."""
    protocol: str
    """`rest` or `grpc`."""
    address: str


class OtherRequests(NamedTuple):
    """The requests of one client to one target, in order of completion."""

    target: Target
    exchanges: tuple[Exchange, ...]


def other_requests(spans: Iterable[Span]) -> Iterator[OtherRequests]:
    """Find the requests that other clients made.

    A request is a CLIENT span without a parent, if at least one span of the same client, target and
    name has a SERVER span as its child. It was sent when the span began, and its reply arrived when
    the span ended; nothing more is known.
    """
    roots: defaultdict[tuple[Target, str], list[Span]] = defaultdict(list)
    served: set[tuple[str, str]] = set()
    for span in spans:
        if span.kind == "CLIENT" and not span.parent_id:
            roots[_target(span), span.name].append(span)
        elif span.kind == "SERVER" and span.parent_id:
            served.add((span.trace_id, span.parent_id))
    by_target: defaultdict[Target, list[Span]] = defaultdict(list)
    for (target, _), alike in roots.items():
        if any((span.trace_id, span.span_id) in served for span in alike):
            by_target[target] += alike
    for target, those in by_target.items():
        those.sort(key=lambda span: span.end_ns)
        yield OtherRequests(target, tuple(map(_exchange, those)))


def _target(span: Span) -> Target:
    protocol = "grpc" if any(name.startswith("rpc.") for name in span.attributes) else "rest"
    address, port = _first(span, _ADDRESS), _first(span, _PORT)
    where = f"{address}:{port}" if port and port not in address else address
    return Target(str(span.resource.get("service.name", "")), protocol, where or "unknown")


def _first(span: Span, names: Iterable[str]) -> str:
    """The first of these attributes that exists, with only printable characters."""
    text = next((str(span.attributes[name]) for name in names if name in span.attributes), "")
    return "".join(filter(str.isprintable, text))


def _exchange(span: Span) -> Exchange:
    return Exchange(
        trace_id=span.trace_id,
        span_id=span.span_id,
        scheduled_ns=span.start_ns,
        connect_ns=0,
        ready_ns=span.start_ns,
        sent_ns=span.start_ns,
        first_byte_ns=0,
        arrived_ns=span.end_ns,
        done_ns=span.end_ns,
        write_lag_ns=0,
        outcome=Outcome.FAILED if span.failed else Outcome.SUCCEEDED,
        stamp=Stamp.USER,
        reply=Reply(_first(span, _STATUS), {}, b""),
        reason=_reason(span) if span.failed else "",
    )


def _reason(span: Span) -> str:
    status = _first(span, _STATUS)
    return span.message or (f"status {status}" if status else "the client's span is an error")

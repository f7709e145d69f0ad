"""What it suggests that one component takes most of the time."""

from typing import Final

from server_middleware.vocabulary import (
    BACKLOG,
    BODY,
    CLIENT,
    CONNECT,
    INFERENCE,
    NETWORK,
    POSTPROCESSING,
    PREPROCESSING,
    QUEUE,
    SERVER_AND_NETWORK,
    SERVER_OTHER,
)
from tracebench.analysis.closure.own_components import share_of
from tracebench.analysis.findings.advice import (
    Situation,
    may_lower_concurrency,
    one_at_a_time,
    reports_parts,
    takes_spans,
)
from tracebench.analysis.findings.before_reply import LIKE_THE_FLOOR, PATH_ROUND_TRIPS
from tracebench.analysis.numbers import rounded
from tracebench.model.exchange import Undecomposed

_ROUND_TRIP_ITSELF: Final = 2.0
"""Times the least round trip: of what takes no longer, nothing is due to size."""
_MOSTLY: Final = 0.5
_SUGGESTIONS: Final = {
    BACKLOG: "requests wait for a free slot, because the server does not keep up: "
    "give it more capacity, or ask for less",
    CONNECT: "connections are made anew: let the server keep them alive",
    QUEUE: "requests wait inside the server: add model instances, or batch them",
    PREPROCESSING: "look at the transform pipeline: decoding, resizing, copies",
    INFERENCE: "try quantisation, a smaller model or an accelerator",
    POSTPROCESSING: "look at what is done with the model's output",
}


def suggestion(component: str, now: Situation) -> str:
    """What to look at, or to change, where a component takes most of the time."""
    if own := _own_parts(component, now):
        return own
    if component in _SUGGESTIONS:
        return _SUGGESTIONS[component]
    return {
        CLIENT: _client,
        NETWORK: _network,
        BODY: _body,
        SERVER_OTHER: _server_other,
        SERVER_AND_NETWORK: _server_and_network,
    }[component](now)


def _own_parts(component: str, now: Situation) -> str:
    """Where the author's own parts are most of a component, to look at those."""
    parts = now.target.parts_of.get(component, ())
    shares = {name: share_of(now.target.components, name, component) for name in parts}
    if sum(shares.values()) < _MOSTLY:
        return ""
    largest = max(shares, key=lambda name: shares[name])
    return f"{shares[largest]:.0%} of that is {largest}: look at what that component does"


def _client(now: Situation) -> str:
    lower = "lower the concurrency, or " if may_lower_concurrency(now) else ""
    return f"the tool itself is the limit: {lower}give it a core of its own"


def _body(now: Situation) -> str:
    streams = "streamed_reply" in _codes(now)
    what = "the reply streams" if streams else "the rest of the reply came long after its head"
    how = (
        "see why the server's own spans did not come" if takes_spans(now) else "--receive-otlp does"
    )
    return f"{what}, which the timing in its head cannot cover: {how}"


def _server_and_network(now: Situation) -> str:
    """Nothing tells the two apart: no timing came, or none that can be used."""
    useless = {
        reason: count
        for reason, count in now.target.undecomposed.items()
        if reason != Undecomposed.NO_TIMING.value
    }
    if useless:
        return f"{max(useless, key=useless.__getitem__)}: see what it reports with --dry-run"
    if takes_spans(now):
        return "neither the server's spans nor a timing in its replies tell more: see why below"
    return (
        "the server reports nothing of its own: two lines of middleware, or an X-Timing-Info "
        "header, would tell more"
    )


def _server_other(now: Situation) -> str:
    if reports_parts(now):
        return "look at the framework: routing, parsing, serialisation"
    return (
        "the server reports only its total: wrap its steps in component() to tell them apart; "
        "`tracebench spans` shows what it emits, and how to map that"
    )


def _network(now: Situation) -> str:
    """Compression shortens only what the path takes: floor and round trip tell whether it does."""
    if "network_after_reply_began" in _codes(now):
        return "most of it passes after the reply began: it is large, or the server's span ended"
    network, floor, tcp = now.target.components[NETWORK], now.target.floor, now.target.tcp
    if floor is not None and network.mean_ms <= LIKE_THE_FLOOR * floor.network.mean_ms:
        return "a server that does nothing has about as much (the floor): there is little to gain"
    if tcp is None:
        return (
            "it is the path, or waiting outside the server's span: the path's round trip (ping) "
            "tells which"
        )
    if network.mean_ms > PATH_ROUND_TRIPS * tcp.min_rtt_ms:
        return _outside_the_span(now)
    if network.mean_ms <= _ROUND_TRIP_ITSELF * tcp.min_rtt_ms:
        rtt = rounded(tcp.min_rtt_ms)
        return f"it is the path's round trip of {rtt} ms itself: only a nearer server has less"
    return "look at the protocol, at compression and at the size of the payload"


def _outside_the_span(now: Situation) -> str:
    where = "it is not the wire but time outside the server's span: "
    if one_at_a_time(now):
        return where + "look at what the server does around it (accepting, reading, writing)"
    return where + "give the server more workers or threads, where requests wait for one"


def _codes(now: Situation) -> set[str]:
    return {one.code for one in now.target.verdict.findings}

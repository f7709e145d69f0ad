"""One sentence about a target: where its time goes, and what that suggests."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from server_middleware.vocabulary import (
    DECODE,
    INFERENCE,
    POSTPROCESSING,
    PREFILL,
    PREPROCESSING,
    QUEUE,
    SERVER_OTHER,
)
from tracebench.analysis.advice import (
    Situation,
    may_lower_concurrency,
    one_at_a_time,
    reports_parts,
    takes_spans,
)
from tracebench.analysis.closure.own_components import share_of
from tracebench.analysis.findings.server_timing import LIKE_THE_FLOOR, PATH_ROUND_TRIPS
from tracebench.analysis.numbers import milliseconds, rounded
from tracebench.model.components import (
    BACKLOG,
    BODY,
    CLIENT,
    CONNECT,
    END_TO_END,
    NETWORK,
    SERVER_AND_NETWORK,
)
from tracebench.model.exchange import Undecomposed
from tracebench.model.result import Statistics, StreamResult, TailPart, TargetResult

# What it suggests that one component takes most of the time.

_ROUND_TRIP_ITSELF: Final = 2.0
"""Times the least round trip: of what takes no longer, nothing is due to size."""
_MOSTLY: Final = 0.5
_SUGGESTIONS: Final = {
    BACKLOG: "requests wait for a free slot, because the server does not keep up: "
    "give it more capacity, or send less",
    CONNECT: "connections are opened again and again: let the server keep them alive",
    QUEUE: "requests wait inside the server: add model instances, or batch them",
    PREPROCESSING: "look at the transform pipeline: decoding, resizing, copies",
    INFERENCE: "try quantisation, a smaller model or an accelerator",
    PREFILL: "send shorter prompts, let the server cache what they share, or try an accelerator",
    DECODE: "try quantisation, speculative decoding or a smaller model",
    POSTPROCESSING: "look at what happens to the model's output",
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
    """Where parts by names are most of a component, what to do about the largest of them."""
    parts = now.target.parts_of.get(component, ())
    shares = {name: share_of(now.target.components, name, component) for name in parts}
    if sum(shares.values()) < _MOSTLY:
        return ""
    largest = max(shares, key=lambda name: shares[name])
    advice = _SUGGESTIONS.get(largest, "look at what that component does")
    return f"{shares[largest]:.0%} of that is {largest}: {advice}"


def _client(now: Situation) -> str:
    lower = "lower the concurrency, or " if may_lower_concurrency(now) else ""
    return f"the tool itself is the limit: {lower}give it a core of its own"


def _body(now: Situation) -> str:
    streams = "streamed_reply" in _codes(now)
    what = "the reply streams" if streams else "the rest of the reply arrived long after its head"
    how = (
        "find out why the server's spans are missing" if takes_spans(now) else "--receive-otlp can"
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
        return f"{max(useless, key=useless.__getitem__)}: look at what it reports with --dry-run"
    if takes_spans(now):
        return "neither the server's spans nor its replies reveal more: the findings below say why"
    return (
        "the server reports no timings: two lines of middleware, or an X-Timing-Info header, "
        "would reveal more"
    )


def _server_other(now: Situation) -> str:
    if reports_parts(now):
        return "look at the framework: routing, parsing, serialisation"
    return (
        "the server reports only its total: wrap its steps in component() to tell them apart; "
        "`tracebench spans` shows what it emits and how to map it"
    )


def _network(now: Situation) -> str:
    """Compression shortens only what the path takes: floor and round trip tell whether it does."""
    if "network_after_reply_began" in _codes(now):
        return (
            "most of it passes after the reply began: it is large, or the server's span ends early"
        )
    network, floor, tcp = now.target.components[NETWORK], now.target.floor, now.target.tcp
    if floor is not None and network.mean_ms <= LIKE_THE_FLOOR * floor.network.mean_ms:
        return "a server that does nothing takes about as long (the floor): there is little to gain"
    if tcp is None:
        return (
            "it is either the path or waiting outside the server's span: the path's round trip "
            "(ping) tells which"
        )
    if network.mean_ms > PATH_ROUND_TRIPS * tcp.min_rtt_ms:
        return _outside_the_span(now)
    if network.mean_ms <= _ROUND_TRIP_ITSELF * tcp.min_rtt_ms:
        rtt = rounded(tcp.min_rtt_ms)
        return f"it is the round trip of the path ({rtt} ms): only a nearer server can improve it"
    return "look at the protocol, compression and payload size"


def _outside_the_span(now: Situation) -> str:
    where = "it is not the wire but time outside the server's span: "
    if one_at_a_time(now):
        return where + "look at what the server does around it (accepting, reading, writing)"
    return where + "give the server more workers or threads, if requests wait for one"


def _codes(now: Situation) -> set[str]:
    return {one.code for one in now.target.verdict.findings}


# One sentence about a target: where its time goes, and what that suggests.

_NOTHING: Final[Mapping[str, Any]] = {}


def was_interrupted(target: TargetResult) -> bool:
    """Whether less was measured than was asked for, because the user ended the run."""
    return any(one.code == "interrupted" for one in target.verdict.findings)


def interpret(
    target: TargetResult,
    plan: Mapping[str, Any] = _NOTHING,
    environment: Mapping[str, Any] = _NOTHING,
) -> str:
    """Say in one sentence which component takes the most of the mean latency, and what to do.

    Args:
        target: what was found.
        plan: what was asked for, as the result file tells it.
        environment: where it was measured.

    Returns:
        Such as `inference takes 72% of the mean latency (12.3 of 17.1 ms): try quantisation, a
        smaller model or an accelerator`, without a full stop. Numbers that are not valid suggest
        nothing.
    """
    if not target.share:
        return "no request succeeded, so there is no latency to split: look at the errors"
    most = max(target.share, key=lambda name: target.share[name])
    whole_ms = target.components[END_TO_END].mean_ms
    share = target.share[most]
    fact = (
        f"{most.replace('_', ' ')} takes {share:.0%} of the mean latency "
        f"({rounded(share * whole_ms)} of {rounded(whole_ms)} ms)"
    )
    if not target.verdict.valid:
        return fact
    return f"{fact}: {suggestion(most, Situation(plan, environment, target))}"


_TAILS: Final = {"slowest_1_percent": "1 %", "slowest_5_percent": "5 %"}


def interpret_tail(target: TargetResult) -> str:
    """Say in one sentence what the slowest requests spend their extra time on.

    Returns:
        Such as `of the 41 ms by which the slowest 1 % exceed the median request, 82 % is
        queue (95 % interval 78% … 86%)`, of the smallest share that there is; empty where there is
        none.
    """
    name = next((name for name in _TAILS if name in target.tail), None)
    if name is None:
        return ""
    tail = target.tail[name]
    most = max(tail.components, key=lambda component: tail.components[component].share)
    return (
        f"of the {rounded(tail.excess_ms)} ms by which the slowest {_TAILS[name]} exceed the "
        f"median request, {_part(most, tail.components[most])}"
    )


def _part(component: str, part: TailPart) -> str:
    """What one component has of the excess, and how surely."""
    if part.ci95 is not None and part.ci95[0] <= 0:
        return "no component clearly accounts for it: it varies too much over the run"
    said = f"{100 * part.share:.0f} % is {component.replace('_', ' ')}"
    if part.ci95 is None:
        return f"{said}, in a single stretch of the run"
    low, high = part.ci95
    if part.share > 1:
        return f"{said} (95 % interval {low:.0%} … {high:.0%}), while other components take less"
    return f"{said} (95 % interval {low:.0%} … {min(high, 1):.0%})"


# Where the first token of a stream takes its time, and each one after it.


def interpret_stream(stream: StreamResult) -> Iterator[str]:
    """A sentence for the first token, and one for those after it."""
    if stream.ttft is not None:
        yield f"The first token takes {_of_most(stream.ttft, stream.parts.get('ttft', {}))}."
    if stream.tpot is not None and stream.generation is not None:
        most = ""
        if DECODE in (parts := stream.parts.get("generation", {})):
            share = parts[DECODE].mean_ms / stream.generation.mean_ms
            most = f"; {share:.0%} of that time is the server's decoding"
        yield f"Each token after it takes {milliseconds(stream.tpot.p50_ms)} ms (median){most}."


def _of_most(whole: Statistics, parts: Mapping[str, Statistics]) -> str:
    told = f"{milliseconds(whole.p50_ms)} ms (median)"
    if not parts or not whole.mean_ms:
        return told
    largest = max(parts, key=lambda name: parts[name].mean_ms)
    return f"{told}; {parts[largest].mean_ms / whole.mean_ms:.0%} of it is {largest}"

"""Interpretation of a result: one sentence on where the time goes, one on what to do."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

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
from tracebench.analysis.findings.server.server_timing import LIKE_THE_FLOOR, PATH_ROUND_TRIPS
from tracebench.analysis.numbers import percent, rounded
from tracebench.analysis.verdict import usable_for
from tracebench.model.components import (
    BACKLOG,
    BODY,
    CLIENT,
    CONNECT,
    END_TO_END,
    NETWORK,
    SERVER_AND_NETWORK,
)
from tracebench.model.record.exchange import Undecomposed
from tracebench.model.results.result import TailPart, TargetResult
from tracebench.model.results.stream_result import StreamResult

# What to do if one component takes most of the time.

_ROUND_TRIP_ITSELF: Final = 2.0
"""Multiple of the least round trip; a network time within it does not depend on size."""
_MOSTLY: Final = 0.5
_SUGGESTIONS: Final = {
    BACKLOG: "requests wait for a free slot, as the server does not keep up: send less",
    CONNECT: "connections are opened again and again: let the server keep them alive",
    QUEUE: "requests wait inside the server: add model instances, or batch them",
    PREPROCESSING: "look at the transform pipeline: decoding, resizing, copies",
    INFERENCE: "try quantisation, a smaller model or an accelerator",
    PREFILL: "send shorter prompts, or let the server cache what they share",
    DECODE: "try quantisation, speculative decoding or a smaller model",
    POSTPROCESSING: "look at what happens to the model's output",
}


def suggestion(component: str, now: Situation) -> str:
    """What to look at or change if this component takes most of the time."""
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
    """Advice on the largest named part of a component, if named parts are most of it."""
    parts = now.target.parts_of.get(component, ())
    shares = {name: share_of(now.target.components, name, component) for name in parts}
    if sum(shares.values()) < _MOSTLY:
        return ""
    largest = max(shares, key=lambda name: shares[name])
    advice = _SUGGESTIONS.get(largest, "look at what that component does")
    return f"{percent(shares[largest])} of that is {largest}: {advice}"


def _client(now: Situation) -> str:
    lower = "lower the concurrency, or " if may_lower_concurrency(now) else ""
    return f"the tool is the limit: {lower}give it a core of its own"


def _body(now: Situation) -> str:
    streams = "streamed_reply" in _codes(now)
    what = "the reply streams" if streams else "the rest comes late"
    how = "see why spans are missing" if takes_spans(now) else "--receive-otlp can"
    return f"{what}, which the server's timing does not cover: {how}"


def _server_and_network(now: Situation) -> str:
    """Advice if server and network cannot be separated: no usable timing came."""
    useless = {
        reason: count
        for reason, count in now.target.undecomposed.items()
        if reason not in (Undecomposed.NO_TIMING.value, Undecomposed.NOT_TRACED.value)
    }
    if useless:
        return f"{max(useless, key=useless.__getitem__)}: see --dry-run"
    if takes_spans(now):
        return "neither the server's spans nor its replies reveal more: the findings say why"
    return "the server reports no timings: two lines tell more (docs/middleware.md)"


def _server_other(now: Situation) -> str:
    if reports_parts(now):
        return "look at the framework: routing, parsing, serialisation"
    return "the server reports only its total: wrap its steps in component()"


def _network(now: Situation) -> str:
    """Advise compression only if floor and round trip show that the path itself takes the time."""
    if "network_after_reply_began" in _codes(now):
        return "most of it is after the reply began: a large reply, or a span too short"
    network, floor, tcp = now.target.components[NETWORK], now.target.floor, now.target.tcp
    if floor is not None and network.mean_ms <= LIKE_THE_FLOOR * floor.network.mean_ms:
        return "a server that does nothing takes about as long: there is little to gain"
    if tcp is None:
        return "it is the path, or waiting outside the server's span: ping tells which"
    if network.mean_ms > PATH_ROUND_TRIPS * tcp.min_rtt_ms:
        return _outside_the_span(now)
    if network.mean_ms <= _ROUND_TRIP_ITSELF * tcp.min_rtt_ms:
        rtt = rounded(tcp.min_rtt_ms)
        return f"it is the round trip of the path ({rtt} ms): only a nearer server helps"
    return "look at the protocol, compression and payload size"


def _outside_the_span(now: Situation) -> str:
    if one_at_a_time(now):
        return "not the wire, but what the server does around its span: reading, writing"
    return "not the wire, but waiting outside the server's span: more workers or threads"


def _codes(now: Situation) -> set[str]:
    return {one.code for one in now.target.verdict.findings}


# The two sentences.

_NOTHING: Final[Mapping[str, Any]] = {}
_COMMON: Final = 0.5
"""A component that a smaller share of requests has is left out for the median."""


class Reading(NamedTuple):
    """The interpretation of a result, in two sentences without full stops."""

    fact: str
    """Where the time goes; empty if the numbers do not allow a statement."""
    suggestion: str
    """What to do; empty if there is nothing to suggest or no basis for it."""


def was_interrupted(target: TargetResult) -> bool:
    """Whether the user ended the run early."""
    return any(one.code == "interrupted" for one in target.verdict.findings)


def interpret(
    target: TargetResult,
    plan: Mapping[str, Any] = _NOTHING,
    environment: Mapping[str, Any] = _NOTHING,
) -> Reading:
    """Say which component takes most of the time, and what to do about it.

    Args:
        target: the result of one target.
        plan: the plan, as in the result file.
        environment: the environment, as in the result file.

    Returns:
        Such as `inference is 72 % of the mean: 12.3 of 17.1 ms` and `try quantisation, a smaller
        model or an accelerator`. It speaks of the mean, whose parts add up, or else of the median;
        if neither is known well enough, it says so and suggests nothing. Both are empty if the
        numbers are not valid.
    """
    if not target.share or not target.verdict.valid:
        return Reading("", "")
    statistic = allowed(target)
    parts_ms, whole_ms = _parts(target, statistic or "p50_ms")
    most = max(parts_ms, key=lambda name: parts_ms[name])
    name, of = most.replace("_", " "), f"{rounded(parts_ms[most])} of {rounded(whole_ms)} ms"
    if statistic is None:
        return Reading(f"so far {name} takes the most, about {of}: measure more to be sure", "")
    share = percent(parts_ms[most] / whole_ms if whole_ms else 0.0)
    what = "mean" if statistic == "mean_ms" else "median"
    situation = Situation(plan, environment, target)
    return Reading(f"{name} is {share} of the {what}: {of}", suggestion(most, situation))


def allowed(target: TargetResult) -> str | None:
    """The statistic to speak of, as `mean_ms`; None if neither mean nor median is well known."""
    known = target.verdict.usable_for
    known = usable_for(target.verdict, target.latency) if known is None else known
    return next((f"{name}_ms" for name in ("mean", "p50") if name in known), None)


def _parts(target: TargetResult, statistic: str) -> tuple[dict[str, float], float]:
    """A statistic of each leaf component, and of the whole; only means add up."""
    whole = target.components[END_TO_END]
    if statistic == "mean_ms":
        parts_ms = {name: share * whole.mean_ms for name, share in target.share.items()}
        return parts_ms, whole.mean_ms
    common = [
        name
        for name in target.share
        if name in target.components and target.components[name].count > _COMMON * whole.count
    ]
    parts_ms = {name: getattr(target.components[name], statistic) for name in common}
    return parts_ms or dict.fromkeys(target.share, 0.0), getattr(whole, statistic)


_TAILS: Final = {"slowest_1_percent": "1 %", "slowest_5_percent": "5 %"}


def interpret_tail(target: TargetResult) -> str:
    """Say in one sentence what the slowest requests spend their extra time on.

    Returns:
        Such as `the slowest 1 % take 41 ms longer than the median request, 82 % of that in queue
        (95 % interval 78 … 86 %)`, for the smallest share available; empty if there is none.
    """
    name = next((name for name in _TAILS if name in target.tail), None)
    if name is None:
        return ""
    tail = target.tail[name]
    most = max(tail.components, key=lambda component: tail.components[component].share)
    return (
        f"the slowest {_TAILS[name]} take {rounded(tail.excess_ms)} ms longer than the median "
        f"request, {_part(most, tail.components[most])}"
    )


def tail_in_short(target: TargetResult) -> str:
    """The tail in one short line; empty if it is uncertain or the verdict rules out the tail."""
    usable = target.verdict.usable_for or ()
    tail = target.tail.get("slowest_1_percent")
    if tail is None or "p99" not in usable:
        return ""
    most = max(tail.components, key=lambda component: tail.components[component].share)
    part = tail.components[most]
    if part.ci95 is None or part.ci95[0] <= 0:
        return ""
    said = f"{percent(min(part.share, 1))} of that in {most.replace('_', ' ')}"
    return f"the slowest 1 % take {rounded(tail.excess_ms)} ms longer, {said}"


def _part(component: str, part: TailPart) -> str:
    """A component's share of the excess, with its interval."""
    if part.ci95 is not None and part.ci95[0] <= 0:
        return "which no component clearly accounts for: it varies too much"
    said = f"{percent(part.share)} of that in {component.replace('_', ' ')}"
    if part.ci95 is None:
        return f"{said}, in a single stretch of the run"
    low, high = part.ci95
    if part.share > 1:
        interval = f"{100 * low:.0f} … {100 * high:.0f} %"
        return f"{said} (95 % interval {interval}), while other components take less"
    return f"{said} (95 % interval {100 * low:.0f} … {100 * min(high, 1):.0f} %)"


# Where the time to the first token goes, and the time of each later token.


def interpret_stream(stream: StreamResult) -> str:
    """Say in one sentence when the first token comes, and the later ones; empty if none came.

    Returns:
        Such as `first token after 50.2 ms (60 % prefill), then 10 ms a token`, in medians.
    """
    if stream.ttft is None:
        return ""
    parts, said = stream.parts.get("ttft", {}), f"{rounded(stream.ttft.p50_ms)} ms"
    if parts and stream.ttft.mean_ms:
        largest = max(parts, key=lambda name: parts[name].mean_ms)
        whole_ms = sum(one.mean_ms for one in parts.values())  # without those that were hung up
        share = percent(parts[largest].mean_ms / whole_ms) if whole_ms else "0 %"
        said = f"{said} ({share} {largest.replace('_', ' ')})"
    if stream.tpot is None:
        return f"first token after {said}"
    return f"first token after {said}, then {rounded(stream.tpot.p50_ms)} ms a token"

"""One sentence about a target: where its time goes, and what that suggests."""

from typing import Final

from tracebench.analysis.own_parts import share_of
from tracebench.model.result import TailPart, TargetResult
from tracebench.numbers import rounded
from tracebench.vocabulary import (
    BACKLOG,
    CLIENT,
    CONNECT,
    END_TO_END,
    INFERENCE,
    NETWORK,
    POSTPROCESSING,
    PREPROCESSING,
    QUEUE,
    REPORTED_PARTS,
    SERVER_AND_NETWORK,
    SERVER_OTHER,
)

_WAITING: Final = "waiting_before_server_span"
_TOTAL_ALONE: Final = "total_alone"
_MOSTLY: Final = 0.5
_SUGGESTIONS: Final = {
    BACKLOG: "requests wait for a free slot, because the server does not keep up: "
    "give it more capacity, or ask for less",
    CONNECT: "connections are made anew: let the server keep them alive",
    CLIENT: "the tool itself is the limit: lower the concurrency, or give it a core of its own",
    NETWORK: "look at the protocol, at compression and at the size of the payload",
    QUEUE: "requests wait inside the server: add model instances, or batch them",
    PREPROCESSING: "look at the transform pipeline: decoding, resizing, copies",
    INFERENCE: "try quantisation, a smaller model or an accelerator",
    POSTPROCESSING: "look at what is done with the model's output",
    SERVER_OTHER: "look at the framework: routing, parsing, serialisation",
    SERVER_AND_NETWORK: "the server reports nothing of its own: two lines of middleware, or an "
    "X-Timing-Info header, would tell more",
    _WAITING: "it is not the wire but waiting outside the server's span: "
    "give the server more workers or threads",
    _TOTAL_ALONE: "the server reports only its total: wrap its steps in component() to tell them "
    "apart; `tracebench spans` shows what it emits, and how to map that",
}


def reading(target: TargetResult) -> str:
    """Say in one sentence which component takes the most of the mean latency, and what to do.

    Returns:
        Such as `inference takes 72% of the mean latency (12.3 of 17.1 ms): try quantisation, a
        smaller model or an accelerator`, without a full stop.
    """
    if not target.share:
        return "no request succeeded, so there is no time to divide: look at the errors"
    most = max(target.share, key=lambda name: target.share[name])
    whole_ms = target.components[END_TO_END].mean_ms
    share = target.share[most]
    return (
        f"{most.replace('_', ' ')} takes {share:.0%} of the mean latency "
        f"({rounded(share * whole_ms)} of {rounded(whole_ms)} ms): "
        f"{_suggestion(most, target)}"
    )


_TAILS: Final = {"slowest_1_percent": "1 %", "slowest_5_percent": "5 %"}


def tail_reading(target: TargetResult) -> str:
    """Say in one sentence what the slowest requests spend their extra time on.

    Returns:
        Such as `of the 41 ms that the slowest 1 % take longer than the median request, 82 % is
        queue (95 % interval 78% … 86%)`, of the smallest share that there is; empty where there is
        none.
    """
    name = next((name for name in _TAILS if name in target.tail), None)
    if name is None:
        return ""
    tail = target.tail[name]
    most = max(tail.components, key=lambda component: tail.components[component].share)
    return (
        f"of the {rounded(tail.excess_ms)} ms that the slowest {_TAILS[name]} take longer than the "
        f"median request, {_part(most, tail.components[most])}"
    )


def _part(component: str, part: TailPart) -> str:
    """What one component has of the excess, and how surely."""
    if part.ci95 is not None and part.ci95[0] <= 0:
        return "no component surely has a part: it differs too much over the run"
    said = f"{100 * part.share:.0f} % is {component.replace('_', ' ')}"
    if part.ci95 is None:
        return f"{said}, in one stretch of the run"
    low, high = part.ci95
    if part.share > 1:
        return f"{said} (95 % interval {low:.0%} … {high:.0%}), as other components take less"
    return f"{said} (95 % interval {low:.0%} … {min(high, 1):.0%})"


def _cause(component: str, target: TargetResult) -> str:
    """What is behind a large component, where more is known of it than its name."""
    if component == NETWORK and any(one.code == _WAITING for one in target.verdict.findings):
        return _WAITING
    named = target.share.keys() & set(REPORTED_PARTS) or target.parts_of
    if component == SERVER_OTHER and not named:
        return _TOTAL_ALONE
    return component


def _suggestion(component: str, target: TargetResult) -> str:
    """What to do; where the author's own parts are most of a component, to look at those."""
    parts = target.parts_of.get(component, ())
    shares = {name: share_of(target.components, name, component) for name in parts}
    if sum(shares.values()) < _MOSTLY:
        return _SUGGESTIONS[_cause(component, target)]
    largest = max(shares, key=lambda name: shares[name])
    return f"{shares[largest]:.0%} of that is {largest}: look at what that component does"

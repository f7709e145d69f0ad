"""What saturates first as the load grows: detection, and a sentence about it."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Final

from server_middleware.vocabulary import (
    INFERENCE,
    POSTPROCESSING,
    PREPROCESSING,
    QUEUE,
    SERVER_OTHER,
)
from tracebench.analysis.numbers import percent, rounded
from tracebench.model.components import BACKLOG, BODY, CLIENT, CONNECT, NETWORK, SERVER_AND_NETWORK
from tracebench.model.results.result import TargetResult, TcpInfo
from tracebench.model.results.sweep import Bottleneck, Cause, LoadKind, Point, Scaling

# What saturates first: the component that accounts for most of the growth in latency.

COMPUTE: Final = (PREPROCESSING, INFERENCE, POSTPROCESSING, SERVER_OTHER)
"""Components in which a server works rather than waits."""
_GROUPS: Final = (
    (CLIENT,),
    (CONNECT, NETWORK),
    (BODY,),
    (QUEUE,),
    COMPUTE,
    (SERVER_AND_NETWORK,),
)
"""Components that grow for the same reason."""
_UNMOVED: Final = 0.25
"""Growth, as a fraction of the mean latency at the base, below which a server is not saturated."""
_DELAYED_ACK_MS: Final = 40.0
"""How long Linux delays an acknowledgement, waiting for a reply to carry it. The smoothed round
trip may grow by as much if the server is slow and the path is not."""


def bottleneck(
    base: Point, past: Point, tcp: TcpInfo | None, tcp_past: TcpInfo | None
) -> Bottleneck | None:
    """Find what saturates first.

    Args:
        base: the lowest load.
        past: the lowest load past the knee.
        tcp: the kernel's figures for the path at the base.
        tcp_past: the kernel's figures for the path past the knee.

    Returns:
        The bottleneck; None if no component takes longer than at the base.
    """
    growth_ms = {name: ms - base.mean_ms.get(name, 0.0) for name, ms in past.mean_ms.items()}
    groups = [[name for name in group if name in growth_ms] for group in _GROUPS]
    most = max(groups, key=lambda group: sum(growth_ms[name] for name in group))
    component = max(most, key=lambda name: growth_ms[name], default="")
    grown_ms = sum(growth_ms[name] for name in most)
    if growth_ms.get(BACKLOG, 0.0) > grown_ms and grown_ms < _UNMOVED * sum(base.mean_ms.values()):
        component = BACKLOG  # otherwise backlog only results from the real bottleneck
    if growth_ms.get(component, 0.0) <= 0:
        return None
    cause = _cause(component, growth_ms[component], tcp, tcp_past)
    return Bottleneck(
        component=component,
        cause=cause,
        load=past.load,
        growth_ms=growth_ms[component],
        at_a_time=_at_a_time(cause, base, past),
    )


def _cause(component: str, growth_ms: float, tcp: TcpInfo | None, past: TcpInfo | None) -> Cause:
    if component == CLIENT:
        return "client"
    if component == BACKLOG:
        return "cap"
    if component == QUEUE:
        return "queue"
    if component in COMPUTE:
        return "compute"
    if tcp is not None and past is not None and 2 * _path_growth_ms(tcp, past) > growth_ms:
        return "path"
    if component == BODY:
        return "body"
    return "unknown" if component == SERVER_AND_NETWORK else "waiting"


def _path_growth_ms(tcp: TcpInfo, past: TcpInfo) -> float:
    """Growth of the path's own round trip in ms, without the server's share in it."""
    return max(past.min_rtt_ms - tcp.min_rtt_ms, past.rtt_ms - tcp.rtt_ms - _DELAYED_ACK_MS)


def _at_a_time(cause: Cause, base: Point, past: Point) -> float | None:
    """How many requests are processed at a time.

    If requests wait: those that do not, by Little's law over the server's components except its
    queue. If their work takes longer because they share cores: their undisturbed work times the
    throughput, which is the number of cores' worth available (utilisation law).
    """
    work = {name: past.in_flight[name] for name in COMPUTE if name in past.in_flight}
    if not work or cause in ("client", "cap", "path", "body"):
        return None
    if cause == "compute":
        return past.throughput_rps * sum(base.mean_ms.get(name, 0.0) for name in work) / 1e3
    return sum(work.values())


# The sentence on what saturates first, and what to do about it.

_MOST_OF_IT: Final = 0.6
"""Share of the work in progress from which on one component is what the requests wait for."""
_ALIKE: Final = 0.4
"""Share of the greatest growth from which on another component is named as well."""
_ABOUT_ONE: Final = (0.75, 1.25)
_OF_THE_MODEL: Final = ", and for the model batching, quantisation or an accelerator"
_SUGGESTIONS: Final = {
    "client": "this says nothing about the server: lower the load, or give tracebench its own "
    "core (taskset)",
    "cap": "this many requests in flight do not saturate the server: allow more",
    "path": "look at bandwidth, compression and payload size",
    "waiting": "give it more workers or threads (while it has idle cores), or replicas",
    "queue": "add model instances (or the threads that serve them), replicas, or batching",
    "compute": "more threads or workers on the same cores will not help; less work, more cores, or "
    "replicas on other machines may",
    "body": "the server's timing came with the head of the reply: only spans that last as long as "
    "the reply tell whether the server or the path is slow",
    "unknown": "two lines of middleware, or an X-Timing-Info header, would tell whether requests "
    "wait or are being worked on",
}


def sentence(
    kind: LoadKind,
    scaling: Scaling,
    usable: Mapping[float, TargetResult],
    measured: Mapping[float, TargetResult],
) -> str:
    """Say what saturates first, on what evidence, and what to do; no full stop.

    Args:
        kind: whether a load is a concurrency or an arrival rate.
        scaling: the scaling, complete except for this sentence.
        usable: load → result, for the results that count.
        measured: load → result, for all results.
    """
    points = [one for one in scaling.points if one.load in usable]
    if len(points) < 2:
        if len(usable) == len(scaling.points):
            return "one step cannot show scaling: give two loads or more"
        return (
            "fewer than two steps are usable, so there is no scaling to report: look at the errors"
        )
    found, base = scaling.bottleneck, points[0]
    if found is None:
        return _exploded(kind, scaling.points, measured) or _not_yet(kind, points)
    past = next(one for one in points if one.load == found.load)
    most = max(one.throughput_rps for one in points)
    return (
        f"{_subject(found, base, past)} saturates first, at {rounded(most)}/s: "
        f"{_evidence(kind, found, base, past)}; {_suggestion(found, base, past)}"
    )


_EXPLODED: Final = 5.0
"""Multiple of the latency at the lowest load from which on latency is the problem, whatever
throughput does."""
_TOLD: Final = ("p99_ms", "p95_ms", "p50_ms")
"""Percentiles to check, in this order; the first that has exploded is named."""


def _exploded(
    kind: LoadKind, points: Sequence[Point], measured: Mapping[float, TargetResult]
) -> str | None:
    """The sentence if throughput still grows, but latency shows that requests wait; else None.

    Invalid steps count here, since their latency may be what makes them invalid.
    """
    base, most = measured[points[0].load].latency, max(one.throughput_rps for one in points)
    for point, name in product(points[1:], _TOLD):
        latency = measured[point.load].latency
        if base is None or latency is None:
            continue
        before_ms, after_ms = getattr(base, name), getattr(latency, name)
        if not 0 < _EXPLODED * before_ms < after_ms:
            continue
        return (
            f"latency grows long before throughput ends: {name.removesuffix('_ms')} "
            f"{rounded(before_ms)} → {rounded(after_ms)} ms from {_load(kind, points[0].load)} to "
            f"{point.load:g}{_longest(points[0], point)}, while throughput still grows, to "
            f"{rounded(most)}/s; loads between these show where it begins, and --slo up to which "
            "one it is good enough"
        )
    return None


def _longest(base: Point, point: Point) -> str:
    grown = {one: ms - base.mean_ms.get(one, 0.0) for one, ms in point.mean_ms.items()}
    if not grown:
        return ""
    longest = max(grown, key=lambda one: grown[one])
    return f", most of it {_name(longest)} {_from_to(longest, base, point)}"


def _not_yet(kind: LoadKind, points: Sequence[Point]) -> str:
    before, last = points[-2:]
    gain = last.throughput_rps / before.throughput_rps - 1
    grown = {name: ms - points[0].mean_ms.get(name, 0.0) for name, ms in last.mean_ms.items()}
    most = max(grown, key=lambda name: grown[name])
    longer = f", and {_name(most)} grew most {_from_to(most, points[0], last)}"
    return (
        f"nothing saturates up to {_load(kind, last.load)}: throughput still grew by "
        f"{percent(gain)} in the last step, to {rounded(last.throughput_rps)}/s"
        f"{longer if grown[most] > 0 else ''}; try higher loads"
    )


def _suggestion(found: Bottleneck, base: Point, past: Point) -> str:
    of_the_model = found.cause == "compute" and INFERENCE in _stretched(base, past)
    return _SUGGESTIONS[found.cause] + (_OF_THE_MODEL if of_the_model else "")


def _subject(found: Bottleneck, base: Point, past: Point) -> str:
    if found.cause == "client":
        return "the tool itself"
    if found.cause == "cap":
        return "the limit of requests in flight (--concurrency)"
    if found.cause == "path":
        return "the path to the server"
    if found.cause == "body":
        return "sending the rest of each reply"
    if found.cause == "compute":
        alone = len(_stretched(base, past)) == 1
        return _name(found.component) if alone else "the server's compute"
    busiest = _busiest(past)
    if found.cause == "queue" and busiest is not None:
        return busiest
    if found.cause == "unknown":
        return "the server"
    return "the server's pool of workers (or cores)"


def _busiest(past: Point) -> str | None:
    """The component that holds most of the requests that are not waiting; None if none does."""
    work = {name: past.in_flight.get(name, 0.0) for name in COMPUTE}
    most = max(work, key=lambda name: work[name])
    return most if work[most] >= _MOST_OF_IT * sum(work.values()) else None


def _evidence(kind: LoadKind, found: Bottleneck, base: Point, past: Point) -> str:
    loads = f"from {_load(kind, base.load)} to {past.load:g}"
    if found.cause == "compute":
        one = None if found.at_a_time is None else rounded(found.at_a_time, 2)
        alone = "" if one is None else f", the work of {one} at a time"
        each = " and ".join(_longer(name, base, past) for name in _stretched(base, past))
        return f"{loads} {each}{alone}"
    grows = f"{loads} {_name(found.component)} grows {_from_to(found.component, base, past)}"
    if found.cause == "waiting":
        grows = f"{grows}: waiting before the server's span"
    if found.at_a_time is None or found.cause == "unknown":
        return grows
    busiest = _busiest(past) if found.cause == "queue" else None
    if busiest is None:
        return f"{grows}, while it works on {rounded(found.at_a_time, 2)} at a time"
    number = past.in_flight[busiest]
    one = ": one model instance" if _ABOUT_ONE[0] <= number <= _ABOUT_ONE[1] else ""
    return f"{grows}, while {_name(busiest)} has {rounded(number, 2)} at a time{one}"


def _stretched(base: Point, past: Point) -> list[str]:
    """The components that compete for the scarce resource, by descending growth."""
    growth_ms = {n: past.mean_ms.get(n, 0.0) - base.mean_ms.get(n, 0.0) for n in COMPUTE}
    least_ms = _ALIKE * max(growth_ms.values())
    return sorted((n for n in COMPUTE if growth_ms[n] >= least_ms), key=lambda n: -growth_ms[n])


def _longer(name: str, base: Point, past: Point) -> str:
    if name in past.growth:
        return f"{_name(name)} takes {rounded(past.growth[name], 2)} times as long"
    return f"{_name(name)} grows {_from_to(name, base, past)}"


def _load(kind: LoadKind, load: float) -> str:
    return f"{load:g} in flight" if kind == "concurrency" else f"{load:g}/s"


def _name(component: str) -> str:
    return component.replace("_", " ")


def _from_to(component: str, base: Point, past: Point) -> str:
    before_ms, after_ms = (one.mean_ms.get(component, 0.0) for one in (base, past))
    return f"({rounded(before_ms)} → {rounded(after_ms)} ms)"

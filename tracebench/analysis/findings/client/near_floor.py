"""Findings from comparison with the floor (a server that does nothing) and client libraries."""

from dataclasses import replace
from typing import Final

from tracebench.analysis.advice import Advice, given, unless
from tracebench.analysis.closure.decomposition import client_view
from tracebench.analysis.findings.finding import (
    INFO,
    WARNING,
    FindingKind,
    state,
    weigh,
    with_findings,
)
from tracebench.analysis.statistics.distribution import describe
from tracebench.model.components import CLIENT, END_TO_END, NETWORK, SERVER_AND_NETWORK
from tracebench.model.measurement import Measurement
from tracebench.model.results.result import Finding, Floor, TargetResult


def describe_floor(load: Measurement, *, in_the_clear: bool) -> Floor:
    """Describe the measurement of the null server.

    Args:
        load: the measurement, with at least one success.
        in_the_clear: the target uses TLS, but the null server was measured without.
    """
    columns = client_view(load.requests)
    count = len(columns[END_TO_END])
    return Floor(
        end_to_end=describe(columns[END_TO_END]),
        network=describe(columns[SERVER_AND_NETWORK]),
        client=describe(columns[CLIENT]),
        throughput_rps=count / load.duration_s if load.duration_s else 0.0,
        in_the_clear=in_the_clear,
    )


def beside_floor(target: TargetResult, floor: Floor | None) -> TargetResult:
    """Add a floor to a result, with a finding if it is close; without one, suggest measuring it."""
    finding = _unknown(target) if floor is None else _close(target, floor)
    verdict = with_findings(target.verdict, finding)
    return replace(target, floor=floor, verdict=verdict)


_FLOOR_UNKNOWN: Final = FindingKind(
    "floor_unknown",
    INFO,
    "a median latency of {median_ms:.3g} ms is so low that the tool and the kernels may be a "
    "large part of it",
    (
        Advice(
            "--floor measures the same exchange against a server that does nothing",
            unless(given("floor")),
            short="--floor",
        ),
    ),
    "a median of {median_ms:.3g} ms is near what any server has",
)
_FAST_MS: Final = 1.0
"""Median latency below which a target may be near the floor; loopback floors are 0.05 to 1 ms."""


def _unknown(target: TargetResult) -> Finding | None:
    if END_TO_END not in target.components:
        return None
    median_ms = target.components[END_TO_END].p50_ms
    if median_ms >= _FAST_MS:
        return None
    return state(_FLOOR_UNKNOWN, "info", median_ms=median_ms)


_CLOSE_TO_FLOOR: Final = FindingKind(
    "close_to_floor",
    INFO,
    "the median {what} of {median_ms:.3g} ms is {value:.2g} times the floor's {floor_ms:.3g} "
    "ms: any server would need much of it",
    (
        Advice(
            "compare such fast servers by their difference from the floor",
            short="compare by the difference",
        ),
    ),
    "the median {what} is {value:.2g} times the floor's",
)
_CLOSE: Final = 2.0
"""Multiple of the floor's median within which a target's median is close to it."""


def _close(target: TargetResult, floor: Floor) -> Finding | None:
    pairs = ((END_TO_END, "latency", floor.end_to_end), (NETWORK, "network time", floor.network))
    for name, what, at_least in pairs:
        if name not in target.components:
            continue
        median_ms, floor_ms = target.components[name].p50_ms, at_least.p50_ms
        ratio = median_ms / floor_ms if floor_ms else _CLOSE
        if ratio < _CLOSE:
            return weigh(_CLOSE_TO_FLOOR, ratio, what=what, median_ms=median_ms, floor_ms=floor_ms)
    return None


_CLIENTS_CUT_SHORT: Final = FindingKind(
    "clients_cut_short",
    WARNING,
    "the comparison with client libraries ended after {value:#round}: {why}",
    (
        Advice(
            "check what happened to the server, and run again", short="check the server, run again"
        ),
    ),
    "libraries were compared in {value:#round} only",
)


def clients_cut_short(rounds: int, why: str) -> Finding:
    """The finding for a comparison of client libraries in fewer rounds than planned."""
    return state(_CLIENTS_CUT_SHORT, "warning", value=rounds, why=why)


KINDS: Final = (
    _FLOOR_UNKNOWN,
    _CLOSE_TO_FLOOR,
    _CLIENTS_CUT_SHORT,
)

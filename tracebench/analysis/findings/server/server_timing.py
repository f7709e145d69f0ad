"""Findings about server timing: whether it came, and how much time it leaves uncovered."""

from typing import Final

import numpy as np

from tracebench.analysis.advice import Advice, given, one_at_a_time, takes_spans, unless
from tracebench.analysis.findings.finding import (
    INFO,
    Evidence,
    FindingKind,
    part_of,
    state,
    weigh,
)
from tracebench.analysis.statistics.distribution import NS_PER_MS
from tracebench.model.components import BODY, END_TO_END, NETWORK
from tracebench.model.record.exchange import Nanoseconds, Undecomposed
from tracebench.model.results.result import Finding

PATH_ROUND_TRIPS: Final = 10
"""Round trips beyond which a time is not due to the path: a warm connection needs one, a cold one
with a large body a few. The least round trip is used: the smoothed one includes the server's time
if its kernel delays acknowledgements until the reply."""
LIKE_THE_FLOOR: Final = 2.0
"""Multiple of the floor's network time that kernels and wake-ups may account for."""


_NO_SERVER_TIMING: Final = FindingKind(
    "no_server_timing",
    INFO,
    "the server reported no timing in any of its {value:#reply|replies}",
    (
        Advice(
            "add two lines to the server, `from server_middleware import instrument` and "
            "`instrument(app)` (gRPC: its interceptors), or a reply header, "
            'X-Timing-Info: {"inference": 0.012, "server_processing": 0.015} (seconds)',
            short="add two lines: docs/middleware.md",
        ),
    ),
    "the server reports no timings",
)


def _no_server_timing(run: Evidence) -> Finding | None:
    silent = run.decomposition.undecomposed.get(Undecomposed.NO_TIMING, 0)
    return weigh(_NO_SERVER_TIMING, silent if _reported_nothing(run) else 0)


def _reported_nothing(run: Evidence) -> bool:
    only = set(run.decomposition.undecomposed) == {Undecomposed.NO_TIMING}
    return only and not run.decomposition.count


_NOT_DECOMPOSED: Final = FindingKind(
    "not_decomposed",
    ((0.0, "info"), (0.01, "warning")),
    "{value:%} of the successes could not be decomposed: {reasons}",
    (
        Advice(
            "look at what the server reports with --dry-run; they count only in `latency`",
            short="--dry-run shows what comes",
        ),
    ),
    "{value:%} of the successes could not be decomposed",
    explained_by=("low_join_share", "traces_missing"),
)


def _not_decomposed(run: Evidence) -> Finding | None:
    if _reported_nothing(run):
        return None
    counts = {
        reason: count
        for reason, count in run.decomposition.undecomposed.items()
        if reason is not Undecomposed.NOT_TRACED  # has its own finding
    }
    reasons = "; ".join(f"{reason.value} ({count})" for reason, count in counts.items())
    undecomposed = sum(counts.values())
    share = part_of(undecomposed, undecomposed + run.decomposition.count)
    if set(counts) == {Undecomposed.NEGATIVE_NETWORK}:  # has its own finding
        return state(_NOT_DECOMPOSED, "info", value=share, reasons=reasons)
    return weigh(_NOT_DECOMPOSED, share, reasons=reasons)


_SCALED_MIRROR: Final = FindingKind(
    "scaled_mirror",
    INFO,
    "in {value:,} of {decomposed:#reply|replies} the rounded parts exceeded their total by less "
    "than one last digit each, and were scaled down to it",
    (Advice("let the server report its times with more digits", short="report with more digits"),),
    "rounded parts exceeded their total in {value:#reply|replies}",
)


def _scaled_mirror(run: Evidence) -> Finding | None:
    decomposed = run.decomposition.count
    return weigh(_SCALED_MIRROR, run.decomposition.scaled, decomposed=decomposed)


_SPANS: Final = (
    Advice(
        "--receive-otlp receives the server's own spans, which cover the whole reply if they last "
        "until its end",
        unless(takes_spans),
        short="--receive-otlp",
    ),
    Advice(
        "the server's own spans cover the whole reply: find out which are missing",
        takes_spans,
        short="see which spans are missing",
    ),
)

_STREAMED_REPLY: Final = FindingKind(
    "streamed_reply",
    ((0.01, "info"), (0.10, "warning")),
    "the reply streams: {body_ms:.3g} ms pass between its first byte and its last (mean, "
    "{value:%} of the latency). The server's timing came with the head and cannot cover "
    "that: it is shown separately as `body`",
    _SPANS,
    "{value:%} of the latency is a stream without timings",
)

_LONG_BODY: Final = FindingKind(
    "long_body",
    ((0.01, "info"),),
    "{body_ms:.3g} ms pass between the first byte of the reply and its last (mean, "
    "{value:%} of the latency). The server's timing came with the head and does not tell "
    "whether that was the path or the server: it is shown separately as `body`",
    (
        Advice("if the reply is large, look at bandwidth and compression"),
        Advice(
            "40 ms with a small reply is a delayed acknowledgement: the server should send head "
            "and body together, or set TCP_NODELAY"
        ),
        *_SPANS,
    ),
    "{value:%} of the latency is after the first byte",
)


def _body(run: Evidence) -> Finding | None:
    if BODY not in run.components:
        return None
    streams = 2 * run.decomposition.streamed > run.decomposition.bodies
    kind = _STREAMED_REPLY if streams else _LONG_BODY
    body_ms = run.components[BODY].mean_ms
    return weigh(kind, part_of(body_ms, run.components[END_TO_END].mean_ms), body_ms=body_ms)


_WAITING_BEFORE_SERVER_SPAN: Final = FindingKind(
    "waiting_before_server_span",
    ((0.10, "info"),),
    "{waiting_ms:.3g} ms of the median network time of {network_ms:.3g} ms cannot be the "
    "path, whose round trip takes {rtt_ms:.3g} ms: it passes outside the server's span",
    (
        Advice(
            "requests may wait to be accepted, or for a worker: give the server more workers "
            "or threads",
            unless(one_at_a_time),
            short="more workers or threads",
        ),
        Advice(
            "look at what the server does around its span: accepting, reading, parsing",
            short="look at what it does around its span",
        ),
        Advice("if the payload is large, look at bandwidth too"),
        Advice("--floor shows how much of it any server would have", unless(given("floor"))),
    ),
    "{waiting_ms:.3g} ms pass outside the server's span",
)


def _waiting_before_server_span(run: Evidence) -> Finding | None:
    if run.load.tcp is None or NETWORK not in run.components:
        return None
    before_ms = _median_ms(run.decomposition.before_reply())
    rtt_ms = run.load.tcp.min_rtt_ms
    usual_ms = LIKE_THE_FLOOR * run.floor.network.p50_ms if run.floor is not None else 0.0
    if before_ms <= max(PATH_ROUND_TRIPS * rtt_ms, usual_ms):
        return None
    waiting_ms = before_ms - rtt_ms
    return weigh(
        _WAITING_BEFORE_SERVER_SPAN,
        part_of(waiting_ms, run.components[END_TO_END].p50_ms),
        waiting_ms=waiting_ms,
        network_ms=run.components[NETWORK].p50_ms,
        rtt_ms=rtt_ms,
    )


_NETWORK_AFTER_REPLY_BEGAN: Final = FindingKind(
    "network_after_reply_began",
    ((0.10, "info"),),
    "{after_ms:.3g} ms of the median network time of {network_ms:.3g} ms pass after the first "
    "byte of the reply: the rest of it is on its way, or the server goes on after its span",
    (
        Advice(
            "if the reply is large, look at bandwidth and compression; else let the server's span "
            "last until the reply has been sent",
            short="let the server's span last longer",
        ),
    ),
    "{after_ms:.3g} ms pass after the reply's first byte",
)
_LEAST_AFTER_MS: Final = 1.0


def _network_after_reply_began(run: Evidence) -> Finding | None:
    if NETWORK not in run.components:
        return None
    network_ms = run.components[NETWORK].p50_ms
    if network_ms <= _LEAST_AFTER_MS:  # the time after the reply began is part of it
        return None
    after_ns = run.decomposition.columns[NETWORK] - run.decomposition.before_reply()
    after_ms = min(_median_ms(after_ns), network_ms)  # two estimates of a median may cross
    if after_ms <= _LEAST_AFTER_MS:
        return None
    return weigh(
        _NETWORK_AFTER_REPLY_BEGAN,
        part_of(after_ms, run.components[END_TO_END].p50_ms),
        after_ms=after_ms,
        network_ms=network_ms,
    )


def _median_ms(values_ns: Nanoseconds) -> float:
    return float(np.median(values_ns)) / NS_PER_MS


KINDS: Final = (
    _NO_SERVER_TIMING,
    _NOT_DECOMPOSED,
    _SCALED_MIRROR,
    _STREAMED_REPLY,
    _LONG_BODY,
    _WAITING_BEFORE_SERVER_SPAN,
    _NETWORK_AFTER_REPLY_BEGAN,
)
JUDGES: Final = (
    _no_server_timing,
    _not_decomposed,
    _scaled_mirror,
    _body,
    _waiting_before_server_span,
    _network_after_reply_began,
)

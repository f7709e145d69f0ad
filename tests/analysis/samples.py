"""Requests and runs to analyse."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.records import decomposed, measured
from tracebench.analysis.interpretation import interpret
from tracebench.analysis.summary.summary import summarise
from tracebench.model.measurement import Measurement
from tracebench.model.record.exchange import Exchange, Outcome, Reply, Stamp, Timing, Undecomposed
from tracebench.model.results.result import Finding, TargetResult, TcpInfo

MS = 1_000_000
NO_TIMING = Undecomposed.NO_TIMING
SUCCESS = Exchange(
    trace_id="a" * 32,
    span_id="b" * 16,
    scheduled_ns=1_000 * MS,
    connect_ns=0,
    ready_ns=1_000 * MS,
    sent_ns=1_000 * MS + 100_000,
    first_byte_ns=1_010 * MS,
    arrived_ns=1_010 * MS + 100_000,
    done_ns=1_010 * MS + 200_000,
    write_lag_ns=0,
    outcome=Outcome.SUCCEEDED,
    stamp=Stamp.KERNEL,
    reply=Reply("200", {}, b""),
    reason="",
)
"""10.2 ms in all: 0.2 of the client, and 10 between `sent` and `arrived`."""
FAILED = SUCCESS._replace(outcome=Outcome.FAILED, reason="HTTP 500", reply=Reply("500", {}, b""))
TIMED_OUT = SUCCESS._replace(
    first_byte_ns=0,
    arrived_ns=0,
    done_ns=3_000 * MS,
    outcome=Outcome.TIMED_OUT,
    reply=Reply("", {}, b""),
    reason="no reply within 2 s",
)
CANCELLED = TIMED_OUT._replace(outcome=Outcome.CANCELLED, reason="cancelled")
TIMING = Timing(8 * MS, {"preprocessing": 2 * MS, "inference": 5 * MS}, "mirror")
"""8 ms of the server, 1 of it its own; with SUCCESS that leaves 2 ms of network."""
NEAR = TcpInfo(min_rtt_ms=0.5, rtt_ms=1.0, retransmits=0, connections=1)


def shifted(number: int, longer_ms: int = 0) -> Exchange:
    """A success that begins so many times 20 ms later, and takes longer."""
    by, end = number * 20 * MS, number * 20 * MS + longer_ms * MS
    return SUCCESS._replace(
        **{name: getattr(SUCCESS, name) + by for name in ("scheduled_ns", "ready_ns", "sent_ns")},
        **{name: getattr(SUCCESS, name) + end for name in ("first_byte_ns", "arrived_ns")},
        done_ns=SUCCESS.done_ns + end,
    )


def load(exchanges: Sequence[Exchange], *, tcp: TcpInfo | None = NEAR) -> Measurement:
    return measured(exchanges, duration_s=2.0, cpu_s=0.5, tcp=tcp)


def target(
    exchanges: Sequence[Exchange],
    timing: Timing | Undecomposed = TIMING,
    *,
    run: Measurement | None = None,
) -> TargetResult:
    """The result of exchanges that all got the same account from the server."""
    decomposition = decomposed(exchanges, [timing] * len(exchanges))
    return summarise("http://model:5000", run or load(exchanges), decomposition)


def found(result: TargetResult, code: str) -> Finding | None:
    return next((one for one in result.verdict.findings if one.code == code), None)


def severity(result: TargetResult, code: str) -> str | None:
    finding = found(result, code)
    return finding.severity if finding else None


def read(result: TargetResult, plan: Mapping[str, Any] | None = None, *, by: str = "mean") -> str:
    """What the result says and suggests, as if that statistic were known well."""
    verdict = replace(result.verdict, usable_for=(by,))
    return ": ".join(filter(None, interpret(replace(result, verdict=verdict), plan or {})))

"""Kinds of findings, and how a finding is made from the evidence of a run.

Each finding has one number, its value; the levels of its kind map that value to a severity.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, NamedTuple

from tracebench.analysis.advice import Hint, always, pieces
from tracebench.analysis.numbers import Wording
from tracebench.analysis.objectives.goodput import Judged
from tracebench.model.measurement import Measurement
from tracebench.model.record.exchange import Decomposition, Nanoseconds
from tracebench.model.results.result import (
    ErrorCount,
    Finding,
    Floor,
    Gauge,
    RequestCounts,
    Verdict,
)
from tracebench.model.results.statistics import Statistics
from tracebench.model.results.stream_result import StreamResult
from tracebench.model.results.workers import Worker

Severity = Literal["info", "warning", "invalid"]
SEVERITIES: Final[tuple[Severity, ...]] = ("info", "warning", "invalid")


class FindingKind(NamedTuple):
    """One kind of finding."""

    code: str
    """Stable identifier for programs; docs/verdict.md lists them."""
    levels: Sequence[tuple[float, Severity]]
    """(limit, severity), ascending: the last limit that the value exceeds applies."""
    message: str
    """Template of the message, filled in with the value and other evidence."""
    hint: Hint
    """What to do about it; see advice.py."""
    brief: str
    """Template of the message as one line of the table; the fix follows it."""
    explained_by: Collection[str] = ()
    """Codes of findings that name the cause: beside one that is at least as grave, this one is only
    a note, so that each cause is reported once."""
    spoils: Collection[str] = ()
    """Statistics that it makes unusable if it is at least a `warning`."""


INFO, WARNING, INVALID = (((0.0, severity),) for severity in SEVERITIES)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything a run is judged by."""

    load: Measurement
    decomposition: Decomposition
    requests: RequestCounts
    stamps: Mapping[str, int]
    latency_ns: Nanoseconds
    """Latencies of every success and every time-out, in the order of scheduling."""
    latency: Statistics | None
    components: Mapping[str, Statistics]
    floor: Floor | None = None
    stream: StreamResult | None = None
    errors: Sequence[ErrorCount] = ()
    judged: Judged | None = None
    """The requests to be judged by limits; None without limits."""
    gauges: Mapping[str, Gauge] = field(default_factory=dict)
    """The server's own gauges, by name."""
    workers: Sequence[Worker] = ()
    """The processes that shared the load; empty if it was one."""


def part_of(part: float, whole: float) -> float:
    """`part` as a fraction of `whole`; 0 if `whole` is 0."""
    return part / whole if whole else 0.0


def weigh(
    kind: FindingKind, value: float, *, because: Collection[str] = (), **evidence: object
) -> Finding | None:
    """Make a finding if its value exceeds a limit.

    Args:
        kind: the kind of finding.
        value: the number that decides the severity; shares are fractions.
        because: the causes, if advice depends on them.
        evidence: further values for the message.

    Returns:
        The finding, or None if the value exceeds no limit.
    """
    passed = [severity for limit, severity in kind.levels if value > limit]
    return state(kind, passed[-1], because, value=value, **evidence) if passed else None


def state(
    kind: FindingKind, severity: Severity, because: Collection[str] = (), **evidence: object
) -> Finding:
    """Make a finding of known severity.

    Its hint holds all advice for its causes; `advised` later removes what does not fit.

    Args:
        kind: the kind of finding.
        severity: its severity.
        because: the causes, if advice depends on them.
        evidence: the values for the message.
    """
    helping = [one for one in pieces(kind.hint) if not one.cause or one.cause in because]
    message, brief = (Wording().format(text, **evidence) for text in (kind.message, kind.brief))
    shorts = (one.short for one in helping if one.fits is always)
    return Finding(
        code=kind.code,
        severity=severity,
        message=message,
        hint="; ".join(one.text for one in helping),
        brief=brief,
        fix=next((short for short in shorts if short and isinstance(short, str)), ""),
    )


def with_findings(verdict: Verdict, *more: Finding | None) -> Verdict:
    """Add findings to a verdict, the gravest first; None is ignored."""
    findings = [finding for finding in (*verdict.findings, *more) if finding is not None]
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity), reverse=True)
    valid = all(finding.severity != "invalid" for finding in findings)
    return replace(verdict, valid=valid, findings=tuple(findings))

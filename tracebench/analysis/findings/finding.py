"""What a finding is made of, and how one is made from what a run is judged by.

A finding grows with one number, its value; the levels say from which value on it is how severe.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple

from tracebench.analysis.advice import Hint, always, pieces
from tracebench.analysis.numbers import Wording
from tracebench.model.exchange import Decomposition, Nanoseconds
from tracebench.model.measurement import Measurement
from tracebench.model.result import ErrorCount, Finding, Floor, RequestCounts, Verdict
from tracebench.model.statistics import Statistics
from tracebench.model.stream_result import StreamResult

Severity = Literal["info", "warning", "invalid"]
SEVERITIES: Final[tuple[Severity, ...]] = ("info", "warning", "invalid")


class FindingKind(NamedTuple):
    """One kind of finding."""

    code: str
    """What programs know it by, and users look up in docs/verdict.md."""
    levels: Sequence[tuple[float, Severity]]
    """(limit, severity), ascending: the last limit that the value is above counts."""
    message: str
    """A template; it is given the value and whatever else is the evidence."""
    hint: Hint
    """What to do about it; see advice.py."""
    brief: str
    """The message in one line of the table, a template as well; the fix follows it."""
    explained_by: Collection[str] = ()
    """Codes of findings that name the cause: beside one that is at least as grave, this one is
    only a note, so that one cause is said once."""
    spoils: Collection[str] = ()
    """The statistics that it makes useless from `warning` on."""


INFO, WARNING, INVALID = (((0.0, severity),) for severity in SEVERITIES)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a run is judged by."""

    load: Measurement
    decomposition: Decomposition
    requests: RequestCounts
    stamps: Mapping[str, int]
    latency_ns: Nanoseconds
    """Of every success and every time-out, in the order of scheduling."""
    latency: Statistics | None
    components: Mapping[str, Statistics]
    floor: Floor | None = None
    stream: StreamResult | None = None
    errors: Sequence[ErrorCount] = ()


def part_of(part: float, whole: float) -> float:
    """A share; 0 of nothing."""
    return part / whole if whole else 0.0


def weigh(
    kind: FindingKind, value: float, *, because: Collection[str] = (), **evidence: object
) -> Finding | None:
    """Judge one value.

    Args:
        kind: what it is.
        value: what the severity depends on; shares are fractions.
        because: what it is due to, where advice depends on that.
        evidence: what else the message tells.

    Returns:
        The finding, or None where the value is above none of its limits.
    """
    passed = [severity for limit, severity in kind.levels if value > limit]
    return state(kind, passed[-1], because, value=value, **evidence) if passed else None


def state(
    kind: FindingKind, severity: Severity, because: Collection[str] = (), **evidence: object
) -> Finding:
    """Word a finding whose severity is known.

    Its hint is all the advice that helps: `advised` leaves out what does not fit.

    Args:
        kind: what it is.
        severity: how grave it is.
        because: what it is due to, where advice depends on that.
        evidence: what the message tells.
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
    """A verdict with more findings; the gravest still comes first."""
    findings = [finding for finding in (*verdict.findings, *more) if finding is not None]
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity), reverse=True)
    valid = all(finding.severity != "invalid" for finding in findings)
    return replace(verdict, valid=valid, findings=tuple(findings))

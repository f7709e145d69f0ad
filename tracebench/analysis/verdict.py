"""Whether the numbers of a run can be trusted: the topics, and the verdict made of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from tracebench.analysis.advice import Advice, Situation, fitting, pieces
from tracebench.analysis.findings import (
    archived_run,
    load_generator,
    machine,
    near_floor,
    otlp_spans,
    outcome,
    reported_parts,
    samples,
    server_gauges,
    server_timing,
    steadiness,
    streams,
)
from tracebench.analysis.findings.finding import Evidence, FindingKind, with_findings
from tracebench.analysis.scaling import scale
from tracebench.model.result import Finding, TargetResult, Verdict

_JUDGED: Final = (
    outcome,
    load_generator,
    machine,
    server_timing,
    steadiness,
    reported_parts,
    samples,
    streams,
    otlp_spans,
)
"""In the order in which a reader should hear of findings of equal severity."""
_STATED_ELSEWHERE: Final = (near_floor, archived_run, scale, server_gauges)
"""Topics without judges: whoever knows more than a run's evidence states their findings."""
TOPICS: Final = (*_JUDGED, *_STATED_ELSEWHERE)

FINDINGS: Final[Mapping[str, FindingKind]] = {
    kind.code: kind for topic in TOPICS for kind in topic.KINDS
}
_JUDGES: Final[Sequence[Callable[[Evidence], Finding | None]]] = [
    judging for topic in _JUDGED for judging in topic.JUDGES
]


def judge(run: Evidence) -> Verdict:
    """Look for every doubt; the gravest comes first."""
    return with_findings(Verdict(True, ()), *(judging(run) for judging in _JUDGES))


def advised(
    targets: Mapping[str, TargetResult], plan: Mapping[str, Any], environment: Mapping[str, Any]
) -> dict[str, TargetResult]:
    """The results, with the advice that fits them in the hints of their findings.

    Args:
        targets: what was found.
        plan: what was asked for, as the result file tells it.
        environment: where it was measured.
    """
    return {
        name: _advised(target, Situation(plan, environment, target))
        for name, target in targets.items()
    }


def _helping(finding: Finding) -> tuple[Advice, ...]:
    """The advice that a finding was given."""
    return tuple(one for one in pieces(FINDINGS[finding.code].hint) if one.text in finding.hint)


def _advised(target: TargetResult, now: Situation) -> TargetResult:
    findings = tuple(
        replace(one, hint=fitting(_helping(one), now)) for one in target.verdict.findings
    )
    return replace(target, verdict=replace(target.verdict, findings=findings))

"""Whether the numbers of a run can be trusted: the findings' topics, and the verdict."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import Any, Final

from tracebench.analysis.advice import Advice, Situation, first_fix, fitting, pieces
from tracebench.analysis.findings import archived_run, outcome, samples, steadiness
from tracebench.analysis.findings.client import (
    load_generator,
    machine,
    near_floor,
    own_metrics,
    workers,
)
from tracebench.analysis.findings.finding import (
    SEVERITIES,
    Evidence,
    FindingKind,
    with_findings,
)
from tracebench.analysis.findings.server import (
    language_model,
    otlp_spans,
    reported_parts,
    server_gauges,
    server_timing,
    streams,
)
from tracebench.analysis.scaling import scale
from tracebench.model.results.result import Finding, TargetResult, Verdict
from tracebench.model.results.statistics import PERMILLE, Statistics

_JUDGED: Final = (
    outcome,
    load_generator,
    workers,
    machine,
    server_timing,
    steadiness,
    reported_parts,
    samples,
    streams,
    language_model,
    otlp_spans,
)
"""Topics with judges, in display order for findings of equal severity."""
_STATED_ELSEWHERE: Final = (near_floor, archived_run, scale, server_gauges, own_metrics)
"""Topics without judges: their findings need more than a run's evidence, and are stated by
the code that has it."""
TOPICS: Final = (*_JUDGED, *_STATED_ELSEWHERE)

FINDINGS: Final[Mapping[str, FindingKind]] = {
    kind.code: kind for topic in TOPICS for kind in topic.KINDS
}
_JUDGES: Final[Sequence[Callable[[Evidence], Finding | None]]] = [
    judging for topic in _JUDGED for judging in topic.JUDGES
]


_KNOWN_WITHIN: Final = 0.25
"""How far either end of the 95 % interval may lie from a usable statistic, as a fraction of it."""
_STATISTICS: Final = ("mean_ms", *PERMILLE)


def judge(run: Evidence) -> Verdict:
    """Run every judge; findings are ordered by severity, the gravest first."""
    found = with_findings(Verdict(True, ()), *(judging(run) for judging in _JUDGES))
    return _settled(found, run.latency)


def advised(
    targets: Mapping[str, TargetResult], plan: Mapping[str, Any], environment: Mapping[str, Any]
) -> dict[str, TargetResult]:
    """Reduce the hints of findings to the advice that fits the situation.

    Args:
        targets: the results, by name.
        plan: the plan, as in the result file.
        environment: the environment, as in the result file.
    """
    return {
        name: _advised(target, Situation(plan, environment, target))
        for name, target in targets.items()
    }


def usable_for(verdict: Verdict, latency: Statistics | None) -> tuple[str, ...]:
    """The latency statistics that are known well enough to base decisions on, as `mean`, `p50`.

    Neither end of their 95 % interval is further off than a quarter of the value, and no finding
    spoils them. Empty if the numbers are not valid.
    """
    if latency is None or not verdict.valid:
        return ()
    grave = (FINDINGS[one.code] for one in verdict.findings if one.severity == "warning")
    spoiled = {name for kind in grave for name in kind.spoils}
    known = [n.removesuffix("_ms") for n in _STATISTICS if within(latency, n) <= _KNOWN_WITHIN]
    return tuple(name for name in known if name not in spoiled)


def within(latency: Statistics, statistic: str) -> float:
    """How far the 95 % interval reaches from a statistic, as a fraction of it; inf if unknown."""
    value, interval = getattr(latency, statistic), latency.ci95.get(statistic)
    if interval is None or statistic in latency.unsupported:
        return inf
    return float(max(value - interval[0], interval[1] - value) / value) if value else 0.0


def _settled(verdict: Verdict, latency: Statistics | None) -> Verdict:
    """Demote findings that another explains to notes, and set what the numbers are usable for."""
    ranks = {one.code: SEVERITIES.index(one.severity) for one in verdict.findings}

    def explained(one: Finding) -> bool:
        causes = FINDINGS[one.code].explained_by
        return any(ranks.get(cause, -1) >= ranks[one.code] for cause in causes)

    findings = (replace(f, severity="info") if explained(f) else f for f in verdict.findings)
    settled = with_findings(replace(verdict, findings=()), *findings)
    return replace(settled, usable_for=usable_for(settled, latency))


def _helping(finding: Finding) -> tuple[Advice, ...]:
    """The pieces of advice in a finding's hint."""
    return tuple(one for one in pieces(FINDINGS[finding.code].hint) if one.text in finding.hint)


def _advised(target: TargetResult, now: Situation) -> TargetResult:
    helping = [(one, _helping(one)) for one in target.verdict.findings]
    findings = tuple(
        replace(one, hint=fitting(advice, now), fix=first_fix(advice, now))
        for one, advice in helping
    )
    verdict = _settled(replace(target.verdict, findings=findings), target.latency)
    return replace(target, verdict=verdict)

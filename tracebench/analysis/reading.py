"""One sentence about a target: where its time goes, and what that suggests."""

from collections.abc import Mapping
from typing import Any, Final

from server_middleware.vocabulary import END_TO_END
from tracebench.analysis.findings.advice import Situation
from tracebench.analysis.numbers import rounded
from tracebench.analysis.suggestion import suggestion
from tracebench.model.result import TailPart, TargetResult

_NOTHING: Final[Mapping[str, Any]] = {}


def was_interrupted(target: TargetResult) -> bool:
    """Whether less was measured than was asked for, because the user ended the run."""
    return any(one.code == "interrupted" for one in target.verdict.findings)


def reading(
    target: TargetResult,
    plan: Mapping[str, Any] = _NOTHING,
    environment: Mapping[str, Any] = _NOTHING,
) -> str:
    """Say in one sentence which component takes the most of the mean latency, and what to do.

    Args:
        target: what was found.
        plan: what was asked for, as the result file tells it.
        environment: where it was measured.

    Returns:
        Such as `inference takes 72% of the mean latency (12.3 of 17.1 ms): try quantisation, a
        smaller model or an accelerator`, without a full stop. Numbers that are not valid suggest
        nothing.
    """
    if not target.share:
        return "no request succeeded, so there is no time to divide: look at the errors"
    most = max(target.share, key=lambda name: target.share[name])
    whole_ms = target.components[END_TO_END].mean_ms
    share = target.share[most]
    fact = (
        f"{most.replace('_', ' ')} takes {share:.0%} of the mean latency "
        f"({rounded(share * whole_ms)} of {rounded(whole_ms)} ms)"
    )
    if not target.verdict.valid:
        return fact
    return f"{fact}: {suggestion(most, Situation(plan, environment, target))}"


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

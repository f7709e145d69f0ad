"""Two lines about a target: what was measured, and what the numbers can be used for."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text

from tracebench.analysis.interpretation import was_interrupted
from tracebench.analysis.numbers import counted, percent, rounded
from tracebench.analysis.verdict import usable_for
from tracebench.model.results.result import Finding, TargetResult
from tracebench.model.results.statistics import SHOWN
from tracebench.report.tables.terminal import has_estimates

_OF_MARKS = "too_few_samples"


def facts(target: TargetResult, plan: Mapping[str, Any]) -> Iterator[str]:
    """Yield the extent of the measurement: outcomes, throughput, duration and load."""
    counts = target.requests
    bad = {"failed": counts.failed + counts.timed_out, "cancelled": counts.cancelled}
    bad |= {"hung up": counts.abandoned}
    yield f"{counts.succeeded:,} ok" + "".join(f", {n:,} {how}" for how, n in bad.items() if n)
    yield f"{rounded(target.throughput_rps)}/s"
    seconds = target.duration_s
    yield f"{seconds:,.0f} s" if seconds >= 10 else f"{rounded(seconds, 2)} s"
    yield from _load(plan)


def _load(plan: Mapping[str, Any]) -> Iterator[str]:
    """The load on the server, if the plan is known."""
    rate = plan.get("rate")
    if plan.get("schedule_s"):
        yield "as --arrivals say"
    elif isinstance(rate, list | tuple) and rate:
        segments = [one for one in rate if isinstance(one, Mapping)]
        ends = [one.get(end) for one in segments for end in ("from_rps", "to_rps")]
        told = dict.fromkeys(f"{end:g}" for end in ends if isinstance(end, int | float))
        yield f"rate {' → '.join(told)}/s"
    elif isinstance(slots := plan.get("concurrency"), int):
        yield f"conc {slots:,}"


def headline(target: TargetResult, *, hint: bool) -> Text:
    """What the numbers can be used for, and the number of findings.

    Args:
        target: the result of the target.
        hint: whether to name the option that prints all findings.
    """
    word, style = judgement(target)
    more = " (-v)" if hint and target.verdict.findings else ""
    return Text(word, style=style).append(f"   {to_mend(target)}{more}", style="not bold default")


def to_mend(target: TargetResult) -> str:
    """The number of findings: things to fix, and notes."""
    severities = [one.severity for one in target.verdict.findings]
    notes = severities.count("info")
    to_fix = len(severities) - notes
    told = f"{counted(to_fix, 'thing')} to fix" if to_fix else "nothing to fix"
    return f"{told}, {counted(notes, 'note')}" if notes else told


def judgement(target: TargetResult) -> tuple[str, str]:
    """A short phrase on what the numbers can be used for, and the style to print it in."""
    at = "" if target.interrupted_at is None else f" AT {percent(target.interrupted_at)}"
    cut_short = f"INTERRUPTED{at}, " if was_interrupted(target) else ""
    if not target.verdict.valid:
        return f"{cut_short}NOT VALID: do not trust these numbers", "bold red"
    usable = target.verdict.usable_for
    known = usable_for(target.verdict, target.latency) if usable is None else usable
    names = [name.removesuffix("_ms") for name in SHOWN if name.removesuffix("_ms") in known]
    if not names:
        return f"{cut_short}USABLE FOR A FIRST LOOK ONLY", "bold yellow"
    only = " ONLY" if len(names) == 1 else ""
    all_well = len(names) == len(SHOWN) and not cut_short
    style = "bold green" if all_well else "bold yellow"
    return f"{cut_short}USABLE FOR {', '.join(names)}{only}", style


def doubts(target: TargetResult) -> list[Finding]:
    """Findings that are more than notes, except the one that the table's marks already express."""
    latency = target.latency
    marked = bool(target.components) and latency is not None and has_estimates([latency], SHOWN)
    findings = (one for one in target.verdict.findings if one.severity != "info")
    return [one for one in findings if not (marked and one.code == _OF_MARKS)]

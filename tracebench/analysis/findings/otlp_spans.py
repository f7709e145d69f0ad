"""What is to be said of spans that servers send over OTLP, and of their clock."""

from collections.abc import Mapping, Sequence
from typing import Final

from tracebench.analysis.findings.evidence import Evidence, part_of
from tracebench.analysis.findings.finding import state, weigh
from tracebench.analysis.findings.span_kinds import MOST_UNJOINED
from tracebench.analysis.missing_spans import OtherSpans, causes, words
from tracebench.analysis.numbers import rounded
from tracebench.analysis.statistics.distribution import NS_PER_MS
from tracebench.model.result import Finding

_MOST_NAMED: Final = 5


def low_join_share(
    missing: int, uncovered: int, wanted: int, reason: str, found: OtherSpans
) -> Finding | None:
    """What to say where answered requests have no server span.

    Args:
        missing: so many have none.
        uncovered: so many of these have no mirror either.
        wanted: all.
        reason: why no more was waited for.
        found: what came instead.
    """
    share, because = part_of(missing, wanted), causes(found, missing, wanted)
    evidence = {"missing": missing, "wanted": wanted, "reason": reason, "came": words(found)}
    if share > MOST_UNJOINED >= part_of(uncovered, wanted):
        return state("low_join_share", "warning", because, value=share, **evidence)
    return weigh("low_join_share", share, because=because, **evidence)


def traces_missing(missing: int, asked: int, reason: str, found: OtherSpans) -> Finding | None:
    """What to say where traces could not be read back from a backend, and what it has instead."""
    because: tuple[str, ...] = ("lost",)
    came = ""
    if found.own_traces:
        because, came = causes(found, missing, asked), words(found)
    return weigh(
        "traces_missing",
        part_of(missing, asked),
        because=because,
        missing=missing,
        asked=asked,
        reason=reason,
        came=came,
    )


def spans_refused(refused: Mapping[str, int]) -> Finding | None:
    """What to say where the receiver did not take all that was sent to it; reason → count."""
    reasons = "; ".join(f"{reason} ({count})" for reason, count in refused.items() if count)
    return weigh("spans_refused", sum(refused.values()), reasons=reasons)


def unfit_rules(rules: Sequence[str], decomposed: int) -> Finding | None:
    """What to say where rules fit nothing that servers tell.

    Args:
        rules: as they were given with `--map`.
        decomposed: of so many requests something is told; of none, other findings say so.
    """
    return weigh("unfit_rules", decomposed and len(rules), rules=", ".join(map(repr, rules)))


def unusable_spans(bad: int, good: int, why: str) -> Finding | None:
    """What to say of spans that came and have times that no request can have, or no ids.

    Args:
        bad: so many.
        good: so many others came.
        why: the first of them cannot be used.
    """
    return weigh("unusable_spans", part_of(bad, bad + good), bad=bad, why=why)


def _sources_disagree(run: Evidence) -> Finding | None:
    """Say by how much, and about what, the spans differ from what replies tell."""
    found = run.decomposition
    parts = ", ".join(
        f"{name} by {rounded(one.median_ns / NS_PER_MS)} ms (median of {one.requests})"
        for name, one in list(found.differing.items())[:_MOST_NAMED]
    )
    share = part_of(found.disagreed, found.with_both)
    return weigh("sources_disagree", share, both=found.with_both, parts=parts)


def _clock_moved(run: Evidence) -> Finding | None:
    """Say where no one offset between the clocks fits all requests."""
    clock = run.decomposition.clock
    return weigh("clock_moved", clock.moved_ns / NS_PER_MS) if clock is not None else None


SPAN_JUDGES: Final = (_sources_disagree, _clock_moved)

"""What is to be said of spans that servers send over OTLP, of their clock, and of our own spans."""

from collections.abc import Mapping, Sequence
from typing import Final

from tracebench.analysis.advice import Advice, given
from tracebench.analysis.findings.finding import (
    INFO,
    WARNING,
    Evidence,
    FindingKind,
    part_of,
    state,
    weigh,
)
from tracebench.analysis.missing_spans import OtherSpans, causes, words
from tracebench.analysis.numbers import rounded
from tracebench.analysis.statistics.distribution import NS_PER_MS
from tracebench.model.result import Finding

_MOST_UNJOINED: Final = 0.05
"""Of the requests; where more have no server span, what is said of the others is not said of the
run."""
_TAKE_THE_CONTEXT: Final = (
    Advice(
        "let the server take up the caller's context: the W3C's traceparent, in HTTP headers or "
        "gRPC metadata (OTEL_PROPAGATORS=tracecontext,baggage; b3 alone does not read it)",
        cause="own_traces",
    ),
    Advice(
        "some lose it now and then, whatever the client: Triton 2.51 begins a trace of its own for "
        "4-20 % of its gRPC calls",
        cause="now_and_then",
    ),
)
"""Of a server that begins traces of its own."""

_LOW_JOIN_SHARE: Final = FindingKind(
    "low_join_share",
    ((0.0, "info"), (0.005, "warning"), (_MOST_UNJOINED, "invalid")),
    "no span of the server's came for {value:.2%} of the requests that it answered "
    "({missing} of {wanted}): {reason}{came}",
    (
        *_TAKE_THE_CONTEXT,
        Advice(
            "let what stands between export its spans too, or take the caller's context as it is",
            cause="headless",
        ),
        Advice(
            "let the server export to where --receive-otlp listens (OTEL_EXPORTER_OTLP_ENDPOINT)",
            cause="silent",
        ),
        *(
            Advice(
                "let it sample what its caller samples "
                "(OTEL_TRACES_SAMPLER=parentbased_always_off), and queue enough "
                "(OTEL_BSP_MAX_QUEUE_SIZE)",
                cause=cause,
            )
            for cause in ("silent", "lost")
        ),
        Advice(
            "one that was up before the receiver may take two minutes to connect over gRPC",
            cause="silent",
        ),
    ),
)


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
    if share > _MOST_UNJOINED >= part_of(uncovered, wanted):
        return state(_LOW_JOIN_SHARE, "warning", because, value=share, **evidence)
    return weigh(_LOW_JOIN_SHARE, share, because=because, **evidence)


_TRACES_MISSING: Final = FindingKind(
    "traces_missing",
    ((0.0, "info"), (0.005, "warning")),
    "{value:.2%} of the traces could not be read back ({missing} of {asked}): {reason}{came}",
    (
        *_TAKE_THE_CONTEXT,
        Advice(
            "see that the server exports every trace that asks for it to the same Jaeger, that "
            "Jaeger keeps as many, and that --jaeger names it",
            cause="lost",
        ),
    ),
)


def traces_missing(missing: int, asked: int, reason: str, found: OtherSpans) -> Finding | None:
    """What to say where traces could not be read back from a backend, and what it has instead."""
    because: tuple[str, ...] = ("lost",)
    came = ""
    if found.own_traces:
        because, came = causes(found, missing, asked), words(found)
    return weigh(
        _TRACES_MISSING,
        part_of(missing, asked),
        because=because,
        missing=missing,
        asked=asked,
        reason=reason,
        came=came,
    )


_SPANS_REFUSED: Final = FindingKind(
    "spans_refused",
    WARNING,
    "the OTLP receiver refused {value} requests or spans: {reasons}",
    "let the server export smaller batches to it alone, and see what else sends to it",
)


def spans_refused(refused: Mapping[str, int]) -> Finding | None:
    """What to say where the receiver did not take all that was sent to it; reason → count."""
    reasons = "; ".join(f"{reason} ({count})" for reason, count in refused.items() if count)
    return weigh(_SPANS_REFUSED, sum(refused.values()), reasons=reasons)


_SPANS_LOST: Final = FindingKind(
    "spans_lost",
    WARNING,
    "{value} spans could not be exported: {reason}",
    (
        Advice("see that the collector takes them, at --otlp-endpoint", given("otlp_endpoint")),
        Advice("see that the collector takes them, at --forward-otlp", given("forward_otlp")),
        Advice("see that there is room where --output-traces writes", given("output_traces")),
    ),
)


def spans_lost(failed: int, reason: str) -> Finding:
    """What to say where spans could not be exported."""
    return state(_SPANS_LOST, "warning", value=failed, reason=reason)


_UNFIT_RULES: Final = FindingKind(
    "unfit_rules",
    WARNING,
    "--map {rules}: no span of a request, and no part that a reply tells, has such a name",
    "`tracebench spans` shows what the server emits, and how it is mapped",
)


def unfit_rules(rules: Sequence[str], decomposed: int) -> Finding | None:
    """What to say where rules fit nothing that servers tell.

    Args:
        rules: as they were given with `--map`.
        decomposed: of so many requests something is told; of none, other findings say so.
    """
    return weigh(_UNFIT_RULES, decomposed and len(rules), rules=", ".join(map(repr, rules)))


_UNUSABLE_SPANS: Final = FindingKind(
    "unusable_spans",
    ((0.0, "info"), (0.01, "warning")),
    "{bad} spans of the server's cannot be used: {why}",
    "let the server end each span it starts, and set its clock; what they cover counts as the "
    "component around them",
)


def unusable_spans(bad: int, good: int, why: str) -> Finding | None:
    """What to say of spans that came and have times that no request can have, or no ids.

    Args:
        bad: so many.
        good: so many others came.
        why: the first of them cannot be used.
    """
    return weigh(_UNUSABLE_SPANS, part_of(bad, bad + good), bad=bad, why=why)


_SOURCES_DISAGREE: Final = FindingKind(
    "sources_disagree",
    ((0.01, "info"), (0.10, "warning")),
    "in {value:.0%} of the {both} requests of which both the reply and spans tell, they differ "
    "by more than their resolution: {parts}. The spans count",
    "`tracebench spans` shows which span counts as which component; --map or --mapping decides "
    "it, and component() in the server goes before what a profile guesses",
)
_MOST_NAMED: Final = 5


def _sources_disagree(run: Evidence) -> Finding | None:
    """Say by how much, and about what, the spans differ from what replies tell."""
    found = run.decomposition
    parts = ", ".join(
        f"{name} by {rounded(one.median_ns / NS_PER_MS)} ms (median of {one.requests})"
        for name, one in list(found.differing.items())[:_MOST_NAMED]
    )
    share = part_of(found.disagreed, found.with_both)
    return weigh(_SOURCES_DISAGREE, share, both=found.with_both, parts=parts)


_CLOCK_MOVED: Final = FindingKind(
    "clock_moved",
    INFO,
    "the server's clock moved by at least {value:.3g} ms against the client's during the run",
    "no component depends on it; where traces are looked at, keep both clocks with NTP or PTP",
)


def _clock_moved(run: Evidence) -> Finding | None:
    """Say where no one offset between the clocks fits all requests."""
    clock = run.decomposition.clock
    return weigh(_CLOCK_MOVED, clock.moved_ns / NS_PER_MS) if clock is not None else None


KINDS: Final = (
    _LOW_JOIN_SHARE,
    _TRACES_MISSING,
    _SPANS_REFUSED,
    _SPANS_LOST,
    _UNFIT_RULES,
    _UNUSABLE_SPANS,
    _SOURCES_DISAGREE,
    _CLOCK_MOVED,
)
JUDGES: Final = (
    _sources_disagree,
    _clock_moved,
)

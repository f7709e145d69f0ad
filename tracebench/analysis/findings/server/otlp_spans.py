"""Findings about servers' OTLP spans, the servers' clock, and tracebench's own spans."""

from collections.abc import Mapping, Sequence
from typing import Final

from tracebench.analysis.advice import Advice, given
from tracebench.analysis.closure.missing_spans import OtherSpans, causes, words
from tracebench.analysis.findings.finding import (
    INFO,
    WARNING,
    Evidence,
    FindingKind,
    part_of,
    state,
    weigh,
)
from tracebench.analysis.numbers import rounded
from tracebench.analysis.statistics.distribution import NS_PER_MS
from tracebench.model.record.exchange import Undecomposed
from tracebench.model.results.result import Finding

_MOST_UNJOINED: Final = 0.05
"""Share of requests without a server span above which the others do not represent the run."""
_TAKE_THE_CONTEXT: Final = (
    Advice(
        "let the server accept the caller's context: the W3C traceparent, in HTTP headers or "
        "gRPC metadata (OTEL_PROPAGATORS=tracecontext,baggage; b3 alone does not read it)",
        cause="own_traces",
        short="let the server take traceparent",
    ),
    Advice(
        "some servers lose it occasionally, with any client: Triton 2.51 starts its own trace for "
        "4-20 % of its gRPC calls",
        cause="now_and_then",
    ),
)
"""Advice for a server that begins its own traces."""

_LOW_JOIN_SHARE: Final = FindingKind(
    "low_join_share",
    ((0.0, "info"), (0.005, "warning"), (_MOST_UNJOINED, "invalid")),
    "no server span arrived for {value:%} of the answered requests "
    "({missing:,} of {wanted:,}): {reason}{came}",
    (
        *_TAKE_THE_CONTEXT,
        Advice(
            "let proxies in between export their spans too, or pass on the caller's context as is",
            cause="headless",
            short="let proxies export spans too",
        ),
        Advice(
            "let the server export to the --receive-otlp address (OTEL_EXPORTER_OTLP_ENDPOINT)",
            cause="silent",
            short="OTEL_EXPORTER_OTLP_ENDPOINT",
        ),
        *(
            Advice(
                "let it sample whatever its caller samples "
                "(OTEL_TRACES_SAMPLER=parentbased_always_off), and queue enough "
                "(OTEL_BSP_MAX_QUEUE_SIZE)",
                cause=cause,
                short="OTEL_TRACES_SAMPLER",
            )
            for cause in ("silent", "lost")
        ),
        Advice(
            "a server started before the receiver may take two minutes to connect over gRPC",
            cause="silent",
        ),
    ),
    "no server span for {value:%} of the requests",
)


def low_join_share(
    missing: int, uncovered: int, wanted: int, reason: str, found: OtherSpans
) -> Finding | None:
    """The finding for answered requests without a server span; None if it is too few to matter.

    Args:
        missing: requests without a server span.
        uncovered: those among them without a mirror, too.
        wanted: all requests that should have one.
        reason: why the wait for spans ended.
        found: the spans that came instead.
    """
    share, because = part_of(missing, wanted), causes(found, missing, wanted)
    evidence = {"missing": missing, "wanted": wanted, "reason": reason, "came": words(found)}
    if share > _MOST_UNJOINED >= part_of(uncovered, wanted):
        return state(_LOW_JOIN_SHARE, "warning", because, value=share, **evidence)
    return weigh(_LOW_JOIN_SHARE, share, because=because, **evidence)


_TRACES_MISSING: Final = FindingKind(
    "traces_missing",
    ((0.0, "info"), (0.005, "warning")),
    "{value:%} of the traces could not be read back ({missing:,} of {asked:,}): {reason}{came}",
    (
        *_TAKE_THE_CONTEXT,
        Advice(
            "check that the server exports every sampled trace to the same Jaeger, that Jaeger "
            "keeps that many, and that --jaeger is its URL",
            cause="lost",
            short="check --jaeger and its storage",
        ),
    ),
    "{value:%} of the traces could not be read back",
)


def traces_missing(missing: int, asked: int, reason: str, found: OtherSpans) -> Finding | None:
    """The finding for traces that a backend did not return, and what it has instead."""
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
    "the OTLP receiver refused {value:#request or span|requests or spans}: {reasons}",
    (
        Advice(
            "let only the server export to it, in smaller batches, and check what else sends to it",
            short="smaller batches",
        ),
    ),
    "the receiver refused {value:#request or span|requests or spans}",
)


def spans_refused(refused: Mapping[str, int]) -> Finding | None:
    """The finding for spans that the receiver refused, given reason → count; None if none."""
    reasons = "; ".join(f"{reason} ({count})" for reason, count in refused.items() if count)
    return weigh(_SPANS_REFUSED, sum(refused.values()), reasons=reasons)


_SPANS_LOST: Final = FindingKind(
    "spans_lost",
    WARNING,
    "{value:#span} could not be exported: {reason}",
    (
        Advice(
            "check that the collector at --otlp-endpoint accepts them",
            given("otlp_endpoint"),
            short="check --otlp-endpoint",
        ),
        Advice(
            "check that the collector at --forward-otlp accepts them",
            given("forward_otlp"),
            short="check --forward-otlp",
        ),
        Advice(
            "check that there is free space for --output-traces",
            given("output_traces"),
            short="check the free space",
        ),
    ),
    "{value:#span} could not be exported: {reason}",
)


def spans_lost(failed: int, reason: str) -> Finding:
    """The finding for spans that could not be exported."""
    return state(_SPANS_LOST, "warning", value=failed, reason=reason)


_UNFIT_RULES: Final = FindingKind(
    "unfit_rules",
    WARNING,
    "--map {rules}: no span of a request, and no timing in a reply, has such a name",
    (
        Advice(
            "`tracebench spans` shows what the server emits and how it is mapped",
            short="see `tracebench spans`",
        ),
    ),
    "--map {rules} fits nothing",
)


def unfit_rules(rules: Sequence[str], decomposed: int) -> Finding | None:
    """The finding for mapping rules that match no span; None if all match.

    Args:
        rules: the rules, as given with `--map`.
        decomposed: the number of decomposed requests; if 0, other findings cover it.
    """
    return weigh(_UNFIT_RULES, decomposed and len(rules), rules=", ".join(map(repr, rules)))


_UNUSABLE_SPANS: Final = FindingKind(
    "unusable_spans",
    ((0.0, "info"), (0.01, "warning")),
    "{bad:#server span} cannot be used: {why}",
    (
        Advice(
            "let the server end each span it starts, and set its clock; their time counts as the "
            "enclosing component",
            short="end every span, set the clock",
        ),
    ),
    "{bad:#server span} cannot be used",
)


def unusable_spans(bad: int, good: int, why: str) -> Finding | None:
    """The finding for spans with impossible times or without ids; None if there are none.

    Args:
        bad: the number of unusable spans.
        good: the number of usable spans.
        why: why the first of them is unusable.
    """
    return weigh(_UNUSABLE_SPANS, part_of(bad, bad + good), bad=bad, why=why)


_SOURCES_DISAGREE: Final = FindingKind(
    "sources_disagree",
    ((0.01, "info"), (0.10, "warning")),
    "in {value:%} of the {both:#request} timed by both the reply and spans, the two differ "
    "by more than their resolution: {parts}. The spans are used",
    (
        Advice(
            "`tracebench spans` shows which span counts as which component; --map or --mapping "
            "sets it, and component() in the server overrides what a profile guesses",
            short="see `tracebench spans`",
        ),
    ),
    "reply and spans disagree in {value:%} of the requests",
)
_MOST_NAMED: Final = 5


def _sources_disagree(run: Evidence) -> Finding | None:
    """Report by how much, and in which components, spans differ from the times in replies."""
    found = run.decomposition
    parts = ", ".join(
        f"{name} by {rounded(one.median_ns / NS_PER_MS)} ms (median of {one.requests})"
        for name, one in list(found.differing.items())[:_MOST_NAMED]
    )
    share = part_of(found.disagreed, found.with_both)
    return weigh(_SOURCES_DISAGREE, share, both=found.with_both, parts=parts)


_TRACED_SHARE: Final = FindingKind(
    "traced_share",
    INFO,
    "{traced:,} of the {count:#request} were traced (--trace-share): {known}",
    (
        Advice(
            "a higher --trace-share knows the components of more requests",
            cause="unknown",
            short="higher --trace-share",
        ),
    ),
    "{traced:,} of {count:#request} were traced",
)


def _traced_share(run: Evidence) -> Finding | None:
    """Report how many requests were traced, and what is not known of the others."""
    requests = run.load.requests
    if not requests.partly_traced:
        return None
    traced, found = len(requests.traced()), run.decomposition
    untold = found.undecomposed.get(Undecomposed.NOT_TRACED, 0)
    known = "exemplars are among those; the others are divided by the timings in their replies"
    if untold or not found.count:
        known = (
            f"exemplars are among those, and components and tail are of the {found.count:,} "
            "requests that could be decomposed; counts, latency and throughput are of all"
        )
    because = ("unknown",) if untold or not found.count else ()
    return state(
        _TRACED_SHARE,
        "info",
        because,
        value=traced,
        traced=traced,
        count=len(requests),
        known=known,
    )


_CLOCK_MOVED: Final = FindingKind(
    "clock_moved",
    INFO,
    "the server's clock moved by at least {value:.3g} ms against the client's during the run",
    (
        Advice(
            "no component depends on it; to compare times in traces, sync both clocks with NTP or "
            "PTP",
            short="sync both clocks",
        ),
    ),
    "the server's clock moved by {value:.3g} ms or more",
)


def _clock_moved(run: Evidence) -> Finding | None:
    """Report if no single offset between the clocks fits all requests."""
    clock = run.decomposition.clock
    if clock is None:
        return None
    # Rows of workers on other machines were moved to one clock, which is known only so exactly.
    doubt_ms = 2 * max((one.clock_within_ms for one in run.workers), default=0.0)
    return weigh(_CLOCK_MOVED, clock.moved_ns / NS_PER_MS - doubt_ms)


KINDS: Final = (
    _LOW_JOIN_SHARE,
    _TRACES_MISSING,
    _SPANS_REFUSED,
    _SPANS_LOST,
    _UNFIT_RULES,
    _UNUSABLE_SPANS,
    _SOURCES_DISAGREE,
    _TRACED_SHARE,
    _CLOCK_MOVED,
)
JUDGES: Final = (
    _sources_disagree,
    _traced_share,
    _clock_moved,
)

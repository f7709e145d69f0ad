"""The findings on spans that servers send over OTLP."""

from typing import Final

from tracebench.analysis.advice import Advice
from tracebench.analysis.findings.kinds import INFO, WARNING, FindingKind

MOST_UNJOINED: Final = 0.05
"""Of the requests; where more have no server span, what is said of the others is not said of the
run."""

TAKE_THE_CONTEXT: Final = (
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

SPAN_KINDS: Final = {
    "low_join_share": FindingKind(
        ((0.0, "info"), (0.005, "warning"), (MOST_UNJOINED, "invalid")),
        "no span of the server's came for {value:.2%} of the requests that it answered "
        "({missing} of {wanted}): {reason}{came}",
        (
            *TAKE_THE_CONTEXT,
            Advice(
                "let what stands between export its spans too, or take the caller's context as it "
                "is",
                cause="headless",
            ),
            Advice(
                "let the server export to where --receive-otlp listens "
                "(OTEL_EXPORTER_OTLP_ENDPOINT)",
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
    ),
    "sources_disagree": FindingKind(
        ((0.01, "info"), (0.10, "warning")),
        "in {value:.0%} of the {both} requests of which both the reply and spans tell, they differ "
        "by more than their resolution: {parts}. The spans count",
        "`tracebench spans` shows which span counts as which component; --map or --mapping decides "
        "it, and component() in the server goes before what a profile guesses",
    ),
    "spans_refused": FindingKind(
        WARNING,
        "the OTLP receiver refused {value} requests or spans: {reasons}",
        "let the server export smaller batches to it alone, and see what else sends to it",
    ),
    "unfit_rules": FindingKind(
        WARNING,
        "--map {rules}: no span of a request, and no part that a reply tells, has such a name",
        "`tracebench spans` shows what the server emits, and how it is mapped",
    ),
    "unusable_spans": FindingKind(
        ((0.0, "info"), (0.01, "warning")),
        "{bad} spans of the server's cannot be used: {why}",
        "let the server end each span it starts, and set its clock; what they cover counts as the "
        "component around them",
    ),
    "clock_moved": FindingKind(
        INFO,
        "the server's clock moved by at least {value:.3g} ms against the client's during the run",
        "no component depends on it; where traces are looked at, keep both clocks with NTP or PTP",
    ),
}

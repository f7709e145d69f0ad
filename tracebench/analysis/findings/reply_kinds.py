"""The findings on what the server's account leaves out: before a reply, and behind its head."""

from typing import Final

from tracebench.analysis.advice import Advice, given, one_at_a_time, takes_spans, unless
from tracebench.analysis.findings.kinds import FindingKind

_SPANS = (
    Advice(
        "--receive-otlp takes the server's own spans, which cover the whole reply where they last "
        "until its end",
        unless(takes_spans),
    ),
    Advice(
        "the server's own spans cover the whole reply where they come: see which did not",
        takes_spans,
    ),
)

REPLY_KINDS: Final = {
    "streamed_reply": FindingKind(
        ((0.01, "info"), (0.10, "warning")),
        "the reply streams: {body_ms:.3g} ms pass between its first byte and its last (mean, "
        "{value:.0%} of the latency). The server's timing came with the head and cannot cover "
        "that: it stands apart as `body`",
        _SPANS,
    ),
    "long_body": FindingKind(
        ((0.01, "info"),),
        "{body_ms:.3g} ms pass between the first byte of the reply and its last (mean, "
        "{value:.0%} of the latency). The server's timing came with the head and does not tell "
        "whether the path or the server took that: it stands apart as `body`",
        (
            Advice("with a large reply, look at bandwidth and compression"),
            Advice(
                "40 ms with a small one is a delayed acknowledgement: the server should send head "
                "and body together, or set TCP_NODELAY"
            ),
            *_SPANS,
        ),
    ),
    "network_after_reply_began": FindingKind(
        ((0.10, "info"),),
        "{after_ms:.3g} ms of the median network time of {network_ms:.3g} ms pass after the first "
        "byte of the reply: the rest of it is on its way, or the server goes on after its span",
        "with a large reply, look at bandwidth and compression; else let the server's span last "
        "until the reply has been sent",
    ),
    "waiting_before_server_span": FindingKind(
        ((0.10, "info"),),
        "{waiting_ms:.3g} ms of the median network time of {network_ms:.3g} ms cannot be the "
        "path, whose round trip takes {rtt_ms:.3g} ms: it passes outside the server's span",
        (
            Advice(
                "requests may wait to be accepted, or for a worker: give the server more workers "
                "or threads",
                unless(one_at_a_time),
            ),
            Advice("look at what the server does around its span: accepting, reading, parsing"),
            Advice("with a large payload, look at bandwidth too"),
            Advice("--floor shows how much of it any server has", unless(given("floor"))),
        ),
    ),
}

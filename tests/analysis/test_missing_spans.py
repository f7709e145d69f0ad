"""What came where server spans did not: told by name, with advice for that cause alone."""

from collections.abc import Iterator

import pytest

from tracebench.analysis.closure.missing_spans import NOTHING, OtherSpans, causes, other_spans
from tracebench.analysis.findings.server.otlp_spans import low_join_share, traces_missing
from tracebench.model.record.span import Kind, Link, Span
from tracebench.model.results.result import Finding

OURS = {f"{n:032x}" for n in range(1, 101)}
MISSING = {f"{n:032x}" for n in range(91, 101)}
STRANGE = "f" * 32


def span(trace_id: str, parent_id: str = "", kind: Kind = "SERVER", name: str = "infer") -> Span:
    return Span(
        trace_id, "a" * 16, parent_id, name, kind, 1, 2, resource={"service.name": "triton"}
    )


def told(found: OtherSpans, missing: int = 10) -> Finding:
    finding = low_join_share(missing, missing, 100, "no more came within 6 s", found)
    assert finding is not None
    return finding


def foreign(count: int) -> Iterator[Span]:
    return (span(f"{2**64 + n:032x}") for n in range(count))


def test_traces_that_the_server_began_are_counted_and_named() -> None:
    found = other_spans([*foreign(7), span(STRANGE, name="POST /predict")], OURS, MISSING)
    assert (found.spans, found.own_traces) == (8, 8)
    finding = told(found)
    assert finding.message == (
        "no server span arrived for 10 % of the answered requests (10 of 100): no "
        "more came within 6 s. Instead 8 traces came that the server started by itself, despite "
        "the request's context: 'infer' of triton (7), 'POST /predict' of triton (1)"
    )
    assert "OTEL_PROPAGATORS" in finding.hint
    assert "Triton 2.51" in finding.hint
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" not in finding.hint


def test_a_server_that_ignores_every_context_is_no_triton() -> None:
    finding = told(other_spans(foreign(100), OURS, OURS), missing=100)
    assert "OTEL_PROPAGATORS" in finding.hint
    assert "Triton" not in finding.hint


@pytest.mark.parametrize(
    "other",
    [
        span(STRANGE, "b" * 16),  # of another caller's, or of a warm-up
        span(STRANGE, kind="CLIENT"),  # another caller
        span("1".zfill(32)),  # of ours
        span(STRANGE)._replace(links=(Link("1".zfill(32), "b" * 16),)),  # a batch
    ],
)
def test_what_is_no_trace_of_the_server_s_own(other: Span) -> None:
    found = other_spans([other], OURS, MISSING)
    assert (found.spans, found.own_traces) == (1, 0)
    finding = told(found)
    assert "Instead" not in finding.message
    assert "OTEL_BSP_MAX_QUEUE_SIZE" in finding.hint
    assert "OTEL_PROPAGATORS" not in finding.hint


def test_nothing_at_all() -> None:
    assert other_spans([], OURS, MISSING) == NOTHING
    finding = told(NOTHING)
    assert finding.message.endswith("no more came within 6 s. No span came at all")
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in finding.hint


def test_spans_of_the_request_without_its_child() -> None:
    found = other_spans([span(one, "b" * 16) for one in MISSING], OURS, MISSING)
    assert found.headless == 10
    assert "Spans of 10 of these requests came" in told(found).message
    assert causes(found, 10, 100) == ("headless",)


def test_what_is_kept_of_names_is_bounded() -> None:
    many = (span(f"{2**64 + n:032x}", name="\n" + "x" * 500 + f"{n}") for n in range(3))
    found = other_spans(many, OURS, MISSING)
    assert found.own_traces == 3
    assert all(len(name) <= 60 and name.isprintable() for name in found.names)
    others = (span(f"{2**64 + n:032x}", name=f"{n}") for n in range(5_000))
    assert len(other_spans(others, OURS, MISSING).names) <= 1_001


def test_a_backend_may_have_them_too() -> None:
    found = other_spans(foreign(3), OURS, ())
    finding = traces_missing(10, 100, "no span", found)
    assert finding is not None
    assert "'infer' of triton (3)" in finding.message
    assert "OTEL_PROPAGATORS" in finding.hint
    plain = traces_missing(10, 100, "no span", NOTHING)
    assert plain is not None
    assert plain.message.endswith("(10 of 100): no span")
    assert "--jaeger is its URL" in plain.hint

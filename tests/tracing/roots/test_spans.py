"""Root spans: what they say, and that nothing in the environment or in them is lost."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import context, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import SpanKind, StatusCode

from tests.tracing.samples import (
    GRPC,
    MIRROR,
    REST,
    RUN,
    SUCCESS,
    TIMED_OUT,
    exchanges,
    mirrors,
    spans_of,
)
from tracebench.model.errors import UsageError
from tracebench.model.record.exchange import Exchange, Outcome, Reply, Timing, Undecomposed
from tracebench.tracing.otlp.sdk_spans import context_of, from_sdk
from tracebench.tracing.roots import read_back
from tracebench.tracing.roots.export import Anchor
from tracebench.tracing.roots.target_attributes import TargetAttributes

OFFSET_NS = 1_764_000_000_000_000_000 - 5_000_000_000


def span_of(
    exchange: Exchange,
    timing: Timing | Undecomposed = Undecomposed.NO_TIMING,
    described: TargetAttributes = REST,
) -> ReadableSpan:
    [span] = spans_of([exchange], [timing], described)
    return span


def test_a_rest_span_in_full() -> None:
    span = span_of(SUCCESS, MIRROR)
    assert span.name == "POST /predict"
    assert span.kind is SpanKind.CLIENT
    assert span.parent is None
    assert context_of(span).trace_id == 0x0AF7651916CD43DD8448EB211C80319C
    assert context_of(span).span_id == 0xB7AD6B7169203331
    assert context_of(span).trace_flags == 1
    assert span.start_time == 6_000_000_000 + OFFSET_NS
    assert span.end_time == 6_005_250_007 + OFFSET_NS
    assert [(event.name, event.timestamp - OFFSET_NS) for event in span.events] == [
        ("ready", 6_000_000_100),
        ("sent", 6_000_020_100),
        ("first_byte", 6_005_100_000),
        ("arrived", 6_005_200_000),
        ("done", 6_005_250_007),
    ]
    assert span.status.status_code is StatusCode.UNSET
    assert span.attributes == {
        "http.request.method": "POST",
        "url.full": "http://model:5000/predict",
        "server.address": "model",
        "server.port": 5000,
        "network.protocol.version": "1.1",
        "http.response.status_code": 200,
        "tracebench.run.id": "run-1",
        "tracebench.protocol": "rest",
        "tracebench.target": "rest",
        "tracebench.concurrency": 4,
        "tracebench.outcome": "succeeded",
        "tracebench.stamp": "kernel",
        "tracebench.connect_ns": 0,
        "tracebench.write_lag_ns": 13,
        "tracebench.slot": 0,
        "tracebench.mirror_ns.server_processing": 5_000_000,
        "tracebench.mirror_ns.inference": 4_000_000,
        "tracebench.mirror_ns.queue": 7,
        "tracebench.mirror.scaled": True,
        "tracebench.mirror.came_with": "end",
    }
    assert span.resource.attributes["service.name"] == "tracebench"


def test_a_grpc_span_follows_the_rpc_conventions() -> None:
    span = span_of(SUCCESS._replace(reply=Reply("OK", {}, b"")), described=GRPC)
    assert span.name == "inference.InferenceService/Predict"
    assert {
        "rpc.system.name": "grpc",
        "rpc.method": "inference.InferenceService/Predict",
        "rpc.response.status_code": "OK",
        "server.address": "model",
        "server.port": 50051,
        "tracebench.protocol": "grpc",
    }.items() <= dict(span.attributes or {}).items()


def test_what_was_not_reached_has_no_event() -> None:
    assert [event.name for event in span_of(TIMED_OUT).events] == ["ready", "sent", "done"]


@pytest.mark.parametrize(
    ("outcome", "status", "error_type"),
    [
        (Outcome.FAILED, "503", "503"),
        (Outcome.FAILED, "302", "302"),
        (Outcome.FAILED, "200", "failed"),
        (Outcome.FAILED, "", "failed"),
        (Outcome.TIMED_OUT, "", "timed_out"),
        (Outcome.CANCELLED, "", "cancelled"),
    ],
)
def test_a_failure_is_an_error_with_its_reason(
    outcome: Outcome, status: str, error_type: str
) -> None:
    reply = Reply(status, {}, b"")
    span = span_of(SUCCESS._replace(outcome=outcome, reply=reply, reason="it broke"))
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "it broke"
    assert (span.attributes or {})["error.type"] == error_type


@pytest.mark.parametrize(
    ("status", "error_type"), [("UNAVAILABLE", "UNAVAILABLE"), ("OK", "failed")]
)
def test_a_failed_call_is_an_error_of_its_status(status: str, error_type: str) -> None:
    failed = SUCCESS._replace(outcome=Outcome.FAILED, reply=Reply(status, {}, b""), reason="no")
    attributes = span_of(failed, described=GRPC).attributes or {}
    assert attributes["error.type"] == error_type
    assert attributes["rpc.response.status_code"] == status


def test_a_reason_that_is_no_text_can_be_sent() -> None:
    span = span_of(TIMED_OUT._replace(reason="got \udcff"))
    assert span.status.description == "got ?"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_TRACES_SAMPLER", "always_off"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "1"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "2"),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "2"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "3"),
        ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "3"),
    ],
)
def test_the_environment_has_no_say(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    expected = span_of(SUCCESS, MIRROR)
    monkeypatch.setenv(variable, value)
    span = span_of(SUCCESS, MIRROR)
    assert span.attributes == expected.attributes
    assert len(span.events) == 5


def test_a_disabled_sdk_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    with pytest.raises(UsageError, match="OTEL_SDK_DISABLED is set"):
        span_of(SUCCESS)


def test_a_span_around_the_caller_is_no_parent() -> None:
    around = TracerProvider(shutdown_on_exit=False).get_tracer("caller").start_span("around")
    token = context.attach(trace.set_span_in_context(around))
    try:
        span = span_of(SUCCESS)
    finally:
        context.detach(token)
    assert span.parent is None
    assert context_of(span).trace_id == int(SUCCESS.trace_id, 16)


def test_spans_come_in_order_of_completion() -> None:
    rows = [SUCCESS._replace(span_id=f"{number:016x}") for number in range(1, 1001)]
    made = [context_of(span).span_id for span in spans_of(rows)]
    assert made == list(range(1, 1001))


def test_the_anchor_reads_both_clocks() -> None:
    first, second = Anchor.now(), Anchor.now()
    assert second.monotonic_ns >= first.monotonic_ns
    assert Anchor(1_000, 300).offset_ns == 700
    assert RUN.anchor.offset_ns == OFFSET_NS


def moved(exchange: Exchange) -> Exchange:
    """What comes back: epoch times, and of the reply its status."""
    stamps = ("scheduled_ns", "ready_ns", "sent_ns", "first_byte_ns", "arrived_ns", "done_ns")
    times_ns = {
        stamp: getattr(exchange, stamp) and getattr(exchange, stamp) + OFFSET_NS for stamp in stamps
    }
    return exchange._replace(**times_ns, reply=Reply(exchange.reply.status, {}, b""))


@given(st.lists(st.tuples(exchanges(), mirrors()), max_size=4))
def test_what_is_written_is_read_again(
    pairs: Sequence[tuple[Exchange, Timing | Undecomposed]],
) -> None:
    spans = spans_of([exchange for exchange, _ in pairs], [timing for _, timing in pairs])
    expected = [read_back.Root(moved(exchange), timing) for exchange, timing in pairs]
    assert [read_back.read(from_sdk(span)) for span in spans] == expected


def test_timings_from_server_spans_are_not_repeated_on_the_root() -> None:
    span = span_of(SUCCESS, Timing(5_000_000, {"inference": 1}, "otlp"))
    assert not [name for name in span.attributes or {} if "mirror" in name]


def test_other_spans_are_not_taken_for_roots() -> None:
    other = TracerProvider(shutdown_on_exit=False).get_tracer("server").start_span("inference")
    other.end()
    assert isinstance(other, ReadableSpan)
    assert read_back.read(from_sdk(other)) is None


@pytest.mark.parametrize(
    "broken",
    [
        {"tracebench.outcome": "splendid"},
        {"tracebench.stamp": None},
        {"tracebench.connect_ns": "x"},
    ],
)
def test_what_only_looks_like_a_root_is_none(broken: dict[str, str | None]) -> None:
    span = from_sdk(span_of(SUCCESS))
    assert read_back.read(span) is not None
    assert read_back.read(span._replace(attributes={**span.attributes, **broken})) is None

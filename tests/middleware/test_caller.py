"""The caller's span is found as OpenTelemetry's own propagators find it."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry import context as otel
from opentelemetry import propagate, trace
from opentelemetry.baggage import set_baggage
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import DefaultGetter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from server_middleware.request import extract
from tests.middleware.span_samples import PARENT_ID, TRACE_ID, TRACEPARENT

GETTER: DefaultGetter = DefaultGetter()

hexes = st.text("0123456789abcdefF", min_size=15, max_size=33)
parts = st.lists(
    st.sampled_from(
        ["00", "01", "ff", "0f", f"{TRACE_ID:032x}", f"{PARENT_ID:016x}", "0" * 32, "0" * 16, " "]
    )
    | hexes,
    min_size=3,
    max_size=5,
)
flags = st.integers(0, 255).map(lambda bits: f"00-{TRACE_ID:032x}-{PARENT_ID:016x}-{bits:02x}")
traceparents = flags | parts.map("-".join) | st.text(max_size=60)
carriers = st.fixed_dictionaries(
    {},
    optional={
        "traceparent": traceparents | st.lists(traceparents, min_size=1, max_size=2),
        "tracestate": st.sampled_from(["", "vendor=x", "vendor=x,other=y", "=", "vendor"]),
        "baggage": st.sampled_from(["", "user=1", "user"]),
    },
)
around = st.sampled_from(
    [
        otel.Context(),
        otel.Context({"own": 1}),
        set_baggage("tenant", "a", otel.Context()),
        trace.set_span_in_context(
            trace.NonRecordingSpan(trace.SpanContext(1, 2, False)), otel.Context()
        ),
    ]
)


def told(context: otel.Context) -> dict[str, Any]:
    """A context, whose span can be compared."""
    span = trace.get_current_span(context)
    return {
        name: value.get_span_context() if value is span else value
        for name, value in context.items()
    }


@example({"traceparent": TRACEPARENT}, otel.Context())
@example({"traceparent": TRACEPARENT.upper()}, otel.Context())
@example({"traceparent": TRACEPARENT + "\n"}, otel.Context())
@example({"traceparent": TRACEPARENT.replace("00-", "01-", 1) + "-more"}, otel.Context())
@example({"traceparent": f"00-{0:032x}-{PARENT_ID:016x}-01"}, otel.Context())
@example({"traceparent": f"00-{TRACE_ID:032x}-{0:016x}-01"}, otel.Context())
@given(carriers, around)
def test_any_carrier_gives_what_the_propagators_make_of_it(
    carrier: dict[str, Any], around: otel.Context
) -> None:
    ours = extract(carrier, around, GETTER)
    assert told(ours) == told(propagate.extract(carrier, around, GETTER))


@given(flags)
def test_flags_are_told_alike(traceparent: str) -> None:
    carrier, none = {"traceparent": traceparent}, otel.Context()
    ours, theirs = (
        trace.get_current_span(context).get_span_context()
        for context in (extract(carrier, none, GETTER), propagate.extract(carrier, none, GETTER))
    )
    assert ours.trace_flags.sampled is theirs.trace_flags.sampled
    assert ours.is_valid is ours.is_remote is True
    assert repr(ours) == repr(theirs)


@pytest.fixture
def propagators() -> Iterator[None]:
    before = propagate.get_global_textmap()
    yield
    propagate.set_global_textmap(before)


@pytest.mark.usefixtures("propagators")
@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        ([W3CBaggagePropagator()], False),
        ([], False),
        ([TraceContextTextMapPropagator()], True),
        ([TraceContextTextMapPropagator(), W3CBaggagePropagator()], True),
    ],
)
def test_propagators_of_ones_own_are_obeyed(chosen: list[Any], found: bool) -> None:
    propagate.set_global_textmap(CompositePropagator(chosen))
    context = extract({"traceparent": TRACEPARENT}, otel.Context(), GETTER)
    assert trace.get_current_span(context).get_span_context().is_valid is found

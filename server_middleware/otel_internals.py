"""The private parts of OpenTelemetry that are used, and the fallback where one is missing.

All but the last two fall back to OpenTelemetry's documented API, at a higher cost.

- `_RUNTIME_CONTEXT` of `opentelemetry.context` and its `_current_context`, which every component
  reads: the API's functions are called.
- Contexts hold their span under one key: the API sets it, copying the context, and reads it.
- `SpanContext` is a tuple of six: its constructor is called, and spans are the SDK's.
- `CompositePropagator._propagators`, to recognise the default ones: all are called.
- Lean spans fill the fields of `ReadableSpan` (`_context`, `_parent`, `_name`, `_kind`,
  `_start_time`, `_end_time`, `_attributes`, `_events`, `_links`, `_status`, `_resource`,
  `_instrumentation_info`, `_instrumentation_scope`), obey their tracer (`_span_limits`, `sampler`,
  `id_generator`, `resource`, `span_processor`), notify the processors in
  `SynchronousMultiSpanProcessor._span_processors`, and store their data in `BoundedAttributes` and
  `BoundedList`: if one of these is missing, or a span has more fields, spans are the SDK's.
- `Tracer._is_enabled`: it counts as enabled.
- `SpanProcessor._on_ending`, which announces the end of a span: it is not called.

A test ensures that no other module uses a private name of OpenTelemetry that is not listed here.
`make check-long` runs the middleware's tests with the newest release.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.propagators.composite import CompositePropagator

# The current context.

_RUNTIME: Final = getattr(otel, "_RUNTIME_CONTEXT", otel)  # what the API's functions call
_VARIABLE: Final = getattr(_RUNTIME, "_current_context", None)  # and what these call
attach: Final[Callable[[otel.Context], object]] = getattr(_VARIABLE, "set", _RUNTIME.attach)
get_context: Final[Callable[[], otel.Context]] = getattr(_VARIABLE, "get", _RUNTIME.get_current)

# Contexts, and the span in them.

_KEYS: Final = tuple(trace.set_span_in_context(trace.INVALID_SPAN, otel.Context()))
_SPAN_KEY: Final = _KEYS[0] if len(_KEYS) == 1 else None


def with_span(span: trace.Span, context: otel.Context) -> otel.Context:
    """The context, with this span as the current one; cheaper than the API, which copies."""
    if _SPAN_KEY is None:
        return trace.set_span_in_context(span, context)
    return otel.Context({**context, _SPAN_KEY: span})


def span_in(context: otel.Context) -> trace.Span:
    """The current span of a context; an invalid one if there is none."""
    if _SPAN_KEY is None:
        return trace.get_current_span(context)
    return cast(trace.Span, context.get(_SPAN_KEY, trace.INVALID_SPAN))


def without_span(context: otel.Context) -> otel.Context:
    """The context, without a current span."""
    if _SPAN_KEY is None:
        return trace.set_span_in_context(trace.INVALID_SPAN, context)
    return otel.Context({key: value for key, value in context.items() if key != _SPAN_KEY})


# The ids of a span.

Ids = tuple[int, int, bool, trace.TraceFlags, trace.TraceState, bool]
"""Trace id, span id, whether it is remote, flags, state, whether it is valid."""


def _as_known() -> bool:
    made = trace.SpanContext(1, 2, True, trace.TraceFlags(1))
    known = (1, 2, True, 1, trace.INVALID_SPAN_CONTEXT.trace_state, True)
    return isinstance(made, tuple) and tuple(made) == known


IDS_ARE_TUPLES: Final = _as_known()


def span_context(ids: Ids) -> trace.SpanContext:
    """A span's context from ids known to be valid, which the API's constructor would check."""
    if IDS_ARE_TUPLES:
        return tuple.__new__(trace.SpanContext, ids)
    return trace.SpanContext(*ids[:5])


def propagators_in(composite: CompositePropagator) -> Sequence[object]:
    """The propagators that it calls in turn; empty if unknown."""
    found: Sequence[object] = getattr(composite, "_propagators", ())
    return found


# The SDK. Nothing is imported from it here: many servers do not have it.

_OF_A_TRACER: Final = ("_span_limits", "id_generator", "resource", "sampler", "span_processor")
_OF_A_SPAN: Final = frozenset(
    {
        *("_context", "_parent", "_name", "_kind", "_start_time", "_end_time", "_status"),
        *("_attributes", "_events", "_links"),
        *("_resource", "_instrumentation_info", "_instrumentation_scope"),
    }
)


def can_be_lean(tracer: Any, readable_span: Callable[..., object]) -> bool:
    """Whether the SDK's internals are as lean spans assume.

    Args:
        tracer: the SDK's.
        readable_span: the SDK's class; lean spans would lack any field added to it since.
    """
    return (
        IDS_ARE_TUPLES
        and all(hasattr(tracer, name) for name in _OF_A_TRACER)
        and hasattr(tracer.span_processor, "_span_processors")
        and vars(readable_span("", resource=tracer.resource)).keys() <= _OF_A_SPAN
    )


def enabled(tracer: Any) -> Callable[[], bool]:
    """A function that returns whether a tracer of the SDK is enabled."""
    found: Callable[[], bool] = getattr(tracer, "_is_enabled", lambda: True)
    return found

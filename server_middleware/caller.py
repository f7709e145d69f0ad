"""The caller's span, as OpenTelemetry's propagators find it in what a request brought along."""

import re
from functools import lru_cache
from typing import Any, Final

from opentelemetry import context as otel
from opentelemetry import propagate, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from server_middleware.context.scope import with_span
from server_middleware.vocabulary import TRACEPARENT

_DEFAULT: Final = [TraceContextTextMapPropagator, W3CBaggagePropagator]
_PLAIN: Final = re.compile("00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
_FLAGS: Final = [trace.TraceFlags(bits) for bits in range(256)]  # made once, not by request
_NO_STATE: Final = trace.INVALID_SPAN_CONTEXT.trace_state


def extract(carrier: Any, around: otel.Context, getter: Getter[Any]) -> otel.Context:
    """The context that the propagators make of a carrier.

    Most requests bring a `traceparent` of today's version and nothing else, to the propagators
    that are OpenTelemetry's default: that is read here, at a third of their price.

    Args:
        carrier: of the caller's context.
        around: the context that is added to.
        getter: reads the carrier.
    """
    propagators = propagate.get_global_textmap()
    if type(propagators) is CompositePropagator and _are_default(propagators):
        given = getter.get(carrier, TRACEPARENT)
        found = _PLAIN.fullmatch(given[0]) if given else None
        if found and not getter.get(carrier, "tracestate") and not getter.get(carrier, "baggage"):
            trace_id, span_id, flags = found.groups()
            ids = int(trace_id, 16), int(span_id, 16)
            told = (*ids, True, _FLAGS[int(flags, 16)], _NO_STATE, True)
            above = tuple.__new__(trace.SpanContext, told)  # spared: looking whether it is valid
            return with_span(trace.NonRecordingSpan(above), around)
    return propagators.extract(carrier, around, getter)


@lru_cache(maxsize=1)
def _are_default(propagators: CompositePropagator) -> bool:
    return [type(one) for one in getattr(propagators, "_propagators", ())] == _DEFAULT

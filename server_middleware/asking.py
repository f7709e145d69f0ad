"""Whether a request asks for its timings, and whether anybody records spans here."""

import re

from opentelemetry import trace

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-([0-9a-f]{2})(?:-.*)?")
_SAMPLED = 1


def sampled(traceparent: str | None) -> bool:
    """Whether a W3C trace context asks to be recorded."""
    found = _TRACEPARENT.fullmatch(traceparent.strip()) if traceparent else None
    return found is not None and bool(int(found[1], 16) & _SAMPLED)


def provider_configured() -> bool:
    """Whether a TracerProvider has been set; the API's own stand-in records nothing."""
    return not isinstance(
        trace.get_tracer_provider(), trace.ProxyTracerProvider | trace.NoOpTracerProvider
    )

"""What begins the spans of requests and components, under the provider that is configured."""

import sys
from functools import lru_cache
from typing import Final

from opentelemetry import trace

from server_middleware.tracer import Tracer

_NAME: Final = "server_middleware"


@lru_cache(maxsize=1)
def tracer_of(provider: trace.TracerProvider) -> Tracer | None:
    """What begins spans for a provider: None where nobody configured one."""
    if isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider):
        return None
    tracer = provider.get_tracer(_NAME)
    if "opentelemetry.sdk.trace" in sys.modules:
        from server_middleware import lean  # it needs the SDK, which an app may do without

        return lean.tracer_for(tracer, _NAME) or Tracer(tracer)
    return Tracer(tracer)

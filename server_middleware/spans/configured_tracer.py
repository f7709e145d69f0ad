"""The tracer for requests and components, from the configured provider."""

import sys
from functools import lru_cache
from typing import Final

from opentelemetry import trace

from server_middleware.harmless import complain
from server_middleware.spans.api_tracer import Tracer

_NAME: Final = "server_middleware"


def tracer() -> Tracer | None:
    """The tracer from the configured provider; None if none is configured."""
    try:
        return tracer_of(trace.get_tracer_provider())
    except Exception:
        complain("looking for a tracer")
        return None


@lru_cache(maxsize=1)
def tracer_of(provider: trace.TracerProvider) -> Tracer | None:
    """The tracer for a provider; None if that does not trace."""
    if isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider):
        return None
    theirs = provider.get_tracer(_NAME)
    return _lean(theirs) or Tracer(theirs)


def _lean(theirs: trace.Tracer) -> Tracer | None:
    """The tracer for cheaper spans, if the SDK is loaded and its internals are as expected."""
    if "opentelemetry.sdk.trace" not in sys.modules:
        return None
    try:
        from server_middleware.spans import lean_tracer  # it needs the SDK

        return lean_tracer.tracer_for(theirs, _NAME)
    except Exception:
        complain("preparing lean spans")
        return None

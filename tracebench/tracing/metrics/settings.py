"""Where metrics go, given where spans go."""

from typing import Final

from tracebench.tracing.otlp.destination import destination_of

_TRACES, _METRICS = "/v1/traces", "/v1/metrics"
PERIOD_S: Final = 1.0


def metrics_url(endpoint: str) -> str:
    """The OTLP/HTTP URL for metrics beside that for spans; empty if that does not tell.

    Raises:
        UsageError: the endpoint is malformed.
    """
    one = destination_of(endpoint)
    if not one.http:
        return one.address
    return one.address.removesuffix(_TRACES) + _METRICS if one.address.endswith(_TRACES) else ""

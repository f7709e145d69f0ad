"""Where metrics go, given where spans go."""

from typing import Final

from tracebench.tracing.otlp.destination import TRACES_PATH, destination_of

_METRICS_PATH = "/v1/metrics"
PERIOD_S: Final = 1.0


def metrics_url(endpoint: str) -> str:
    """The OTLP/HTTP URL for metrics beside that for spans; empty if that does not tell.

    Raises:
        UsageError: the endpoint is malformed.
    """
    one = destination_of(endpoint)
    if not one.http:
        return one.address
    if not one.address.endswith(TRACES_PATH):
        return ""
    return one.address.removesuffix(TRACES_PATH) + _METRICS_PATH

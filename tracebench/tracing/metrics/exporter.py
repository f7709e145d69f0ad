"""The exporter of metrics to the endpoint that spans go to; nothing but its process imports it."""

from collections.abc import Callable
from typing import Final

from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as OverGrpc
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as OverHttp
from opentelemetry.sdk.metrics.export import MetricExporter, MetricsData

from tracebench.tracing.metrics.messages import Delivered
from tracebench.tracing.metrics.settings import metrics_url
from tracebench.tracing.otlp.destination import destination_of, session_for
from tracebench.tracing.roots.delivery import export

_PATIENCE_S: Final = 3.0
_REFUSALS: Final = ("UNIMPLEMENTED", "404", "405", "501")
"""What a backend without metrics, such as Jaeger, answers."""


def exporter_for(endpoint: str) -> MetricExporter:
    """Make the exporter; nothing is sent yet.

    It honours OTEL_EXPORTER_OTLP_HEADERS and …_CERTIFICATE, as that of spans does.
    """
    one = destination_of(endpoint)
    if not one.http:
        return OverGrpc(one.address, insecure=not one.secure, timeout=_PATIENCE_S)
    url = metrics_url(endpoint)
    return OverHttp(url, session=session_for(url), timeout=_PATIENCE_S)


class Delivery:
    """Exports metrics, and counts what came of it; after a failure, the next is tried again.

    Args:
        exporter: takes the metrics.
    """

    def __init__(self, exporter: MetricExporter) -> None:
        self._exporter = exporter
        self.state = Delivered()

    def __call__(self, metrics: Callable[[], MetricsData]) -> None:
        """Export once, unless the endpoint takes no metrics."""
        state = self.state
        if state.refused:
            return
        reason = export(metrics(), self._exporter)
        if not reason:
            self.state = Delivered(state.exported + 1, state.failed, state.reason)
            return
        refused = not state.exported and any(one in reason for one in _REFUSALS)
        self.state = Delivered(state.exported, state.failed + 1, reason, refused)

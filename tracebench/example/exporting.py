"""Export the server's spans to a collector."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased

from tracebench.tracing.otlp.destination import exporter_for


@contextmanager
def exporting(endpoint: str) -> Iterator[None]:
    """Record the spans of requests that ask for it; the last ones are sent on exit.

    It sets the process's global provider, which is possible only once.

    Raises:
        UsageError: the endpoint is malformed.
    """
    provider = TracerProvider(
        sampler=ParentBased(ALWAYS_OFF),
        resource=Resource.create({SERVICE_NAME: "tracebench-example"}),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(exporter_for(endpoint)))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        provider.shutdown()

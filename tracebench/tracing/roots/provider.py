"""A TracerProvider of our own: the shell's environment does not decide what it records."""

from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import NoOpTracer, Tracer

from tracebench.model.errors import UsageError
from tracebench.tracing.roots.attributes import RUN_FACTS, SERVICE

_UNLIMITED = dict.fromkeys(
    (
        "max_attributes",
        "max_events",
        "max_links",
        "max_span_attributes",
        "max_event_attributes",
        "max_link_attributes",
        "max_attribute_length",
        "max_span_attribute_length",
    ),
    SpanLimits.UNSET,
)


class WireIds(IdGenerator):
    """Gives the next span the ids that were sent with its request."""

    def __init__(self) -> None:
        self.trace_id = self.span_id = 0

    def generate_trace_id(self) -> int:
        """The trace id that was set."""
        return self.trace_id

    def generate_span_id(self) -> int:
        """The span id that was set."""
        return self.span_id


def tracer(ids: IdGenerator, processor: SpanProcessor, facts: str = "") -> Tracer:
    """A tracer that records every span, whole, and hands it to the processor.

    OTEL_TRACES_SAMPLER and the OTEL_*_LIMIT variables have no say; OTEL_RESOURCE_ATTRIBUTES has.

    Args:
        ids: gives the ids that were on the wire.
        processor: takes the ended spans.
        facts: what the resource says of the run.

    Raises:
        UsageError: OTEL_SDK_DISABLED is set.
    """
    provider = TracerProvider(
        sampler=ALWAYS_ON,
        resource=Resource.create({SERVICE_NAME: SERVICE, **({RUN_FACTS: facts} if facts else {})}),
        shutdown_on_exit=False,
        id_generator=ids,
        span_limits=SpanLimits(**_UNLIMITED),
    )
    provider.add_span_processor(processor)
    made = provider.get_tracer("tracebench")
    if isinstance(made, NoOpTracer):
        raise UsageError("OTEL_SDK_DISABLED is set: no spans can be made; unset it")
    return made

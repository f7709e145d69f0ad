"""Delivery of root spans to exporters: our own provider, batches, and a count of every loss."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import NoOpTracer, Tracer

from tracebench.model.errors import UsageError
from tracebench.system import why
from tracebench.tracing.roots.attributes import RUN_FACTS, SERVICE

# Our own TracerProvider, so that environment variables do not decide what it records.

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
    """Gives the next span the ids sent with its request."""

    def __init__(self) -> None:
        self.trace_id = self.span_id = 0

    def generate_trace_id(self) -> int:
        """The trace id that was set."""
        return self.trace_id

    def generate_span_id(self) -> int:
        """The span id that was set."""
        return self.span_id


def tracer(ids: IdGenerator, processor: SpanProcessor, facts: str = "") -> Tracer:
    """A tracer that records every span in full, and passes it to the processor.

    OTEL_TRACES_SAMPLER and the OTEL_*_LIMIT variables are ignored; OTEL_RESOURCE_ATTRIBUTES is not.

    Args:
        ids: gives the ids that were on the wire.
        processor: takes the ended spans.
        facts: facts about the run, put on the resource.

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


# Export of ended spans: in batches, synchronously, and every loss is reported.

_BATCH = 512
"""About 0.6 MB of OTLP; gRPC servers accept 4 MB by default."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What happened to the spans given to one exporter."""

    exported: int
    failed: int
    reason: str
    """Why the first of them failed; empty if none did."""


class Delivery(SpanProcessor):
    """Passes every span to every exporter, in the thread that ends the span."""

    def __init__(self, exporters: Iterable[SpanExporter]) -> None:
        self._sinks = [_Sink(exporter) for exporter in exporters]
        self._batch: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        """Take a span; every full batch is passed on."""
        self._batch.append(span)
        if len(self._batch) == _BATCH:
            self.force_flush()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Pass on what has been collected; the timeouts are the exporters' own."""
        batch, self._batch = self._batch, []
        if batch:
            for sink in self._sinks:
                sink.take(batch)
        return not any(sink.failed for sink in self._sinks)

    def delivered(self) -> tuple[Delivered, ...]:
        """What happened to the spans, for each exporter."""
        return tuple(Delivered(sink.exported, sink.failed, sink.reason) for sink in self._sinks)


class _Sink:
    """One exporter, and the count of the spans it took.

    An exporter that fails (after its own retries, which take up to ten seconds per batch) is not
    used again: all later spans count as failed.
    """

    __slots__ = ("_exporter", "exported", "failed", "reason")

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self.exported = self.failed = 0
        self.reason = ""

    def take(self, batch: Sequence[ReadableSpan]) -> None:
        if not self.failed:
            self.reason = export(batch, self._exporter)
        if self.reason:
            self.failed += len(batch)
        else:
            self.exported += len(batch)


class Exporter(Protocol):
    """What the SDK's exporters of spans and of metrics have in common."""

    def export(self, batch: Any, /) -> Enum:
        """Send a batch; the result is named SUCCESS, or FAILURE."""


def export(batch: object, exporter: Exporter) -> str:
    """Export one batch; returns why it failed, empty on success."""
    with listening() as words:
        try:
            if exporter.export(batch).name == "SUCCESS":
                return ""
        except OSError as error:
            return why(error)
    # The first message is the cause; later ones say that retries failed.
    return words[0] if words else f"{type(exporter).__name__} refused the batch"


class _Words(logging.Handler):
    """Collects log messages, each on one line."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.words: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.words.append(" ".join(record.getMessage().split()))


@contextmanager
def listening() -> Iterator[list[str]]:
    """Collect what OpenTelemetry's exporters log, the only place where they say why they fail.

    With a handler installed, Python does not print it on standard error either.
    """
    handler, logger = _Words(), logging.getLogger("opentelemetry")
    logger.addHandler(handler)
    try:
        yield handler.words
    finally:
        logger.removeHandler(handler)

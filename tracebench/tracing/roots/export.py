"""Make and export client root spans from exchanges after the run: measure first, trace after."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from time import perf_counter_ns, time_ns
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.trace import SpanKind, StatusCode, Tracer

from server_middleware.vocabulary import SERVER_PROCESSING
from tracebench.model.progress import error_type
from tracebench.model.record.exchange import Exchange, Outcome, Timing, Undecomposed
from tracebench.tracing.roots import attributes
from tracebench.tracing.roots.delivery import Delivered, Delivery, WireIds, tracer
from tracebench.tracing.roots.generated import AFTER_NS, NOTHING, Generated, Value
from tracebench.tracing.roots.target_attributes import TargetAttributes

_TOLD_EACH: Final = 1024
_NO_ERRORS: Final = (Outcome.SUCCEEDED, Outcome.ABANDONED)


@dataclass(frozen=True, slots=True)
class Anchor:
    """One moment on both clocks, which maps a run's monotonic times to epoch time."""

    wall_ns: int
    monotonic_ns: int

    @classmethod
    def now(cls) -> "Anchor":
        """Read both clocks."""
        return cls(time_ns(), perf_counter_ns())

    @property
    def offset_ns(self) -> int:
        """What to add to a monotonic reading."""
        return self.wall_ns - self.monotonic_ns


@dataclass(frozen=True, slots=True)
class Run:
    """What all root spans of one run to one target have in common."""

    id: str
    anchor: Anchor
    concurrency: int
    facts: str = ""
    """Further facts about the run, written by run_facts.py."""
    target: str = ""
    """What the run calls the target of these; empty: by its protocol."""


def export(
    exchanges: Iterable[Exchange],
    timings: Iterable[Timing | Undecomposed],
    described: TargetAttributes,
    run: Run,
    exporters: Sequence[SpanExporter],
    generated: Iterable[Generated] = repeat(NOTHING),
    on_spans: Callable[[int], object] = lambda _made: None,
) -> tuple[Delivered, ...]:
    """Make one root span per exchange, with the ids that were on the wire, and export it.

    Args:
        exchanges: in order of completion.
        timings: the server's timings of each; mirrors become attributes.
        described: the target.
        run: the run.
        exporters: the exporters, which are not shut down.
        generated: additional data for streams.
        on_spans: called from time to time with the number made.

    Returns:
        For each exporter, how many spans it took and how many it did not.

    Raises:
        UsageError: the environment has OpenTelemetry disabled.
    """
    ids, delivery = WireIds(), Delivery(exporters)
    maker = tracer(ids, delivery, run.facts)
    common = _common(described, run)
    each = zip(zip(exchanges, timings, strict=True), generated, strict=False)
    for made, ((exchange, timing), more) in enumerate(each):
        if made % _TOLD_EACH == 0:
            on_spans(made)
        ids.trace_id, ids.span_id = int(exchange.trace_id, 16), int(exchange.span_id, 16)
        own = common | _of_exchange(exchange, described) | _of_timing(timing)
        told = more._replace(attributes=own | more.attributes)
        _make(maker, exchange, described.name, told, run.anchor.offset_ns)
    delivery.force_flush()
    return delivery.delivered()


def _make(maker: Tracer, exchange: Exchange, name: str, told: Generated, offset_ns: int) -> None:
    span = maker.start_span(
        name,
        Context(),
        SpanKind.CLIENT,
        told.attributes,
        start_time=exchange.scheduled_ns + offset_ns,
    )
    for event, reached_ns in (
        (attributes.READY, exchange.ready_ns),
        (attributes.SENT, exchange.sent_ns),
        (attributes.FIRST_BYTE, exchange.first_byte_ns),
        (attributes.ARRIVED, exchange.arrived_ns),
        (attributes.DONE, exchange.done_ns),
    ):
        if reached_ns:
            span.add_event(event, timestamp=reached_ns + offset_ns)
    for stamped in told.events:
        bound = {AFTER_NS: stamped.after_ns + offset_ns} if stamped.after_ns < stamped.at_ns else {}
        span.add_event(stamped.name, bound, stamped.at_ns + offset_ns)
    if exchange.outcome not in _NO_ERRORS:
        span.set_status(StatusCode.ERROR, _encodable(exchange.reason))
    span.end(exchange.done_ns + offset_ns)


def _common(described: TargetAttributes, run: Run) -> dict[str, Value]:
    return {
        **described.attributes,
        attributes.RUN_ID: run.id,
        attributes.PROTOCOL: described.protocol,
        attributes.TARGET: run.target or described.protocol,
        attributes.CONCURRENCY: run.concurrency,
    }


def _of_exchange(exchange: Exchange, described: TargetAttributes) -> dict[str, Value]:
    own: dict[str, Value] = {
        attributes.OUTCOME: exchange.outcome.value,
        attributes.STAMP: exchange.stamp.value,
        attributes.CONNECT_NS: exchange.connect_ns,
        attributes.WRITE_LAG_NS: exchange.write_lag_ns,
        attributes.SLOT: exchange.slot,
        **described.status(exchange.reply.status),
    }
    if exchange.lost is not None:
        own[attributes.LOST] = exchange.lost.value
    if exchange.outcome is Outcome.ABANDONED:
        own[attributes.REASON] = _encodable(exchange.reason)
    if exchange.outcome not in _NO_ERRORS:
        own[ERROR_TYPE] = error_type(exchange.reply.status, exchange.outcome.value)
    return own


def _of_timing(timing: Timing | Undecomposed) -> dict[str, Value]:
    if timing is Undecomposed.NO_TIMING:
        return {}
    if isinstance(timing, Undecomposed):
        return {attributes.MIRROR_PROBLEM: timing.name}
    if timing.source != "mirror":
        return {}
    parts_ns = {SERVER_PROCESSING: timing.total_ns, **timing.parts_ns}
    own: dict[str, Value] = {attributes.MIRROR_NS + name: ns for name, ns in parts_ns.items()}
    own[attributes.MIRROR_SCALED] = timing.scaled
    own[attributes.MIRROR_CAME_WITH] = timing.came_with
    if timing.unlisted:
        own[attributes.MIRROR_UNLISTED] = timing.unlisted
    if timing.left_out:
        own[attributes.MIRROR_LEFT_OUT] = ",".join(timing.left_out)
    if timing.stream is not None:
        own[attributes.MIRROR_STREAM] = json.dumps(timing.stream)
    if timing.strays:
        own[attributes.MIRROR_STRAYS] = timing.strays
    return own


def _encodable(reason: str) -> str:
    """The reason as valid UTF-8, which OTLP requires; it may quote arbitrary bytes."""
    return reason.encode(errors="replace").decode()

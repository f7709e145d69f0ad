"""What the tests of the middleware ask of spans and replies."""

import json
from collections.abc import Mapping
from time import monotonic, sleep

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

TRACE_ID, PARENT_ID = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
TRACEPARENT = f"00-{TRACE_ID:032x}-{PARENT_ID:016x}-01"
UNSAMPLED = f"00-{TRACE_ID:032x}-{PARENT_ID:016x}-00"
ASKING = {"traceparent": TRACEPARENT}

_PATIENCE_S = 10.0


class Spans:
    """The spans that were recorded; a server may still be ending some when its client goes on."""

    def __init__(self, exporter: InMemorySpanExporter, provider: TracerProvider) -> None:
        self._exporter, self.provider = exporter, provider

    def wait(self, count: int) -> list[ReadableSpan]:
        """The spans, in order of their end; fails unless there are exactly so many."""
        deadline_s = monotonic() + _PATIENCE_S
        while len(self._exporter.get_finished_spans()) < count and monotonic() < deadline_s:
            sleep(0.001)
        found = list(self._exporter.get_finished_spans())
        assert len(found) == count, [span.name for span in found]
        return found

    def wait_for_servers(self, count: int) -> None:
        """Until so many server spans have ended, whatever else has."""
        deadline_s = monotonic() + _PATIENCE_S
        while sum(span.kind is SpanKind.SERVER for span in self.ended()) < count:
            assert monotonic() < deadline_s, f"there are no {count} server spans"
            sleep(0.01)

    def wait_for(self, name: str) -> None:
        """Until a span of that name has ended, whatever else has."""
        deadline_s = monotonic() + _PATIENCE_S
        while not any(span.name == name for span in self.ended()):
            assert monotonic() < deadline_s, f"there is no span {name!r}"
            sleep(0.01)

    def server(self, count: int = 1) -> ReadableSpan:
        """The only server span among so many spans."""
        (found,) = [span for span in self.wait(count) if span.kind is SpanKind.SERVER]
        return found

    def ended(self) -> list[ReadableSpan]:
        """Those that have ended by now."""
        return list(self._exporter.get_finished_spans())

    def forget(self) -> None:
        """Keep none of them."""
        self._exporter.clear()

    def none(self) -> bool:
        """Nothing was recorded."""
        return not self._exporter.get_finished_spans()


def duration_ns(span: ReadableSpan) -> int:
    assert span.start_time is not None
    assert span.end_time is not None
    return span.end_time - span.start_time


def span_id(span: ReadableSpan) -> int:
    return span.get_span_context().span_id  # type: ignore[union-attr] # an ended one has it


def parent_id(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def mirrored(headers: Mapping[str, str]) -> dict[str, float]:
    """The mirror in seconds; empty where there is none."""
    return {
        str(name): float(value)
        for name, value in json.loads(headers.get("x-timing-info", "{}")).items()
    }


def chunks(span: ReadableSpan) -> list[tuple[str, int, dict[str, object]]]:
    """What a server span tells of a stream: events, with their time since it began in µs."""
    began_ns, found = span.start_time or 0, []
    for event in span.events:
        known: dict[str, object] = {
            _plain(name): it for name, it in (event.attributes or {}).items()
        }
        found.append((_plain(event.name), (event.timestamp - began_ns) // 1_000, known))
    return found


def _plain(name: str) -> str:
    return name.removeprefix("tracebench.")

"""The joining exporter: spans by trace id, in any order, through two doors with one answer."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    TraceFlags,
    set_span_in_context,
)

from tests.records import record
from tests.tracing.samples import (
    MIRROR,
    SUCCESS,
    TIMED_OUT,
    Collected,
    exchanges,
    mirrors,
    spans_of,
)
from tracebench.model.record.exchange import Decomposition, Exchange, Timing, Undecomposed
from tracebench.tracing.join.exporter import JoiningExporter
from tracebench.tracing.join.join import Source
from tracebench.tracing.otlp.sdk_spans import from_sdk

NO_TIMING = Undecomposed.NO_TIMING
SERVER_CLOCK_NS = 1_900_000_000_000_000_000


class Server:
    """Somebody's server: its own provider, its own clock."""

    def __init__(self) -> None:
        self._collected = Collected()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._collected))
        self._tracer = provider.get_tracer("server")

    def span(
        self,
        name: str,
        parent: SpanContext | None,
        start_ns: int,
        end_ns: int,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, Any] | None = None,
        links: Sequence[SpanContext] = (),
    ) -> SpanContext:
        span: Span = self._tracer.start_span(
            name,
            set_span_in_context(NonRecordingSpan(parent)) if parent else None,
            kind,
            attributes,
            [Link(context) for context in links],
            SERVER_CLOCK_NS + start_ns,
        )
        span.end(SERVER_CLOCK_NS + end_ns)
        return span.get_span_context()

    def spans(self) -> list[ReadableSpan]:
        return self._collected.spans


def remote(exchange: Exchange) -> SpanContext:
    """The trace context that a server found in the request."""
    flags = TraceFlags(TraceFlags.SAMPLED)
    return SpanContext(int(exchange.trace_id, 16), int(exchange.span_id, 16), True, flags)


def columns(decomposition: Decomposition) -> dict[str, list[int]]:
    return {name: column.tolist() for name, column in decomposition.columns.items()}


def facts(decomposition: Decomposition) -> tuple[object, ...]:
    return (
        decomposition.count,
        columns(decomposition),
        dict(decomposition.undecomposed),
        dict(decomposition.sources),
        decomposition.scaled,
        decomposition.strays,
    )


def served(exchange: Exchange = SUCCESS) -> list[ReadableSpan]:
    """A server's spans: 4 ms in all, of them 1 of inference in 2.5 of a component by its name."""
    server = Server()
    entry = server.span("POST /predict", remote(exchange), 0, 4_000_000, SpanKind.SERVER)
    outer = server.span("preprocessing", entry, 500_000, 3_000_000)
    server.span(
        "forward", outer, 1_000_000, 2_000_000, attributes={"tracebench.component": "inference"}
    )
    return server.spans()


EXPECTED = {
    "end_to_end": [5_250_007],
    "service_time": [5_229_907],
    "backlog": [100],
    "connect": [0],
    "client": [20_000 + 50_007],
    "network": [1_179_900],
    "body": [0],
    "server_processing": [4_000_000],
    "queue": [-1],
    "preprocessing": [1_500_000],
    "inference": [1_000_000],
    "postprocessing": [-1],
    "server_other": [1_500_000],
}


@pytest.mark.parametrize("root_first", [True, False])
def test_server_spans_are_joined_in_any_order(root_first: bool) -> None:
    exporter = JoiningExporter()
    batches = [spans_of([SUCCESS]), served()]
    for batch in batches if root_first else reversed(batches):
        exporter.export(batch)
    found = exporter.decomposition()
    assert columns(found) == EXPECTED
    assert found.count == 1
    assert found.sources["otlp"] == 1


def test_the_bulk_door_joins_server_spans_as_well() -> None:
    exporter = JoiningExporter()
    exporter.add(*record([SUCCESS], [NO_TIMING]))
    exporter.export(served())
    assert columns(exporter.decomposition()) == EXPECTED


def test_it_works_in_anyone_s_provider() -> None:
    exporter = JoiningExporter()
    exporter.add(*record([SUCCESS], [NO_TIMING]))
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    parent = set_span_in_context(NonRecordingSpan(remote(SUCCESS)))
    tracer = provider.get_tracer("somebody")
    with tracer.start_as_current_span("entry", parent, SpanKind.SERVER):
        pass
    assert exporter.decomposition().sources["otlp"] == 1


def test_server_spans_are_believed_before_the_mirror() -> None:
    exporter = JoiningExporter()
    exporter.export([*spans_of([SUCCESS], [MIRROR]), *served()])
    assert columns(exporter.decomposition()) == EXPECTED


def test_a_reply_that_tells_otherwise_is_noticed() -> None:
    exporter = JoiningExporter()
    exporter.export([*spans_of([SUCCESS], [MIRROR]), *served()])
    found = exporter.decomposition()
    assert (found.with_both, found.disagreed) == (1, 1)
    assert found.differing["inference"].median_ns == 3_000_000
    exporter = JoiningExporter()
    exporter.export([*spans_of([SUCCESS]), *served()])
    assert exporter.decomposition().with_both == 0


def test_without_server_spans_the_mirror_is_believed() -> None:
    exporter = JoiningExporter()
    exporter.export(spans_of([SUCCESS], [MIRROR]))
    found = exporter.decomposition()
    assert columns(found)["inference"] == [4_000_000]
    assert found.sources["mirror"] == 1
    assert found.scaled == 1


@pytest.mark.parametrize(
    ("told", "mirrored", "found"), [(3, 0, 1), (0, 3, 1), (0, 0, 0), ("many", 0, 0)]
)
def test_requests_beside_which_components_ran_outside(
    told: object, mirrored: int, found: int
) -> None:
    server, exporter = Server(), JoiningExporter()
    attributes = {"tracebench.components_outside_requests": told}
    server.span("GET", remote(SUCCESS), 0, 4_000_000, SpanKind.SERVER, attributes)
    exporter.add(*record([SUCCESS], [MIRROR._replace(strays=mirrored)]))
    assert exporter.decomposition().strays == bool(mirrored)
    exporter.export(server.spans())
    assert exporter.decomposition().strays == found


def test_a_request_counts_once_through_whichever_doors_it_comes() -> None:
    exporter = JoiningExporter()
    exporter.add(*record([SUCCESS], [MIRROR]))
    exporter.export(spans_of([SUCCESS], [MIRROR]))
    exporter.export(spans_of([SUCCESS], [MIRROR]))
    exporter.add(*record([SUCCESS], [MIRROR]))
    assert exporter.decomposition().count == 1


def test_the_entry_is_the_root_s_child_of_kind_server() -> None:
    server = Server()
    server.span("proxy", remote(SUCCESS), 0, 4_500_000)
    late = server.span("late", remote(SUCCESS), 2_000_000, 3_000_000, SpanKind.SERVER)
    server.span("early", remote(SUCCESS), 1_000_000, 2_500_000, SpanKind.SERVER)
    server.span("below", late, 0, 4_000_000, SpanKind.SERVER)
    exporter = JoiningExporter()
    exporter.add(*record([SUCCESS], [NO_TIMING]))
    exporter.export(server.spans())
    assert columns(exporter.decomposition())["server_processing"] == [1_500_000]


def test_an_entry_of_another_kind_will_do() -> None:
    server = Server()
    server.span("handler", remote(SUCCESS), 0, 3_000_000)
    exporter = JoiningExporter()
    exporter.add(*record([SUCCESS], [NO_TIMING]))
    exporter.export(server.spans())
    assert columns(exporter.decomposition())["server_processing"] == [3_000_000]


def test_a_batch_span_of_another_trace_counts_for_all_that_it_is_linked_to() -> None:
    other = SUCCESS._replace(trace_id="f" * 32, span_id="e" * 16)
    server = Server()
    entries = [
        server.span("POST /predict", remote(exchange), 0, 4_000_000, SpanKind.SERVER)
        for exchange in (SUCCESS, other)
    ]
    server.span("inference", None, 1_000_000, 3_000_000, links=entries)
    exporter = JoiningExporter()
    exporter.add(*record([SUCCESS, other], [NO_TIMING] * 2))
    exporter.export(server.spans())
    found = columns(exporter.decomposition())
    assert found["inference"] == [2_000_000, 2_000_000]
    assert found["server_other"] == [2_000_000, 2_000_000]


def test_spans_of_other_traces_change_nothing() -> None:
    exporter = JoiningExporter()
    exporter.add(*record([SUCCESS], [MIRROR]))
    exporter.export(served(SUCCESS._replace(trace_id="1" * 32)))
    assert exporter.decomposition().sources["mirror"] == 1


def test_a_server_s_trace_without_its_entry_span_is_not_guessed_at() -> None:
    spans = [span for span in served() if span.kind is not SpanKind.SERVER]
    exporter = JoiningExporter()
    exporter.add(*record([SUCCESS], [NO_TIMING]))
    exporter.export(spans)
    assert exporter.decomposition().undecomposed[NO_TIMING] == 1


@pytest.mark.parametrize("sources", [["otlp", "backend"], ["backend", "otlp"]])
def test_spans_taken_from_two_sources_count_once_as_the_server_s_own(sources: list[Source]) -> None:
    exporter = JoiningExporter()
    exporter.add(*record([SUCCESS], [MIRROR]))
    for source in sources:
        exporter.take(map(from_sdk, served()), source)
    found = exporter.decomposition()
    assert columns(found) == EXPECTED
    assert dict(found.sources) == {"otlp": 1}


def test_a_backend_is_believed_before_the_mirror() -> None:
    exporter = JoiningExporter()
    exporter.add(*record([SUCCESS], [MIRROR]))
    exporter.take(map(from_sdk, served()), "backend")
    assert dict(exporter.decomposition().sources) == {"backend": 1}


def test_root_spans_come_by_their_own_door_only() -> None:
    exporter = JoiningExporter()
    exporter.take(map(from_sdk, spans_of([SUCCESS], [MIRROR])))
    assert exporter.decomposition().undecomposed == {}
    assert exporter.decomposition().count == 0


def test_what_failed_is_not_decomposed() -> None:
    exporter = JoiningExporter()
    exporter.add(*record([TIMED_OUT], [NO_TIMING]))
    assert exporter.decomposition().count == 0


def test_an_empty_run() -> None:
    assert JoiningExporter().decomposition().count == 0


requests = st.lists(
    st.tuples(exchanges(), mirrors()), max_size=5, unique_by=lambda pair: pair[0].trace_id
)


@given(requests, st.sets(st.integers(0, 4)))
def test_both_doors_give_one_answer(
    pairs: Sequence[tuple[Exchange, Timing | Undecomposed]], instrumented: set[int]
) -> None:
    rows, timings = [row for row, _ in pairs], [timing for _, timing in pairs]
    spans = [
        span for index, row in enumerate(rows) if index in instrumented for span in served(row)
    ]
    bulk, through_spans = JoiningExporter(), JoiningExporter()
    bulk.add(*record(rows, timings))
    through_spans.export(spans_of(rows, timings))
    for exporter in (bulk, through_spans):
        exporter.export(spans)
    assert facts(through_spans.decomposition()) == facts(bulk.decomposition())

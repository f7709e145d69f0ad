"""Spans in columns: what goes in comes out, and rows are found by their trace ids."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.tracing.otlp.test_json_lines import lasting
from tests.tracing.otlp_samples import message
from tracebench.model.record import span_columns as columns
from tracebench.model.record.span import Span
from tracebench.model.record.span_columns import Spans, SpanTable, TraceIndex, together
from tracebench.tracing.join.server_spans import KeptSpans
from tracebench.tracing.otlp.read_protobuf import read_into, read_protobuf

IDS = ["0" * 31 + "1", "1" + "0" * 31, "f" * 32, "ab" * 16]


def table(spans: list[Span]) -> Spans:
    made = SpanTable()
    assert all(made.add(span) for span in spans)
    return made.finished()


@given(st.lists(lasting, max_size=6))
def test_views_are_the_spans_that_were_added(spans: list[Span]) -> None:
    assert list(table(spans)) == spans
    assert list(together([table(spans), table([]), table(spans)])) == spans * 2
    assert list(table(spans).take(np.arange(len(spans))[1:3])) == spans[1:3]


def test_what_spans_say_alike_is_kept_once() -> None:
    spans = read_protobuf(message(500))
    assert len(table(spans).templates) == 1
    made = SpanTable()
    assert read_into(made, message(500)) == read_into(made, message(500)) == 500
    assert len(made.finished().templates) == 1
    assert list(made.finished()) == spans * 2


@pytest.mark.parametrize("where", ["span", "resource"])
def test_attributes_nested_too_deeply_cost_their_spans_alone(where: str) -> None:
    request = ExportTraceServiceRequest.FromString(message(9))
    [of_resource] = request.resource_spans
    bad = of_resource.scope_spans[0].spans[3] if where == "span" else of_resource.resource
    value = bad.attributes.add(key="deep").value
    for _ in range(40):
        value = value.array_value.values.add()
    request.resource_spans.add().CopyFrom(
        ExportTraceServiceRequest.FromString(message(2)).resource_spans[0]
    )
    made = SpanTable()
    left = 10 if where == "span" else 2
    assert read_into(made, request.SerializeToString()) == len(made.finished()) == left


def test_values_that_are_equal_and_not_the_same_are_kept_apart() -> None:
    [span] = read_protobuf(message(1))
    values = (1, True, 1.0, "1", (1,), (True,))
    spans = [span._replace(attributes={"a": value}) for value in values]
    found = [one.attributes["a"] for one in table(spans)]
    assert [(type(one), one) for one in found] == [(type(one), one) for one in values]
    assert found[5] == (True,)
    assert isinstance(found[5], tuple)
    assert found[5][0] is True


@pytest.mark.parametrize(
    "changes",
    [
        {"trace_id": "ab"},
        {"trace_id": "AB" * 16},
        {"span_id": "batch"},
        {"parent_id": "root"},
        {"start_ns": -1},
        {"end_ns": 2**63},
    ],
)
def test_what_does_not_fit_is_kept_beside(changes: dict[str, object]) -> None:
    [span] = read_protobuf(message(1))
    odd = span._replace(**changes)  # type: ignore[arg-type] # one field or another
    kept = KeptSpans()
    kept.add(odd)
    kept.add(span)
    assert kept.others == [odd]
    assert list(kept) == [span, odd]


@pytest.mark.parametrize("rows", [0, 1, 4])
def test_rows_are_found_by_their_ids(rows: int) -> None:
    index = TraceIndex.of(IDS[:rows])
    assert index.is_unique
    assert index.find(IDS).tolist() == [at if at < rows else -1 for at in range(4)]


def test_of_equal_ids_the_first_is_found_and_it_is_said() -> None:
    index = TraceIndex.of([IDS[0], IDS[1], IDS[0]])
    assert (index.find(IDS[:2]).tolist(), index.is_unique) == ([0, 1], False)


def test_ids_that_one_key_confuses_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_MULTIPLIERS", (np.uint64(0), *columns._MULTIPLIERS))
    index = TraceIndex.of(["1" * 16 + "2" * 16, "3" * 16 + "2" * 16])
    assert index.is_unique
    assert index.find(["3" * 16 + "2" * 16, "4" * 16 + "2" * 16]).tolist() == [1, -1]


def test_ids_of_another_form_are_found_nowhere() -> None:
    index = TraceIndex.blind(2)
    assert (index.find(IDS).tolist(), index.is_unique) == ([-1] * 4, False)

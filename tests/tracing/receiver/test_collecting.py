"""Waiting for stragglers, and which spans are given out."""

import json
from threading import Timer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.tracing.otlp_samples import PARENT, message, request, span
from tests.tracing.receiver.talk import batch, collected, json_batch, new_trace, post
from tracebench.tracing.receiver.client import Receiver, Waiting
from tracebench.tracing.receiver.completeness import LONGEST_S, Gathering, Patience, Roots
from tracebench.tracing.receiver.forward import to_protobuf
from tracebench.tracing.receiver.store import Batch, Digest, Encoding, digest

ONE, OTHER, BATCH = "1" * 32, "2" * 32, "3" * 32


def come(*batches: Batch, room_bytes: int = 1 << 20) -> Digest:
    return digest(batches, room_bytes)


def kept(body: bytes, encoding: Encoding = "protobuf") -> Digest:
    return come(Batch(encoding, 0, 1, body))


def gathered(**roots: str) -> Gathering:
    return Gathering(Roots.of(roots), 1 << 20)


def linked(trace_id: str, to: str) -> bytes:
    request = ExportTraceServiceRequest.FromString(batch(trace_id))
    request.resource_spans[0].scope_spans[0].spans[0].links.add(
        trace_id=bytes.fromhex(to), span_id=bytes(7) + b"\x01"
    )
    return request.SerializeToString()


def test_spans_of_the_runs_traces_and_of_batches_linked_to_them() -> None:
    gathering = gathered(**{ONE: PARENT, "4" * 32: "5" * 16})
    for body in (batch(BATCH, 2), linked(BATCH, ONE), batch(OTHER)):
        gathering.add(kept(body))
    assert gathering.missing == 2
    gathering.add(kept(json_batch(ONE), "json"))
    assert gathering.missing == 1
    gathering.add(kept(batch(ONE)))
    assert gathering.missing_traces() == ["4" * 32]
    assert [span.trace_id for span in gathering.spans()] == [BATCH, BATCH, BATCH, ONE, ONE]


def test_what_came_instead_is_looked_for_among_all_spans() -> None:
    gathering = gathered(**{ONE: PARENT, "4" * 32: "5" * 16})
    alone = request(span(traceId=OTHER, parentSpanId="", name="infer"))
    for body in (json_batch(ONE), json.dumps(alone).encode(), made_by("x", BATCH, "8" * 16)):
        gathering.add(kept(body, "json"))
    found = gathering.instead()
    assert (found.spans, found.own_traces, found.headless) == (3, 1, 0)
    assert found.names == {"'infer' of model": 1}
    assert {one.trace_id for one in gathering.spans()} == {ONE}


def test_only_a_child_of_our_root_is_an_entry() -> None:
    gathering = gathered(**{ONE: "9" * 16, OTHER: ""})
    gathering.add(kept(batch(ONE)))
    gathering.add(kept(message(1, bytes.fromhex(OTHER))))
    assert gathering.missing_traces() == [ONE, OTHER]


def made_by(service: str, trace_id: str, parent: str) -> bytes:
    one = request(span(traceId=trace_id, parentSpanId=parent))
    one["resourceSpans"][0]["resource"]["attributes"][0]["value"] = {"stringValue": service}
    return json.dumps(one).encode()


@pytest.mark.parametrize("binary", [False, True])
def test_each_of_several_processes_must_have_sent_since_the_load_ended(binary: bool) -> None:
    proxy, replica = (made_by("proxy", ONE, PARENT), made_by("replica", ONE, "8" * 16))
    encoding: Encoding = "protobuf" if binary else "json"
    if binary:
        proxy, replica = to_protobuf(proxy), to_protobuf(replica)
    gathering = gathered(**{ONE: PARENT})
    gathering.add(come(Batch(encoding, 5, 1, proxy)))
    assert gathering.is_whole(100)  # there seems to be one alone
    gathering.add(come(Batch(encoding, 90, 1, replica)))
    assert not gathering.is_whole(100)
    gathering.add(come(Batch(encoding, 110, 1, replica)))
    assert not gathering.is_whole(100)
    gathering.add(come(Batch(encoding, 120, 1, proxy)))
    assert gathering.is_whole(100)


def test_memory_for_one_target_is_bounded() -> None:
    body = batch(ONE)
    gathering = Gathering(Roots.of({ONE: PARENT}), 2 * len(body))
    batches = [Batch("protobuf", 0, spans, body) for spans in (1, 1, 7)]
    gathering.add(come(*batches, room_bytes=gathering.room_bytes))
    assert not gathering.missing
    assert (gathering.dropped, len(gathering.spans()), gathering.room_bytes) == (7, 2, 0)
    gathering.add(come(batches[2], room_bytes=gathering.room_bytes))
    assert (gathering.dropped, len(gathering.spans())) == (14, 2)


@pytest.mark.parametrize(
    ("arrivals_s", "quiet_s"),
    [
        ([], 6),
        ([3], 6),
        ([0, 0.1, 0.2], 6),
        ([0, 5, 10, 15], 6),
        ([0, 8, 16], 9),
        ([9, 1], 9),
        ([0, 100], 20),
    ],
)
def test_patience_learns_the_interval(arrivals_s: list[float], quiet_s: float) -> None:
    patience = Patience(arrivals_s, load_began_s=190, now_s=200)
    assert patience.quiet_s == quiet_s
    assert not patience.is_over(200 + quiet_s)
    assert patience.is_over(200.01 + quiet_s)
    patience.came(203)
    assert not patience.is_over(203 + quiet_s)
    assert patience.left_s(204) == quiet_s - 1


def test_a_short_run_ends_before_all_exporters_were_heard_of() -> None:
    patience = Patience([], load_began_s=10, now_s=12)
    assert not patience.knows_all(16)
    assert patience.knows_all(16.1)


def test_patience_has_an_end() -> None:
    patience = Patience([], load_began_s=0, now_s=0)
    patience.came(LONGEST_S - 1)
    assert patience.left_s(LONGEST_S - 1) == 1
    assert patience.is_over(LONGEST_S + 0.1)


def test_stragglers_are_waited_for(receiver: Receiver) -> None:
    one, other = new_trace(), new_trace()
    post(receiver, batch(one))
    looks: list[Waiting] = []
    straggler = Timer(0.5, lambda: post(receiver, batch(other)))
    straggler.start()
    received = receiver.collect(Roots.of({one: PARENT, other: PARENT}), on_wait=looks.append)
    straggler.join()
    assert received.joined == received.wanted == 2
    assert {look.missing for look in looks} == {1}
    assert 5 < looks[0].left_s <= 6


def test_nothing_is_waited_for_where_all_is_there(receiver: Receiver) -> None:
    trace_id = new_trace()
    post(receiver, batch(trace_id))
    looks: list[Waiting] = []
    assert receiver.collect(Roots.of({trace_id: PARENT}), on_wait=looks.append).joined == 1
    assert not looks


def test_the_wait_can_be_stopped(receiver: Receiver) -> None:
    answers = iter([False, False, True, True, True])
    received = receiver.collect(Roots.of({new_trace(): PARENT}), stopped=lambda: next(answers))
    assert (received.joined, received.ended_by) == (0, "the wait was interrupted")


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
def test_an_entry_span_without_an_end_is_counted_and_does_not_count_as_come(
    receiver: Receiver, encoding: Encoding
) -> None:
    before = collected(receiver)
    if encoding == "json":
        body = json.dumps(request(span(traceId=ONE, endTimeUnixNano="0"))).encode()
        reply = post(receiver, body, "application/json").json()
        assert "has no end" in reply["partialSuccess"]["errorMessage"]
    else:
        made = ExportTraceServiceRequest.FromString(batch(ONE))
        made.resource_spans[0].scope_spans[0].spans[0].end_time_unix_nano = 0
        assert post(receiver, made.SerializeToString()).status_code == 200
    found = collected(receiver, ONE)
    assert (found.joined, found.received - before.received) == (0, 0)
    assert found.rejected - before.rejected == 1
    assert "has no end" in found.problem
    assert list(found.spans) == []

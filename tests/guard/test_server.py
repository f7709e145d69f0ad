"""The guard's servers: what they answer, and that a run finds what they say by construction."""

from typing import Any

import pytest

from benchmarks.guard.replies import Grpc, Replies, Rest, Times
from benchmarks.guard.server import CLAIMED, served
from tracebench.benchmark import run
from tracebench.load.wire.http2_frames import (
    CLIENT_PREFACE,
    DATA,
    END_STREAM,
    HEADERS,
    frame,
    settings,
)
from tracebench.model.plan import Payload, Payloads, Plan, Targets, Workload
from tracebench.protos.inference_pb2 import PredictResponse

TIMES = Times(1_000, 2_000, 3_000, 10_000)
REQUEST = b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"
CALL = frame(HEADERS, 4, 1, b"\x82") + frame(DATA, 0, 1, b"hel") + frame(DATA, END_STREAM, 1, b"lo")
PAYLOAD = Payload(bytes(8_192), "application/octet-stream", "zeros", "data")


def completed(replies: Replies, pieces: list[bytes]) -> list[int]:
    return [stream for piece in pieces for stream in replies.receive(piece)[1]]


@pytest.mark.parametrize("size", [1, 7, 40, 1_000])
def test_requests_are_complete_however_their_bytes_arrive(size: int) -> None:
    calls = CLIENT_PREFACE + settings() + CALL + CALL.replace(b"\0\0\0\1", b"\0\0\0\3")
    assert completed(Grpc(), [calls[at : at + size] for at in range(0, len(calls), size)])
    for replies, given, expected in ((Rest(), REQUEST, [0]), (Grpc(), calls, [1, 3])):
        pieces = [given[at : at + size] for at in range(0, len(given), size)]
        assert completed(replies, pieces) == expected


def test_a_rest_reply() -> None:
    head, _, body = Rest().answer(0, TIMES).partition(b"\r\n\r\n")
    assert b'"inference": 0.000002000' in head
    assert b'"server_processing": 0.000010000' in head
    assert (head.splitlines()[-1], body) == (b"Content-Length: 2", b"ok")


def test_a_grpc_reply_carries_its_message() -> None:
    reply = Grpc().answer(5, TIMES)
    at = reply.index(b"\x0a\x02ok")
    size = int.from_bytes(reply[at - 4 : at], "big")
    said = {one.component: one.duration_ms for one in _message(reply[at : at + size]).timing_info}
    assert said == {name: ns / 1e6 for name, ns in TIMES.named()}


def _message(content: bytes) -> Any:
    return PredictResponse.FromString(content)


def plan(protocol: str, port: int, requests: int) -> Plan:
    if protocol == "rest":
        return Plan(
            Payloads(PAYLOAD),
            Targets(rest_url=f"http://127.0.0.1:{port}"),
            load=Workload(requests=requests, concurrency=4),
        )
    return Plan(
        Payloads(PAYLOAD),
        Targets(grpc_server=f"127.0.0.1:{port}"),
        load=Workload(requests=requests, concurrency=4),
    )


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_every_request_is_decomposed_into_what_was_claimed(protocol: str) -> None:
    with served(protocol) as port:
        found = run(plan(protocol, port, 500)).targets[protocol]
    assert found.decomposed == 500
    total = found.components["server_processing"]
    assert total.min_ms == pytest.approx(CLAIMED[0].server_processing_ns / 1e6, abs=1e-6)
    assert total.max_ms == pytest.approx(CLAIMED[-1].server_processing_ns / 1e6, abs=1e-6)


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_work_and_way_are_at_least_what_was_asked_for(protocol: str) -> None:
    with served(protocol, 5.0, 2.0) as port:
        found = run(plan(protocol, port, 40)).targets[protocol]
    assert found.decomposed == 40
    assert found.components["server_processing"].min_ms >= 5.0
    assert found.components["network"].min_ms >= 2.0

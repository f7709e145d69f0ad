"""The null server's answers, from tables: read by our own codecs, which know what a reply is."""

import pytest

from tracebench.load.peers.null_server import REPLY, GrpcAnswers, RestAnswers
from tracebench.load.wire import grpc_reply, http2_frames
from tracebench.load.wire.codec import ProtocolError, Slot
from tracebench.load.wire.grpc_request import GrpcRequest
from tracebench.load.wire.http2 import Http2Codec
from tracebench.tracing.roots.trace_ids import IdSource

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\ncontent-LENGTH: 5\r\n\r\n"
BARE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("size", [1, 7, 46, 47, 48, 100])
def test_a_request_is_answered_once_it_is_whole(size: int) -> None:
    answers = RestAnswers()
    for _ in range(2):
        request = HEAD + b"12345"
        parts = [request[at : at + size] for at in range(0, len(request), size)]
        replies = [answers.receive(part) for part in parts]
        assert replies == [b""] * (len(parts) - 1) + [REPLY]


def test_a_request_without_a_body() -> None:
    assert RestAnswers().receive(BARE) == REPLY


@pytest.mark.parametrize("parts", [[BARE + BARE], [HEAD, b"123456"]])
def test_more_than_one_request_at_a_time_is_refused(parts: list[bytes]) -> None:
    answers = RestAnswers()
    with pytest.raises(ProtocolError, match="more than one request"):
        [answers.receive(part) for part in parts]


def calls(count: int, message: bytes) -> tuple[Http2Codec, list[Slot], bytes]:
    request = GrpcRequest(b"/a.B/C", b"x", b"http", (), message, 1.0)
    codec = Http2Codec(request)
    codec.receive(GrpcAnswers.greeting)
    slots = [Slot(lambda _slot: None) for _ in range(count)]
    draw = IdSource().draw
    sent = [part for slot in slots for part in codec.request(slot, draw())]
    return codec, slots, codec.preface() + b"".join(sent)


@pytest.mark.parametrize("size", [1, 9, 1_000, 100_000])
def test_every_call_is_answered_ok(size: int) -> None:
    codec, slots, sent = calls(3, b"x" * 40_000)
    answers = GrpcAnswers()
    for at in range(0, len(sent), size):
        codec.receive(answers.receive(sent[at : at + size]))
    replies = [slot.reply for slot in slots]
    assert [grpc_reply.read_reply(one)[0].status for one in replies if one is not None] == [
        "OK"
    ] * 3
    assert not any(slot.error for slot in slots)


def test_a_large_message_needs_no_window_update() -> None:
    _, _, sent = calls(1, b"x" * 3_000_000)
    assert len(sent) > 3_000_000


def test_the_window_is_refilled() -> None:
    _, _, sent = calls(3, b"x" * 20_000)
    answered = GrpcAnswers(replenish_bytes=50_000).receive(sent)
    assert answered.count(http2_frames.window_update(0, 2 * 20_005 + 16_384)) == 1


def test_pings_are_answered() -> None:
    answers = GrpcAnswers()
    answers.receive(http2_frames.CLIENT_PREFACE)
    ping = http2_frames.frame(http2_frames.PING, 0, 0, b"12345678")
    answered = http2_frames.frame(http2_frames.PING, http2_frames.ACK, 0, b"12345678")
    assert answers.receive(ping) == answered
    assert answers.receive(answered) == b""


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"PRI * HTTP/2.0\r\n\r\nXX"])
def test_what_is_not_http2_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="does not speak HTTP/2"):
        GrpcAnswers().receive(data)

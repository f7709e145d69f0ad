"""The HTTP/2 codec against real gRPC servers, over a blocking socket."""

import random
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.load import grpc_servers
from tests.load.http2_samples import call, new_slot
from tracebench.load.wire import grpc_reply
from tracebench.load.wire.codec import Slot
from tracebench.load.wire.grpc_request import GrpcRequest
from tracebench.load.wire.http2 import Http2Codec
from tracebench.model.record.exchange import Reply

IDS = [b"%032x-%016x" % (n, n) for n in range(1, 401)]


@pytest.fixture(scope="module", params=["threads", "coroutines", "go"])
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    if request.param == "go":
        context = grpc_servers.go(tmp_path_factory.mktemp("go"))
    else:
        context = getattr(grpc_servers, request.param)()
    with context as number:
        yield number


class Client:
    """The smallest thing that can drive a codec: it blocks."""

    def __init__(self, port: int, request: GrpcRequest) -> None:
        self.codec = Http2Codec(request)
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._socket.sendall(self.codec.preface())
        while not self.codec.established:
            self._exchange()

    def _exchange(self) -> None:
        received = self._socket.recv(65_536)
        if received:
            self.codec.receive(received)
            self._socket.sendall(b"".join(self.codec.outgoing()))
        else:
            self.codec.end_of_file()

    def calls(self, ids: list[bytes]) -> list[Slot]:
        """Make so many calls, as many at once as the server allows."""
        slots, waiting = [new_slot() for _ in ids], list(ids)
        while self.codec.busy() or waiting:
            while waiting and self.codec.room > 0:
                slot = slots[len(slots) - len(waiting)]
                self._socket.sendall(b"".join(self.codec.request(slot, waiting.pop(0))))
            self._exchange()
        return slots

    def close(self) -> None:
        self._socket.close()


def once(port: int, request: GrpcRequest) -> tuple[Slot, Reply, str]:
    with closing(Client(port, request)) as client:
        (slot,) = client.calls(IDS[:1])
    assert slot.reply is not None, slot.error
    return slot, *grpc_reply.read_reply(slot.reply)


def test_a_call(port: int) -> None:
    _, reply, reason = once(port, call(b"hello"))
    assert (reply.status, reply.body, reason) == ("OK", b"hello", "")
    assert reply.headers["content-type"].startswith("application/grpc")
    assert (reply.headers["first"], reply.headers["last-bin"]) == ("1", "AP8")
    assert reply.headers["traced"] == f"00-{IDS[0].decode()}-01"


@pytest.mark.parametrize(
    ("size", "whole"),
    [(0, ()), (65_530, ()), (65_531, ()), (65_532, (b"65537",)), (1_000_000, (b"1000005",))],
)
def test_messages_of_any_size(port: int, size: int, whole: tuple[bytes, ...]) -> None:
    content = random.Random(size).randbytes(size)
    slot, reply, reason = once(port, call(content))
    assert (reply.body, reason) == (content[:65_531], "")
    assert slot.reply is not None
    assert slot.reply[3:] == whole


@pytest.mark.parametrize("content", [b"hello" * 10_000, bytes(10**6)])
def test_compressed_messages(port: int, content: bytes) -> None:
    slot, reply, reason = once(port, call(content, method=b"Gzip"))
    assert (reply.headers["grpc-encoding"], reason) == ("gzip", "")
    assert reply.body == content[:65_536]
    assert slot.reply is not None
    assert len(slot.reply[1]) < 2_000


def test_a_compressed_message_that_is_kept_in_part(port: int) -> None:
    content = random.Random(1).randbytes(500_000).hex().encode()
    _, reply, reason = once(port, call(content, method=b"Gzip"))
    assert reason == ""
    assert len(reply.body) == 65_536
    assert content.startswith(reply.body)


def test_a_failure(port: int) -> None:
    _, reply, reason = once(port, call(method=b"Fail"))
    assert (reply.status, reply.body, reason) == ("NOT_FOUND", b"", "NOT_FOUND: no such model: é")


def test_a_failure_of_a_large_request(port: int) -> None:
    request = call(bytes(3_000_000), ((b"large", b"v" * 5_000),), b"Fail")
    assert once(port, request)[2] == "NOT_FOUND: no such model: é"


def test_the_server_keeps_the_deadline(port: int) -> None:
    with closing(Client(port, call(method=b"Wait", timeout_s=0.05))) as client:
        (slot,) = client.calls(IDS[:1])
    if slot.reply is None:
        assert slot.error == "the server reset the stream: CANCEL"  # which Go's server may do
    else:
        assert grpc_reply.read_reply(slot.reply)[0].status == "DEADLINE_EXCEEDED"


def test_many_streams_on_one_connection(port: int) -> None:
    with closing(Client(port, call(bytes(24_000)))) as client:
        slots = client.calls(IDS)
    replies = [grpc_reply.read_reply(slot.reply or ()) for slot in slots]
    assert [reply.headers["traced"][3:-3].encode() for reply, _ in replies] == IDS
    assert {(len(reply.body), reason) for reply, reason in replies} == {(24_000, "")}

"""What is hostile or broken is refused cleanly, and the receiver goes on."""

import gzip
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from select import select
from threading import Event

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.tracing.otlp_samples import RECORDED
from tests.tracing.receiver.talk import (
    JSON,
    PROTOBUF,
    TRACES,
    batch,
    call,
    collected,
    connected,
    json_batch,
    new_trace,
    post,
    resident_mb,
    said,
    works,
)
from tracebench.tracing.receiver.client import Receiver
from tracebench.tracing.receiver.settings import Bounds

HEAD = f"POST /v1/traces HTTP/1.1\r\nContent-Type: {PROTOBUF}\r\n".encode()
FUZZ = settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def sent(receiver: Receiver, data: bytes) -> bytes:
    """What the receiver says to bytes after which nothing comes."""
    with connected(receiver) as raw:
        with suppress(ConnectionError):
            raw.sendall(data)
            raw.shutdown(socket.SHUT_WR)
        return said(raw)


def test_a_gzip_bomb(receiver: Receiver) -> None:
    bomb = gzip.compress(bytes(1 << 30), compresslevel=1)
    before_mb = resident_mb(receiver.pid)
    assert post(receiver, bomb, Content_Encoding="gzip").status_code == 413
    with pytest.raises(Exception, match="more than"):
        call(receiver, bomb)
    assert resident_mb(receiver.pid) < before_mb + 50
    assert works(receiver)


def test_a_body_of_1_gb_that_is_announced(receiver: Receiver) -> None:
    with connected(receiver) as raw:
        raw.sendall(HEAD + b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % (1 << 30))
        assert said(raw).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("length", [b"9" * 30, b"-1", b"1e9", b"5, 6", b""])
def test_lengths_that_are_none(receiver: Receiver, length: bytes) -> None:
    assert b" 200 " not in sent(receiver, HEAD + b"Content-Length: " + length + b"\r\n\r\n")
    assert works(receiver)


def test_a_body_of_1_gb_in_chunks(receiver: Receiver) -> None:
    before_mb = resident_mb(receiver.pid)
    piece = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    with connected(receiver) as raw:
        raw.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        with suppress(ConnectionError):
            for _ in range(1024):
                raw.sendall(piece)
        assert said(raw).startswith((b"HTTP/1.1 413 ", b""))
    assert resident_mb(receiver.pid) < before_mb + 50
    assert works(receiver)


@pytest.mark.parametrize("endless", [b"X: y\r\n", b"x", b"Y: " + b"z" * 4000 + b"\r\n"])
def test_a_head_without_end(tight: Receiver, endless: bytes) -> None:
    assert sent(tight, HEAD + endless * (200_000 // len(endless))).startswith(b"HTTP/1.1 431 ")


def test_trailers_without_end(tight: Receiver) -> None:
    data = HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 100_000
    assert sent(tight, data).startswith(b"HTTP/1.1 431 ")


@pytest.mark.slow
@pytest.mark.parametrize(
    "half", [b"", b"POST", HEAD, HEAD + b"Content-Length: 100\r\n\r\nhalf"], ids=range(4)
)
def test_what_is_never_finished_is_closed(tight: Receiver, half: bytes) -> None:
    with connected(tight) as raw:
        raw.sendall(half)
        reply = said(raw)
    assert reply.startswith(b"HTTP/1.1 408 ") if half else not reply
    assert works(tight)


def test_half_sent_calls_do_not_stop_others(receiver: Receiver) -> None:
    never = Event()

    def nothing() -> Iterator[bytes]:
        never.wait(60)
        yield from ()

    alone = [("grpc.use_local_subchannel_pool", 1)]  # a connection that others do not share
    with grpc.insecure_channel(receiver.grpc_address, alone) as channel:
        export = channel.stream_unary(TRACES, bytes, bytes)
        over = [export.future(nothing(), timeout=60) for _ in range(50)]
        assert works(receiver)
        never.set()
        for one in over:
            one.cancel()  # type: ignore[no-untyped-call] # of grpc-stubs
    assert works(receiver)


@pytest.fixture
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 11_000:
        pytest.skip(f"only {hard} files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 11_000), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
@pytest.mark.parametrize("door", ["http_address", "grpc_address"])
def test_ten_thousand_connections(receiver: Receiver, many_files: None, door: str) -> None:
    host, port = getattr(receiver, door).rsplit(":", 1)
    before_mb = resident_mb(receiver.pid)
    with ExitStack() as stack:
        for _ in range(10_000):
            raw = stack.enter_context(socket.create_connection((host, int(port)), timeout=20))
            with suppress(ConnectionError):
                raw.sendall(b"POST /v1/tr")
        trace_id = new_trace()
        assert post(receiver, batch(trace_id)).status_code == 200
        assert collected(receiver, trace_id).joined == 1
    assert resident_mb(receiver.pid) < before_mb + 100
    assert works(receiver)


def test_the_most_silent_connections_make_room(tight: Receiver) -> None:
    host, port = tight.http_address.rsplit(":", 1)
    with ExitStack() as stack:
        crowd = [
            stack.enter_context(socket.create_connection((host, int(port)), timeout=20))
            for _ in range(60)
        ]
        assert works(tight)
        assert said(crowd[0]) == b""  # closed
        refused = collected(tight).refused["too many connections"]
    assert refused >= 11


@FUZZ
@given(st.binary(max_size=300))
def test_random_bytes_over_http(receiver: Receiver, data: bytes) -> None:
    sent(receiver, data)


@FUZZ
@given(st.binary(max_size=300), st.sampled_from([PROTOBUF, JSON]), st.booleans())
def test_random_bodies(receiver: Receiver, data: bytes, kind: str, packed: bool) -> None:
    headers = {"Content_Encoding": "gzip"} if packed else {}
    body = gzip.compress(data) if packed else data
    assert post(receiver, body, kind, **headers).status_code in (200, 400)
    with suppress(Exception):
        call(receiver, body)


@FUZZ
@given(st.data())
def test_damaged_heads_and_bodies(receiver: Receiver, data: st.DataObject) -> None:
    recording = data.draw(st.sampled_from(sorted(RECORDED.glob("*-*.*"))))
    kind = JSON if recording.suffix == ".json" else PROTOBUF
    content = recording.read_bytes()
    head = f"POST /v1/traces HTTP/1.1\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}"
    whole = bytearray(head.encode() + b"\r\nContent-Encoding: identity\r\n\r\n" + content)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    sent(receiver, bytes(whole))


def test_it_still_works_after_all_that(receiver: Receiver) -> None:
    assert works(receiver)
    assert resident_mb(receiver.pid) < 400


def test_deep_json_and_a_batch_of_nothing(receiver: Receiver) -> None:
    assert post(receiver, b"[" * 1_000_000, JSON).status_code == 400
    assert (
        post(receiver, b'{"resourceSpans":[' + b"{}," * 300_000 + b"{}]}", JSON).status_code == 200
    )
    assert post(receiver, b"\x0a\x00" * 1_000_000).status_code == 200
    assert resident_mb(receiver.pid) < 700
    assert works(receiver)


def test_too_much_at_once_is_refused() -> None:
    bounds = Bounds(body_bytes=1 << 20, underway_bytes=3 << 20)
    with Receiver("127.0.0.1:0", bounds=bounds) as receiver, ExitStack() as stack:
        half = HEAD + b"Content-Length: 1048576\r\n\r\n" + bytes(1 << 19)
        crowd = [stack.enter_context(connected(receiver)) for _ in range(7)]
        for raw in crowd:
            raw.sendall(half)
        refused, _, _ = select(crowd, (), (), 10)  # whichever came when there was no more room
        assert said(refused[0]).startswith(b"HTTP/1.1 429 ")
        for raw in crowd:
            raw.close()
        trace_id = new_trace()
        assert post(receiver, json_batch(trace_id), JSON).status_code == 200
        assert post(receiver, batch(trace_id)).status_code == 200

"""The HTTP/1.1 codec from tables: bytes in, finished slots out."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracebench.load.wire.codec import CUT_SHORT, NO_REPLY, ProtocolError, Slot
from tracebench.load.wire.http1 import (
    KEPT_REPLY_BYTES,
    Http1Codec,
    HttpRequest,
    read_reply,
)

IDS = b"0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"
REQUEST = HttpRequest(b"POST / HTTP/1.1\r\ntraceparent: 00-", b"-01\r\n\r\n", b"body")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def opened() -> tuple[Http1Codec, Slot]:
    codec, slot = Http1Codec(REQUEST), Slot(lambda _slot: None)
    codec.request(slot, IDS)
    return codec, slot


def test_the_request_carries_its_ids() -> None:
    buffers = Http1Codec(REQUEST).request(Slot(lambda _slot: None), IDS)
    assert b"".join(buffers) == (
        b"POST / HTTP/1.1\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        b"\r\n\r\nbody"
    )


@pytest.mark.parametrize(
    ("data", "status", "body", "reusable"),
    [
        (OK, "200", b"ok", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "204", b"", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "200", b"", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "200", b"ok", False),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n1\r\n!\r\n0\r\n\r\n",
            "200",
            b"ok!",
            True,
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, "200", b"ok", True),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK, "200", b"ok", True),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 3\r\n\r\nbad", "500", b"bad", True),
    ],
)
def test_replies(data: bytes, status: str, body: bytes, reusable: bool) -> None:
    codec, slot = opened()
    assert codec.receive(data) == (slot,)
    assert slot.reply is not None
    reply, _ = read_reply(slot.reply)
    assert (reply.status, reply.body, codec.reusable, codec.busy()) == (
        status,
        body,
        reusable,
        False,
    )


@given(st.lists(st.integers(min_value=1, max_value=120), max_size=12))
def test_any_split_gives_the_same_reply(cuts: list[int]) -> None:
    data = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nX-Timing-Info: {}\r\n"
    data += b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    codec, slot = opened()
    edges = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    for start, end in pairwise(edges):
        assert slot.reply is None
        codec.receive(data[start:end])
    assert slot.reply is not None
    reply, reason = read_reply(slot.reply)
    assert (reply.headers["x-timing-info"], reply.body, reason) == ("{}", b"hello", "")


@pytest.mark.parametrize(
    ("data", "error", "body"),
    [
        (b"", NO_REPLY, None),
        (b"HTTP/1.1 200 OK\r\nConte", CUT_SHORT, None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", CUT_SHORT, None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok", CUT_SHORT, None),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", "", b"until the end"),
    ],
)
def test_end_of_file(data: bytes, error: str, body: bytes | None) -> None:
    codec, slot = opened()
    if data:
        codec.receive(data)
    assert codec.end_of_file() == (slot,)
    assert slot.error == error
    assert (read_reply(slot.reply)[0].body if slot.reply else None) == body
    assert not codec.reusable
    assert not codec.busy()


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        OK + OK,
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ],
)
def test_what_is_no_reply_is_refused(data: bytes) -> None:
    codec, _ = opened()
    with pytest.raises(ProtocolError):
        codec.receive(data)


def test_bytes_that_answer_nothing_are_refused() -> None:
    with pytest.raises(ProtocolError, match="answer no request"):
        Http1Codec(REQUEST).receive(OK)


def test_a_large_reply_is_not_kept_whole() -> None:
    codec, slot = opened()
    codec.receive(b"HTTP/1.1 200 OK\r\nServer-Timing: a;dur=1\r\nContent-Length: 1000000\r\n\r\n")
    for _ in range(1_000):
        codec.receive(bytes(1_000))
    assert slot.reply is not None
    assert len(slot.reply[0]) < KEPT_REPLY_BYTES
    assert read_reply(slot.reply)[0].headers["server-timing"] == "a;dur=1"


def test_repeated_headers_are_joined() -> None:
    head = b"HTTP/1.1 200 OK\r\nServer-Timing: a\r\nserver-timing: b\r\nContent-Length: 0\r\n\r\n"
    assert read_reply((head,))[0].headers["server-timing"] == "a, b"


@given(st.binary(max_size=200))
def test_no_bytes_do_harm(data: bytes) -> None:
    codec, _ = opened()
    try:
        codec.receive(data)
    except ProtocolError:
        return
    codec.end_of_file()
    read_reply((data,))

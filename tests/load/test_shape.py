"""What matches a learnt shape is one whole reply: the parser agrees."""

import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tracebench.load.shape import Match, shape, unknown

REPLY = (
    b"HTTP/1.1 200 OK\r\nServer: x/1.2\r\nContent-Length: 2\r\nConnection: keep-alive\r\n"
    b'X-Timing-Info: {"inference": 0.012}\r\n\r\nok'
)


def learnt(reply: bytes = REPLY) -> Match:
    found = shape(reply)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "like",
    [
        REPLY,
        REPLY.replace(b"0.012", b"0.0000034567"),
        REPLY.replace(b"x/1.2", b""),
        REPLY.replace(b"\r\n\r\nok", b"\r\n\r\n\r\n"),
    ],
)
def test_values_and_body_may_differ(like: bytes) -> None:
    assert learnt()(like)


@pytest.mark.parametrize(
    "unlike",
    [
        b"",
        REPLY[:-1],
        REPLY + b"!",
        REPLY + REPLY,
        REPLY.replace(b"200", b"500"),
        REPLY.replace(b"1.1", b"1.0"),
        REPLY.replace(b"Length: 2", b"Length: 3"),
        REPLY.replace(b"keep-alive", b"close"),
        REPLY.replace(b"Server: x/1.2\r\n", b""),
        REPLY.replace(b"Server: x/1.2", b"Server: x/1.2\r\nConnection: close"),
        REPLY.replace(b"Server", b"Origin"),
        b"HTTP/1.1 100 Continue\r\n\r\n" + REPLY,
    ],
)
def test_what_frames_a_reply_may_not(unlike: bytes) -> None:
    assert learnt()(unlike) is None


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + REPLY,
    ],
)
def test_only_a_length_gives_a_shape(reply: bytes) -> None:
    assert shape(reply) is None


def test_the_unknown_matches_nothing() -> None:
    match: Match = unknown
    assert match(REPLY) is None


class Parsed:
    """Counts the replies that the parser finds."""

    def __init__(self, data: bytes) -> None:
        self.replies = 0
        httptools.HttpResponseParser(self).feed_data(data)

    def on_message_complete(self) -> None:
        self.replies += 1


@given(st.binary(max_size=8), st.text("abc :,{}0.\t", max_size=20), st.integers(0, 3))
@example(b"\r\n", "", 0)
def test_the_parser_agrees(body: bytes, value: str, cut: int) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX: " % len(body)
    match = learnt(head + b"1\r\n\r\n" + bytes(len(body)))
    reply = head + value.encode() + b"\r\n\r\n" + body
    data = reply[: len(reply) - cut]
    assert bool(match(data)) == (Parsed(data).replies == 1)

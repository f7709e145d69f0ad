"""The HTTP/2 codec at a peer that breaks the rules."""

import pytest

from tests.load.http2_samples import (
    PING,
    SETTINGS,
    SETTINGS_ACK,
    block,
    call,
    data,
    goaway,
    headers,
    opened,
    ready,
    reply,
)
from tracebench.load.wire import http2_frames
from tracebench.load.wire.codec import ProtocolError
from tracebench.load.wire.http2 import MOST_ANSWERS, MOST_HEADER_BYTES, NOT_HTTP2, Http2Codec


@pytest.mark.parametrize(
    "received",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46 and more",
        PING,
        SETTINGS_ACK,
        goaway(0),
        http2_frames.settings((http2_frames.INITIAL_WINDOW_SIZE, 2**31)),
    ],
)
def test_a_peer_that_does_not_begin_with_settings(received: bytes) -> None:
    codec = Http2Codec(call())
    with pytest.raises(ProtocolError) as raised:
        codec.receive(received)
    assert str(raised.value) == NOT_HTTP2


@pytest.mark.parametrize(
    ("received", "reason"),
    [
        (http2_frames.frame(http2_frames.PUSH_PROMISE, 4, 1, bytes(4)), "pushed a stream"),
        (http2_frames.frame_header(16_385, http2_frames.DATA, 0, 1), "16385 bytes, too large"),
        (headers(3), "stream 3, which was never opened"),
        (data(2, b"x"), "stream 2, which was never opened"),
        (data(0, b"x"), "stream 0, which was never opened"),
        (http2_frames.window_update(5, 1), "stream 5, which was never opened"),
        (http2_frames.rst_stream(5, 1), "stream 5, which was never opened"),
        (http2_frames.rst_stream(0, 1), "stream 0, which was never opened"),
        (data(1, b"x"), "body before its headers"),
        (headers(1) + data(1, b"x") + headers(1), "headers in the middle of a reply's body"),
        (http2_frames.frame(http2_frames.CONTINUATION, 4, 1, b""), "not in order"),
        (http2_frames.frame(http2_frames.HEADERS, 0, 1, b"") + PING, "not in order"),
        (
            http2_frames.frame(http2_frames.HEADERS, 0, 1, b"")
            + http2_frames.frame(http2_frames.CONTINUATION, 4, 3, b""),
            "not in order",
        ),
        (
            http2_frames.frame(http2_frames.DATA, http2_frames.PADDED, 1, b"\5"),
            "more padding than payload",
        ),
        (
            http2_frames.frame(http2_frames.SETTINGS, 0, 0, bytes(5)),
            "SETTINGS frame of the wrong size",
        ),
        (
            http2_frames.frame(http2_frames.SETTINGS, 0, 1, b""),
            "an invalid SETTINGS frame",
        ),
        (
            http2_frames.frame(http2_frames.SETTINGS, http2_frames.ACK, 0, bytes(6)),
            "an invalid SETTINGS frame",
        ),
        (http2_frames.settings((http2_frames.INITIAL_WINDOW_SIZE, 2**31)), "window beyond"),
        (
            http2_frames.settings((http2_frames.MAX_FRAME_SIZE, 16_383)),
            "a frame size of 16383 bytes",
        ),
        (
            http2_frames.settings((http2_frames.MAX_FRAME_SIZE, 2**24)),
            "a frame size of 16777216 bytes",
        ),
        (http2_frames.frame(http2_frames.PING, 0, 0, bytes(7)), "an invalid PING frame"),
        (http2_frames.frame(http2_frames.PING, 0, 1, bytes(8)), "an invalid PING frame"),
        (http2_frames.frame(http2_frames.GOAWAY, 0, 0, bytes(7)), "GOAWAY frame of the wrong size"),
        (http2_frames.frame(http2_frames.RST_STREAM, 0, 1, bytes(5)), "of the wrong size"),
        (http2_frames.frame(http2_frames.WINDOW_UPDATE, 0, 1, bytes(3)), "of the wrong size"),
        (http2_frames.window_update(1, 0), "WINDOW_UPDATE frame of zero bytes"),
        (PING * (MOST_ANSWERS + 1), "floods the connection"),
        (SETTINGS * (MOST_ANSWERS + 1), "floods the connection"),
        (
            http2_frames.frame(http2_frames.HEADERS, 0, 1, bytes(16_384))
            + http2_frames.frame(http2_frames.CONTINUATION, 0, 1, bytes(16_384)) * 4,
            f"more than {MOST_HEADER_BYTES} bytes of headers",
        ),
    ],
)
def test_broken_rules(received: bytes, reason: str) -> None:
    codec = ready()
    slot = opened(codec)
    with pytest.raises(ProtocolError, match=reason):
        codec.receive(received)
    assert codec.end_of_file() == (slot,)
    assert slot.error


def test_a_reply_is_not_lost_when_its_read_breaks_the_rules_later_on() -> None:
    codec = ready()
    first, second = opened(codec), opened(codec)
    with pytest.raises(ProtocolError):
        codec.receive(reply(1) + data(0, b""))
    assert codec.end_of_file() == (first, second)


def test_a_header_block_may_be_as_large_as_it_may_be() -> None:
    codec = ready()
    slot = opened(codec)
    large = block((":status", "200"), *[(f"n{n}", chr(1 + n % 30) * 900) for n in range(14)])
    assert 40_000 < len(large) <= MOST_HEADER_BYTES
    parts = [large[at : at + 16_384] for at in range(0, len(large), 16_384)]
    received = http2_frames.frame(http2_frames.HEADERS, http2_frames.END_STREAM, 1, parts[0])
    for part in parts[1:]:
        received += http2_frames.frame(http2_frames.CONTINUATION, 0, 1, part)
    assert codec.receive(received + http2_frames.frame(http2_frames.CONTINUATION, 4, 1, b"")) == (
        slot,
    )
    assert slot.reply == (b"", b"", large)

"""The HTTP/2 codec from tables: bytes in, finished slots out, however a stream ends."""

import pytest

from tests.load.http2_samples import (
    INITIAL,
    PING,
    TRAILERS_ONLY,
    TRAILING,
    body_bytes,
    data,
    goaway,
    headers,
    message,
    opened,
    ready,
    reply,
)
from tracebench.load.wire import http2_frames
from tracebench.load.wire.codec import CUT_SHORT, NO_REPLY
from tracebench.load.wire.http2_streams import KEPT_MESSAGE_BYTES


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        (reply(1), (INITIAL, message(b"world"), TRAILING)),
        (headers(1, TRAILERS_ONLY, end=True), (b"", b"", TRAILERS_ONLY)),
        (headers(1) + data(1, b"text", end=True), (INITIAL, b"text", b"")),
        (headers(1) + data(1, b"") + data(1, b"", end=True), (INITIAL, b"", b"")),
        (headers(1, b"\x08\x03103") + reply(1), (INITIAL, message(b"world"), TRAILING)),
        (
            http2_frames.frame(
                http2_frames.HEADERS, 0x4 | 0x8 | 0x20, 1, b"\2\0\0\0\0\x10" + INITIAL + b"\0\0"
            )
            + http2_frames.frame(http2_frames.DATA, 0x8, 1, b"\3" + message(b"x") + bytes(3))
            + http2_frames.frame(http2_frames.PRIORITY, 0, 1, bytes(5))
            + headers(1, TRAILING, end=True),
            (INITIAL, message(b"x"), TRAILING),
        ),
        (
            http2_frames.frame(http2_frames.HEADERS, 0, 1, INITIAL[:3])
            + http2_frames.frame(http2_frames.CONTINUATION, 0, 1, INITIAL[3:7])
            + http2_frames.frame(
                http2_frames.CONTINUATION, http2_frames.END_HEADERS, 1, INITIAL[7:]
            )
            + data(1, message(b"x"))
            + http2_frames.frame(http2_frames.HEADERS, http2_frames.END_STREAM, 1, TRAILING)
            + http2_frames.frame(http2_frames.CONTINUATION, http2_frames.END_HEADERS, 1, b""),
            (INITIAL, message(b"x"), TRAILING),
        ),
        (
            http2_frames.frame(0xBE, 0xFF, 1, b"unknown")
            + http2_frames.settings((0x99, 1))
            + PING
            + http2_frames.frame(http2_frames.PING, http2_frames.ACK, 0, bytes(8))
            + reply(1)
            + http2_frames.rst_stream(1, 0),
            (INITIAL, message(b"world"), TRAILING),
        ),
    ],
)
def test_replies(received: bytes, expected: tuple[bytes, ...]) -> None:
    codec = ready()
    slot = opened(codec)
    assert codec.receive(received) == (slot,)
    assert (slot.reply, slot.error) == (expected, "")
    assert (codec.busy(), codec.reusable) == (False, True)


@pytest.mark.parametrize("size", [KEPT_MESSAGE_BYTES, KEPT_MESSAGE_BYTES + 1, 300_000])
def test_a_large_body_is_kept_in_part_and_counted_in_full(size: int) -> None:
    codec = ready()
    slot = opened(codec)
    body = bytes(n % 251 for n in range(size))
    codec.receive(headers(1) + data(1, body) + headers(1, TRAILING, end=True))
    count = () if size == KEPT_MESSAGE_BYTES else (b"%d" % size,)
    assert slot.reply == (INITIAL, body[:KEPT_MESSAGE_BYTES], TRAILING, *count)


def test_interleaved_replies_are_told_apart_and_the_last_one_is_last() -> None:
    codec = ready()
    first, second, third = opened(codec), opened(codec), opened(codec)
    assert codec.receive(headers(5)) == (third,)
    parts = headers(1) + headers(3) + data(3, message(b"3")) + data(1, message(b"1"))
    assert codec.receive(parts + headers(3, TRAILING, end=True)) == (first, second)
    assert second.reply == (INITIAL, message(b"3"), TRAILING)
    assert (first.reply, third.reply) == (None, None)
    assert codec.receive(headers(1, TRAILING, end=True) + data(5, b"")) == (first, third)
    assert first.reply == (INITIAL, message(b"1"), TRAILING)
    assert codec.receive(PING) == ()


def test_a_reply_before_the_end_of_its_request_cancels_the_rest() -> None:
    codec = ready(bytes(100_000))
    slot = opened(codec)
    assert codec.receive(headers(1, TRAILERS_ONLY, end=True)) == (slot,)
    assert slot.reply == (b"", b"", TRAILERS_ONLY)
    assert codec.outgoing() == [http2_frames.rst_stream(1, http2_frames.CANCEL)]
    assert (
        codec.receive(http2_frames.window_update(0, 100_000) + http2_frames.window_update(1, 9))
        == ()
    )
    assert codec.outgoing() == []


@pytest.mark.parametrize(
    ("code", "name"), [(7, "REFUSED_STREAM"), (8, "CANCEL"), (0, "NO_ERROR"), (77, "error 77")]
)
def test_a_reset_fails_its_exchange_alone(code: int, name: str) -> None:
    codec = ready()
    first, second = opened(codec), opened(codec)
    assert codec.receive(http2_frames.rst_stream(1, code)) == (first,)
    assert (first.reply, first.error) == (None, f"the server reset the stream: {name}")
    assert (second.reply, second.error) == (None, "")
    assert codec.receive(reply(3)) == (second,)


def test_a_farewell_fails_what_was_not_taken_and_lets_the_rest_end() -> None:
    codec = ready()
    first, second = opened(codec), opened(codec)
    assert codec.receive(goaway(1, 0, b"max_age\n")) == (second,)
    assert second.error == "the server did not take the request (GOAWAY NO_ERROR max_age)"
    assert not codec.reusable
    assert codec.receive(reply(3)) == ()
    assert codec.receive(reply(1)) == (first,)
    assert (first.error, codec.busy()) == ("", False)


def test_a_farewell_in_two_steps() -> None:
    codec = ready()
    first, second = opened(codec), opened(codec)
    assert codec.receive(goaway(2**31 - 1)) == ()
    assert codec.receive(PING + goaway(1)) == (second,)
    assert codec.receive(reply(1)) == (first,)


def test_the_end_of_the_connection_fails_what_is_open() -> None:
    codec = ready()
    first, second = opened(codec), opened(codec)
    codec.receive(headers(3))
    assert codec.end_of_file() == (first, second)
    assert (first.error, second.error) == (NO_REPLY, CUT_SHORT)
    assert (codec.end_of_file(), codec.reusable) == ((), False)


def test_the_end_of_the_connection_repeats_the_farewell() -> None:
    codec = ready()
    slot = opened(codec)
    codec.receive(goaway(1, 11, b"too_many_pings"))
    codec.end_of_file()
    assert slot.error == f"{NO_REPLY} (GOAWAY ENHANCE_YOUR_CALM too_many_pings)"


def test_what_comes_for_a_cancelled_request_is_ignored() -> None:
    codec = ready(bytes(100_000))
    first, second = opened(codec), opened(codec)
    assert codec.cancel(first) == [http2_frames.rst_stream(1, http2_frames.CANCEL)]
    assert codec.cancel(first) == []
    assert codec.receive(reply(1) + http2_frames.rst_stream(1, 8)) == ()
    assert (first.reply, first.error) == (None, "")
    codec.receive(http2_frames.window_update(0, 2**20))
    assert body_bytes(codec.outgoing()) == {3: 65_535}
    assert codec.receive(reply(3)) == (second,)


def test_data_for_a_cancelled_request_counts_against_the_connection_window() -> None:
    codec = ready()
    codec.cancel(opened(codec))
    part = data(1, bytes(2**20)) * 256
    for _ in range(4):
        codec.receive(part)
    assert codec.outgoing() == [http2_frames.window_update(0, 2**30)]


def test_the_peer_limits_how_many_streams_are_open() -> None:
    codec = ready(first=http2_frames.settings((http2_frames.MAX_CONCURRENT_STREAMS, 2)))
    assert codec.room == 2
    opened(codec)
    opened(codec)
    assert codec.room == 0
    codec.receive(http2_frames.settings((http2_frames.MAX_CONCURRENT_STREAMS, 1)))
    assert codec.room == -1
    codec.receive(reply(1) + reply(3))
    assert codec.room == 1


def test_stream_ids_end() -> None:
    codec = ready()
    codec._streams._next_id = 2**31 - 3
    opened(codec)
    assert codec.reusable
    slot = opened(codec)
    assert not codec.reusable
    assert codec.receive(reply(2**31 - 1)) == (slot,)

"""The HTTP/2 codec from tables: bytes in, finished slots out; bytes out, byte by byte."""

import pytest

from tests.load.http2_samples import (
    IDS,
    INITIAL,
    SETTINGS,
    SETTINGS_ACK,
    TRAILERS_ONLY,
    TRAILING,
    block,
    call,
    data,
    headers,
    message,
    new_slot,
    opened,
    ready,
    reply,
)
from tracebench.load import frames
from tracebench.load.codec import ProtocolError
from tracebench.load.http1 import CUT_SHORT, NO_REPLY
from tracebench.load.http2 import MOST_ANSWERS, MOST_HEADER_BYTES, NOT_HTTP2, Http2Codec
from tracebench.load.http2_stream import KEPT_BYTES

PING = frames.frame(frames.PING, 0, 0, b"12345678")


def goaway(last_id: int, code: int = 0, debug: bytes = b"") -> bytes:
    numbers = last_id.to_bytes(4, "big") + code.to_bytes(4, "big")
    return frames.frame(frames.GOAWAY, 0, 0, numbers + debug)


# ── what is sent ─────────────────────────────────────────────────────────────────────────────


def test_the_preface_byte_by_byte() -> None:
    assert Http2Codec(call()).preface() == b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex(
        "000018 04 00 00000000 0001 00000000 0002 00000000 0004 7fffffff 0006 00010000"
        "000004 08 00 00000000 7fff0000"
    )


def test_a_connection_stands_when_the_settings_have_come() -> None:
    codec = Http2Codec(call())
    assert not codec.established
    assert codec.receive(SETTINGS) == ()
    assert codec.established
    assert codec.outgoing() == [SETTINGS_ACK]
    assert codec.outgoing() == []


def test_a_request_is_one_headers_and_one_data_frame() -> None:
    codec, head = ready(), call().head + IDS + call().tail
    expected = (
        frames.frame_header(len(head), frames.HEADERS, frames.END_HEADERS, 1)
        + head
        + bytes.fromhex("00000a 00 01 00000001 00 00000005")
        + b"hello"
    )
    assert b"".join(codec.request(new_slot(), IDS)) == expected
    assert codec.request(new_slot(), IDS)[0][5:9] == bytes.fromhex("00000003")


def test_a_large_message_goes_out_in_frames_of_the_size_that_the_peer_takes() -> None:
    window = (frames.INITIAL_WINDOW_SIZE, 1_000_000)
    codec = ready(bytes(40_000), frames.settings(window, (frames.MAX_FRAME_SIZE, 20_000)))
    sent = codec.request(new_slot(), IDS)
    assert [len(part) for part in sent[1:]] == [9, 20_000, 9, 20_000, 9, 5]
    assert [part[4] for part in sent[1::2]] == [0, 0, frames.END_STREAM]


def test_a_header_block_beyond_a_frame_is_continued() -> None:
    request = call(metadata=((b"big", b"x" * 40_000),))
    codec = Http2Codec(request)
    codec.receive(SETTINGS)
    codec.outgoing()
    sent = list(frames.FrameSplitter().split(b"".join(codec.request(new_slot(), IDS))))
    assert [(kind, flags) for kind, flags, _, _ in sent] == [
        (frames.HEADERS, 0),
        (frames.CONTINUATION, 0),
        (frames.CONTINUATION, frames.END_HEADERS),
        (frames.DATA, frames.END_STREAM),
    ]
    assert b"".join(part for *_, part in sent[:3]) == request.head + IDS + request.tail


def test_what_is_owed_goes_out_before_a_request() -> None:
    codec = ready()
    codec.receive(frames.settings((frames.INITIAL_WINDOW_SIZE, 1)) + PING)
    pong = frames.frame(frames.PING, frames.ACK, 0, b"12345678")
    assert codec.request(new_slot(), IDS)[:2] == [SETTINGS_ACK, pong]


# ── flow control ─────────────────────────────────────────────────────────────────────────────


def body_bytes(sent: list[bytes]) -> dict[int, int]:
    """How many bytes of DATA were sent on each stream."""
    sizes: dict[int, int] = {}
    for kind, _, stream_id, payload in frames.FrameSplitter().split(b"".join(sent)):
        if kind == frames.DATA:
            sizes[stream_id] = sizes.get(stream_id, 0) + len(payload)
    return sizes


def test_a_message_beyond_the_windows_waits_for_both_of_them() -> None:
    codec = ready(bytes(100_000))
    assert body_bytes(codec.request(new_slot(), IDS)) == {1: 65_535}
    codec.receive(frames.window_update(1, 20_000))
    assert codec.outgoing() == []
    codec.receive(frames.window_update(0, 10_000))
    assert body_bytes(codec.outgoing()) == {1: 10_000}
    codec.receive(frames.window_update(0, 2**20))
    assert body_bytes(codec.outgoing()) == {1: 10_000}
    codec.receive(frames.window_update(1, 2**20))
    assert body_bytes(codec.outgoing()) == {1: 100_005 - 85_535}
    assert codec.outgoing() == []


def test_a_smaller_first_window_makes_the_windows_of_open_streams_negative() -> None:
    codec = ready(bytes(100_000))
    codec.request(new_slot(), IDS)  # takes all of both windows
    codec.receive(frames.settings((frames.INITIAL_WINDOW_SIZE, 1_000)))
    codec.receive(frames.window_update(0, 2**20))
    codec.receive(frames.window_update(1, 64_535))
    assert codec.outgoing() == [SETTINGS_ACK]
    codec.receive(frames.window_update(1, 10))
    assert body_bytes(codec.outgoing()) == {1: 10}
    codec.receive(frames.settings((frames.INITIAL_WINDOW_SIZE, 1_500)))
    assert body_bytes(codec.outgoing()) == {1: 500}
    assert body_bytes(codec.request(new_slot(), IDS)) == {3: 1_500}


def test_the_oldest_request_is_served_first() -> None:
    codec = ready(bytes(60_000))
    assert body_bytes(codec.request(new_slot(), IDS)) == {1: 60_005}
    assert body_bytes(codec.request(new_slot(), IDS)) == {3: 5_530}
    codec.receive(frames.window_update(0, 60_000))
    assert body_bytes(codec.request(new_slot(), IDS)) == {3: 54_475, 5: 5_525}


@pytest.mark.parametrize("stream_id", [0, 1])
def test_a_window_up_to_its_limit_and_beyond(stream_id: int) -> None:
    codec = ready(bytes(100_000))
    codec.request(new_slot(), IDS)
    codec.receive(frames.window_update(stream_id, 2**31 - 1))
    with pytest.raises(ProtocolError, match="window beyond"):
        codec.receive(frames.window_update(stream_id, 1))


def test_the_connection_window_is_refilled_before_it_is_used_up() -> None:
    codec = ready()
    opened(codec)
    codec.receive(headers(1))
    quarter = data(1, bytes(2**20)) * 256
    for _ in range(3):
        codec.receive(quarter)
        assert codec.outgoing() == []
    codec.receive(quarter)
    assert codec.outgoing() == [frames.window_update(0, 2**30)]


# ── replies ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        (reply(1), (INITIAL, message(b"world"), TRAILING)),
        (headers(1, TRAILERS_ONLY, end=True), (b"", b"", TRAILERS_ONLY)),
        (headers(1) + data(1, b"text", end=True), (INITIAL, b"text", b"")),
        (headers(1) + data(1, b"") + data(1, b"", end=True), (INITIAL, b"", b"")),
        (headers(1, b"\x08\x03103") + reply(1), (INITIAL, message(b"world"), TRAILING)),
        (
            frames.frame(frames.HEADERS, 0x4 | 0x8 | 0x20, 1, b"\2\0\0\0\0\x10" + INITIAL + b"\0\0")
            + frames.frame(frames.DATA, 0x8, 1, b"\3" + message(b"x") + bytes(3))
            + frames.frame(frames.PRIORITY, 0, 1, bytes(5))
            + headers(1, TRAILING, end=True),
            (INITIAL, message(b"x"), TRAILING),
        ),
        (
            frames.frame(frames.HEADERS, 0, 1, INITIAL[:3])
            + frames.frame(frames.CONTINUATION, 0, 1, INITIAL[3:7])
            + frames.frame(frames.CONTINUATION, frames.END_HEADERS, 1, INITIAL[7:])
            + data(1, message(b"x"))
            + frames.frame(frames.HEADERS, frames.END_STREAM, 1, TRAILING)
            + frames.frame(frames.CONTINUATION, frames.END_HEADERS, 1, b""),
            (INITIAL, message(b"x"), TRAILING),
        ),
        (
            frames.frame(0xBE, 0xFF, 1, b"unknown")
            + frames.settings((0x99, 1))
            + PING
            + frames.frame(frames.PING, frames.ACK, 0, bytes(8))
            + reply(1)
            + frames.rst_stream(1, 0),
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


@pytest.mark.parametrize("size", [KEPT_BYTES, KEPT_BYTES + 1, 300_000])
def test_a_large_body_is_kept_in_part_and_counted_in_full(size: int) -> None:
    codec = ready()
    slot = opened(codec)
    body = bytes(n % 251 for n in range(size))
    codec.receive(headers(1) + data(1, body) + headers(1, TRAILING, end=True))
    count = () if size == KEPT_BYTES else (b"%d" % size,)
    assert slot.reply == (INITIAL, body[:KEPT_BYTES], TRAILING, *count)


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
    assert codec.outgoing() == [frames.rst_stream(1, frames.CANCEL)]
    assert codec.receive(frames.window_update(0, 100_000) + frames.window_update(1, 9)) == ()
    assert codec.outgoing() == []


# ── endings ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("code", "name"), [(7, "REFUSED_STREAM"), (8, "CANCEL"), (0, "NO_ERROR"), (77, "error 77")]
)
def test_a_reset_fails_its_exchange_alone(code: int, name: str) -> None:
    codec = ready()
    first, second = opened(codec), opened(codec)
    assert codec.receive(frames.rst_stream(1, code)) == (first,)
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
    assert codec.cancel(first) == [frames.rst_stream(1, frames.CANCEL)]
    assert codec.cancel(first) == []
    assert codec.receive(reply(1) + frames.rst_stream(1, 8)) == ()
    assert (first.reply, first.error) == (None, "")
    codec.receive(frames.window_update(0, 2**20))
    assert body_bytes(codec.outgoing()) == {3: 65_535}
    assert codec.receive(reply(3)) == (second,)


def test_data_for_a_cancelled_request_counts_against_the_connection_window() -> None:
    codec = ready()
    codec.cancel(opened(codec))
    part = data(1, bytes(2**20)) * 256
    for _ in range(4):
        codec.receive(part)
    assert codec.outgoing() == [frames.window_update(0, 2**30)]


def test_the_peer_limits_how_many_streams_are_open() -> None:
    codec = ready(first=frames.settings((frames.MAX_CONCURRENT_STREAMS, 2)))
    assert codec.room == 2
    opened(codec)
    opened(codec)
    assert codec.room == 0
    codec.receive(frames.settings((frames.MAX_CONCURRENT_STREAMS, 1)))
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


# ── a peer that breaks the rules ─────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "received",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46 and more",
        PING,
        SETTINGS_ACK,
        goaway(0),
        frames.settings((frames.INITIAL_WINDOW_SIZE, 2**31)),
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
        (frames.frame(frames.PUSH_PROMISE, 4, 1, bytes(4)), "pushed a stream"),
        (frames.frame_header(16_385, frames.DATA, 0, 1), "16385 bytes, too large"),
        (headers(3), "stream 3, which was never opened"),
        (data(2, b"x"), "stream 2, which was never opened"),
        (data(0, b"x"), "stream 0, which was never opened"),
        (frames.window_update(5, 1), "stream 5, which was never opened"),
        (frames.rst_stream(5, 1), "stream 5, which was never opened"),
        (frames.rst_stream(0, 1), "stream 0, which was never opened"),
        (data(1, b"x"), "body before its headers"),
        (headers(1) + data(1, b"x") + headers(1), "headers in the middle of a reply's body"),
        (frames.frame(frames.CONTINUATION, 4, 1, b""), "not in order"),
        (frames.frame(frames.HEADERS, 0, 1, b"") + PING, "not in order"),
        (
            frames.frame(frames.HEADERS, 0, 1, b"") + frames.frame(frames.CONTINUATION, 4, 3, b""),
            "not in order",
        ),
        (frames.frame(frames.DATA, frames.PADDED, 1, b"\5"), "more padding than payload"),
        (frames.frame(frames.SETTINGS, 0, 0, bytes(5)), "SETTINGS frame of a wrong size"),
        (frames.frame(frames.SETTINGS, 0, 1, b""), "SETTINGS frame that makes no sense"),
        (
            frames.frame(frames.SETTINGS, frames.ACK, 0, bytes(6)),
            "SETTINGS frame that makes no sense",
        ),
        (frames.settings((frames.INITIAL_WINDOW_SIZE, 2**31)), "window beyond"),
        (frames.settings((frames.MAX_FRAME_SIZE, 16_383)), "a frame size of 16383 bytes"),
        (frames.settings((frames.MAX_FRAME_SIZE, 2**24)), "a frame size of 16777216 bytes"),
        (frames.frame(frames.PING, 0, 0, bytes(7)), "PING frame that makes no sense"),
        (frames.frame(frames.PING, 0, 1, bytes(8)), "PING frame that makes no sense"),
        (frames.frame(frames.GOAWAY, 0, 0, bytes(7)), "GOAWAY frame of a wrong size"),
        (frames.frame(frames.RST_STREAM, 0, 1, bytes(5)), "of a wrong size"),
        (frames.frame(frames.WINDOW_UPDATE, 0, 1, bytes(3)), "of a wrong size"),
        (frames.window_update(1, 0), "WINDOW_UPDATE frame of zero bytes"),
        (PING * (MOST_ANSWERS + 1), "floods the connection"),
        (SETTINGS * (MOST_ANSWERS + 1), "floods the connection"),
        (
            frames.frame(frames.HEADERS, 0, 1, bytes(16_384))
            + frames.frame(frames.CONTINUATION, 0, 1, bytes(16_384)) * 4,
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
    received = frames.frame(frames.HEADERS, frames.END_STREAM, 1, parts[0])
    for part in parts[1:]:
        received += frames.frame(frames.CONTINUATION, 0, 1, part)
    assert codec.receive(received + frames.frame(frames.CONTINUATION, 4, 1, b"")) == (slot,)
    assert slot.reply == (b"", b"", large)

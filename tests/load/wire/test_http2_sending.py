"""The HTTP/2 codec from tables: what it sends, byte by byte, and when the windows let it."""

import pytest

from tests.load.http2_samples import (
    IDS,
    PING,
    SETTINGS,
    SETTINGS_ACK,
    body_bytes,
    call,
    data,
    headers,
    new_slot,
    opened,
    ready,
)
from tracebench.load.wire import http2_frames
from tracebench.load.wire.codec import ProtocolError
from tracebench.load.wire.http2 import Http2Codec


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
        http2_frames.frame_header(len(head), http2_frames.HEADERS, http2_frames.END_HEADERS, 1)
        + head
        + bytes.fromhex("00000a 00 01 00000001 00 00000005")
        + b"hello"
    )
    assert b"".join(codec.request(new_slot(), IDS)) == expected
    assert codec.request(new_slot(), IDS)[0][5:9] == bytes.fromhex("00000003")


def test_a_large_message_goes_out_in_frames_of_the_size_that_the_peer_takes() -> None:
    window = (http2_frames.INITIAL_WINDOW_SIZE, 1_000_000)
    codec = ready(
        bytes(40_000), http2_frames.settings(window, (http2_frames.MAX_FRAME_SIZE, 20_000))
    )
    sent = codec.request(new_slot(), IDS)
    assert [len(part) for part in sent[1:]] == [9, 20_000, 9, 20_000, 9, 5]
    assert [part[4] for part in sent[1::2]] == [0, 0, http2_frames.END_STREAM]


def test_a_header_block_beyond_a_frame_is_continued() -> None:
    request = call(metadata=((b"big", b"x" * 40_000),))
    codec = Http2Codec(request)
    codec.receive(SETTINGS)
    codec.outgoing()
    sent = list(http2_frames.FrameSplitter().split(b"".join(codec.request(new_slot(), IDS))))
    assert [(kind, flags) for kind, flags, _, _ in sent] == [
        (http2_frames.HEADERS, 0),
        (http2_frames.CONTINUATION, 0),
        (http2_frames.CONTINUATION, http2_frames.END_HEADERS),
        (http2_frames.DATA, http2_frames.END_STREAM),
    ]
    assert b"".join(part for *_, part in sent[:3]) == request.head + IDS + request.tail


def test_what_is_owed_goes_out_before_a_request() -> None:
    codec = ready()
    codec.receive(http2_frames.settings((http2_frames.INITIAL_WINDOW_SIZE, 1)) + PING)
    pong = http2_frames.frame(http2_frames.PING, http2_frames.ACK, 0, b"12345678")
    assert codec.request(new_slot(), IDS)[:2] == [SETTINGS_ACK, pong]


def test_a_message_beyond_the_windows_waits_for_both_of_them() -> None:
    codec = ready(bytes(100_000))
    assert body_bytes(codec.request(new_slot(), IDS)) == {1: 65_535}
    codec.receive(http2_frames.window_update(1, 20_000))
    assert codec.outgoing() == []
    codec.receive(http2_frames.window_update(0, 10_000))
    assert body_bytes(codec.outgoing()) == {1: 10_000}
    codec.receive(http2_frames.window_update(0, 2**20))
    assert body_bytes(codec.outgoing()) == {1: 10_000}
    codec.receive(http2_frames.window_update(1, 2**20))
    assert body_bytes(codec.outgoing()) == {1: 100_005 - 85_535}
    assert codec.outgoing() == []


def test_a_smaller_first_window_makes_the_windows_of_open_streams_negative() -> None:
    codec = ready(bytes(100_000))
    codec.request(new_slot(), IDS)  # takes all of both windows
    codec.receive(http2_frames.settings((http2_frames.INITIAL_WINDOW_SIZE, 1_000)))
    codec.receive(http2_frames.window_update(0, 2**20))
    codec.receive(http2_frames.window_update(1, 64_535))
    assert codec.outgoing() == [SETTINGS_ACK]
    codec.receive(http2_frames.window_update(1, 10))
    assert body_bytes(codec.outgoing()) == {1: 10}
    codec.receive(http2_frames.settings((http2_frames.INITIAL_WINDOW_SIZE, 1_500)))
    assert body_bytes(codec.outgoing()) == {1: 500}
    assert body_bytes(codec.request(new_slot(), IDS)) == {3: 1_500}


def test_the_oldest_request_is_served_first() -> None:
    codec = ready(bytes(60_000))
    assert body_bytes(codec.request(new_slot(), IDS)) == {1: 60_005}
    assert body_bytes(codec.request(new_slot(), IDS)) == {3: 5_530}
    codec.receive(http2_frames.window_update(0, 60_000))
    assert body_bytes(codec.request(new_slot(), IDS)) == {3: 54_475, 5: 5_525}


@pytest.mark.parametrize("stream_id", [0, 1])
def test_a_window_up_to_its_limit_and_beyond(stream_id: int) -> None:
    codec = ready(bytes(100_000))
    codec.request(new_slot(), IDS)
    codec.receive(http2_frames.window_update(stream_id, 2**31 - 1))
    with pytest.raises(ProtocolError, match="window beyond"):
        codec.receive(http2_frames.window_update(stream_id, 1))


def test_the_connection_window_is_refilled_before_it_is_used_up() -> None:
    codec = ready()
    opened(codec)
    codec.receive(headers(1))
    quarter = data(1, bytes(2**20)) * 256
    for _ in range(3):
        codec.receive(quarter)
        assert codec.outgoing() == []
    codec.receive(quarter)
    assert codec.outgoing() == [http2_frames.window_update(0, 2**30)]

"""Replies whose framing is known: taken in one go, and never otherwise than frame by frame."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.load.http2_samples import (
    INITIAL,
    PING,
    TRAILERS_ONLY,
    TRAILING,
    data,
    headers,
    message,
    opened,
    ready,
    reply,
)
from tests.load.wire.test_http2_random import STREAMS, endings
from tracebench.load.wire import http2_frames
from tracebench.load.wire.http2 import MOST_FRAMINGS
from tracebench.load.wire.http2_framing import Framing

UPDATE = http2_frames.window_update(0, 9)
PADDED = http2_frames.frame(
    http2_frames.DATA, http2_frames.PADDED, 1, b"\1" + message(b"x") + b"\0"
)


@pytest.mark.parametrize(
    "received",
    [
        headers(1) + data(1, message(b"x")),
        headers(1, TRAILERS_ONLY, end=True),
        headers(1) + data(1, b"text", end=True),
        headers(1) + PADDED + headers(1, TRAILING, end=True),
        reply(1) + reply(3),
        reply(1) + http2_frames.rst_stream(1, 0),
        reply(1) + http2_frames.settings(),
        reply(1) + b"\0",
        reply(1)[:-1],
        b"\xff" * 20,
    ],
)
def test_only_one_whole_reply_is_learnt(received: bytes) -> None:
    assert Framing.of(received) is None


def test_a_reply_and_what_is_beside_it() -> None:
    framing = Framing.of(UPDATE + reply(1) + PING)
    assert framing is not None
    beside = [
        (http2_frames.WINDOW_UPDATE, 0, 0, UPDATE[http2_frames.HEADER_SIZE :]),
        (http2_frames.PING, 0, 0, PING[http2_frames.HEADER_SIZE :]),
    ]
    taken = 7, (INITIAL, message(b"other"), TRAILING), beside
    assert framing.take(UPDATE + reply(7, b"other") + PING) == taken


def test_frames_of_several_streams_are_no_reply() -> None:
    framing = Framing.of(reply(1))
    mixed = headers(1) + data(3, message(b"world")) + headers(1, TRAILING, end=True)
    assert framing is not None
    assert framing.take(mixed) is None


def test_a_learnt_reply_is_taken_as_it_was_before() -> None:
    codec = ready()
    slots = [opened(codec) for _ in range(3)]
    for stream_id, slot in zip((1, 3, 5), slots, strict=True):
        assert codec.receive(reply(stream_id) + PING) == (slot,)
        assert slot.reply == (INITIAL, message(b"world"), TRAILING)
        assert codec.outgoing() == [
            http2_frames.frame(http2_frames.PING, http2_frames.ACK, 0, PING[-8:])
        ]
    assert not codec.busy()


READS = (
    *(reply(2 * n + 1) for n in range(STREAMS)),
    *(reply(2 * n + 1) + UPDATE for n in range(STREAMS)),
    headers(1) + data(3, message(b"world")) + headers(1, TRAILING, end=True),
    headers(1) + data(1, message(b"world")) + headers(1, TRAILING),
    headers(3),
    headers(3)[:12],
    headers(3)[12:],
    http2_frames.frame(http2_frames.HEADERS, 0, 5, INITIAL),
    http2_frames.window_update(9, 1),
    reply(2),
    reply(9),
    reply(1)[:5] + b"\x80" + reply(1)[6:],
)


@given(st.lists(st.sampled_from(READS), max_size=8), st.integers(1, 20))
def test_known_reads_end_as_unknown_ones(reads: list[bytes], cut: int) -> None:
    """Whole, they may be known; cut in two, they never are."""
    halves = [half for read in reads for half in (read[:cut], read[cut:]) if half]
    whole, cut_up = endings(ready(), *reads), endings(ready(), *halves)
    assert whole[0] == cut_up[0]
    assert whole[2] == cut_up[2]


def test_replies_of_more_sizes_than_are_learnt() -> None:
    codec = ready()
    for size in range(2 * MOST_FRAMINGS):
        slot = opened(codec)
        content = b"x" * size
        assert codec.receive(reply(2 * size + 1, content)) == (slot,)
        assert slot.reply == (INITIAL, message(content), TRAILING)

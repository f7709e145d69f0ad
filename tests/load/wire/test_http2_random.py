"""The HTTP/2 codec under any split of its input, and under any input."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.load.http2_samples import (
    SETTINGS,
    TRAILERS_ONLY,
    TRAILING,
    data,
    headers,
    message,
    opened,
    ready,
    reply,
)
from tracebench.load.wire import http2_frames
from tracebench.load.wire.codec import ProtocolError, RawReply
from tracebench.load.wire.http2 import Http2Codec

STREAMS = 4
Ending = tuple[RawReply | None, str]

PIECES = (
    SETTINGS,
    http2_frames.settings((http2_frames.INITIAL_WINDOW_SIZE, 0)),
    http2_frames.settings((http2_frames.INITIAL_WINDOW_SIZE, 2**31 - 1)),
    http2_frames.frame(http2_frames.PING, 0, 0, bytes(8)),
    http2_frames.window_update(0, 1_000),
    http2_frames.window_update(3, 100_000),
    http2_frames.rst_stream(5, 7),
    http2_frames.frame(http2_frames.GOAWAY, 0, 0, bytes((0, 0, 0, 3, 0, 0, 0, 0))),
    http2_frames.frame(0xFA, 0, 1, b"unknown"),
    headers(7, TRAILERS_ONLY, end=True),
    headers(1),
    headers(1, TRAILING, end=True),
    data(1, message(bytes(70_000))),
    http2_frames.frame(http2_frames.HEADERS, http2_frames.END_STREAM, 5, TRAILERS_ONLY[:4])
    + http2_frames.frame(http2_frames.CONTINUATION, http2_frames.END_HEADERS, 5, TRAILERS_ONLY[4:]),
    *(reply(2 * n + 1) for n in range(STREAMS)),
)


def endings(codec: Http2Codec, *reads: bytes) -> tuple[list[Ending], bytes, str]:
    """How each of four exchanges ended, what the codec sent meanwhile, and why it gave up."""
    slots = [opened(codec) for _ in range(STREAMS)]
    sent, broken = [], ""
    try:
        for part in reads:
            touched = codec.receive(part)
            assert len(touched) == len(set(touched))
            sent += codec.outgoing()
    except ProtocolError as error:
        broken = str(error)
    answers = [
        one
        for one in http2_frames.FrameSplitter().split(b"".join(sent))
        if one[0] != http2_frames.DATA
    ]
    ended = [(slot.reply, slot.error) for slot in slots]
    return ended, repr(answers).encode(), broken


@given(st.lists(st.sampled_from(PIECES), max_size=8), st.lists(st.integers(0, 999), max_size=20))
def test_any_split_gives_the_same_ends(pieces: list[bytes], cuts: list[int]) -> None:
    received = b"".join(pieces)
    edges = sorted({min(cut, len(received)) for cut in cuts} | {0, len(received)})
    parts = [received[start:end] for start, end in pairwise(edges)]
    whole, split = endings(ready(), received), endings(ready(), *parts)
    assert split[0] == whole[0]
    assert split[2] == whole[2]
    if not whole[2]:  # a read that breaks the rules leaves its acknowledgements unsent
        assert split[1] == whole[1]


@given(st.lists(st.sampled_from(PIECES), max_size=8))
def test_every_exchange_ends_once(pieces: list[bytes]) -> None:
    codec = ready(bytes(100_000))
    slots = [opened(codec) for _ in range(STREAMS)]
    ended = []
    try:
        for piece in pieces:
            touched = codec.receive(piece)
            ended += [slot for slot in touched if slot.reply is not None or slot.error]
    except ProtocolError:
        pass
    ended += codec.end_of_file()
    assert sorted(map(id, ended)) == sorted(map(id, slots))
    assert not codec.busy()


@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_nothing_but_protocol_errors(received: bytes) -> None:
    ended, _, _ = endings(ready(), received)
    assert not any(reply is not None and error for reply, error in ended)


@given(
    st.lists(
        st.builds(
            http2_frames.frame,
            st.integers(0, 10),
            st.integers(0, 255),
            st.integers(0, 2 * STREAMS),
            st.binary(max_size=12) | st.sampled_from([bytes(4), bytes(8), b"\0\0\0\1"]),
        ),
        max_size=12,
    )
)
def test_arbitrary_frames_raise_nothing_but_protocol_errors(received: list[bytes]) -> None:
    ended, _, _ = endings(ready(), *received)
    assert not any(reply is not None and error for reply, error in ended)

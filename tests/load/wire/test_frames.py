"""Frames, byte by byte."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracebench.load.wire import http2_frames
from tracebench.load.wire.codec import ProtocolError
from tracebench.load.wire.http2_frames import Frame, FrameSplitter


def split(*reads: bytes) -> list[Frame]:
    splitter = FrameSplitter()
    return [frame for data in reads for frame in splitter.split(data)]


@pytest.mark.parametrize(
    ("packed", "hexadecimal"),
    [
        (
            http2_frames.frame(http2_frames.DATA, http2_frames.END_STREAM, 1, b"abc"),
            "000003 00 01 00000001 616263",
        ),
        (http2_frames.frame_header(16_384, http2_frames.HEADERS, 4, 3), "004000 01 04 00000003"),
        (
            http2_frames.frame_header(0x012345, http2_frames.DATA, 0, 2**31 - 1),
            "012345 00 00 7fffffff",
        ),
        (http2_frames.settings((4, 2**31 - 1)), "000006 04 00 00000000 0004 7fffffff"),
        (http2_frames.settings(), "000000 04 00 00000000"),
        (http2_frames.window_update(5, 7), "000004 08 00 00000005 00000007"),
        (http2_frames.rst_stream(9, http2_frames.CANCEL), "000004 03 00 00000009 00000008"),
    ],
)
def test_packing(packed: bytes, hexadecimal: str) -> None:
    assert packed == bytes.fromhex(hexadecimal)


def test_splitting_ignores_the_reserved_bit_of_the_stream_id() -> None:
    assert split(bytes.fromhex("000001 00 00 80000001 61")) == [(http2_frames.DATA, 0, 1, b"a")]


@given(
    st.lists(
        st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, 2**31 - 1), st.binary()),
        max_size=6,
    ),
    st.lists(st.integers(0, 400), max_size=12),
)
def test_any_split_gives_the_same_frames(sent: list[Frame], cuts: list[int]) -> None:
    stream = b"".join(http2_frames.frame(*one) for one in sent)
    edges = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    assert split(*(stream[start:end] for start, end in pairwise(edges))) == sent


def test_a_frame_comes_out_with_its_last_byte_when_fed_byte_by_byte() -> None:
    packed = http2_frames.frame(http2_frames.DATA, 0, 1, bytes(16_384)) * 3
    splitter = FrameSplitter()
    ends = [at for at in range(len(packed)) if list(splitter.split(packed[at : at + 1]))]
    assert ends == [16_392, 32_785, 49_178]


def test_a_frame_beyond_our_limit_is_refused_at_its_header() -> None:
    header = http2_frames.frame_header(16_385, http2_frames.DATA, 0, 1)
    with pytest.raises(ProtocolError, match="a frame of 16385 bytes, too large"):
        split(header)


def test_frames_before_a_faulty_one_still_come_out() -> None:
    splitter = FrameSplitter()
    given_frames = splitter.split(
        http2_frames.settings() + http2_frames.frame_header(2**24 - 1, 0, 0, 1)
    )
    assert next(given_frames) == (http2_frames.SETTINGS, 0, 0, b"")
    with pytest.raises(ProtocolError):
        next(given_frames)


@pytest.mark.parametrize(
    ("flags", "payload", "expected"),
    [
        (0, b"\x02abc", b"\x02abc"),
        (http2_frames.PADDED, b"\x02ab\0\0", b"ab"),
        (http2_frames.PADDED, b"\x00abc", b"abc"),
        (http2_frames.PADDED, b"\x02\0\0", b""),
        (http2_frames.WITH_PRIORITY, b"\0\0\0\0\x10block", b"block"),
        (http2_frames.PADDED | http2_frames.WITH_PRIORITY, b"\x01\0\0\0\0\x10block\0", b"block"),
    ],
)
def test_padding_and_priority_are_stripped(flags: int, payload: bytes, expected: bytes) -> None:
    assert http2_frames.header_fragment(flags, payload) == expected


@pytest.mark.parametrize(
    ("flags", "payload", "message"),
    [
        (http2_frames.PADDED, b"", "more padding than payload"),
        (http2_frames.PADDED, b"\x01", "more padding than payload"),
        (http2_frames.PADDED, b"\xffabc", "more padding than payload"),
        (http2_frames.WITH_PRIORITY, b"\0\0\0\0", "HEADERS frame of the wrong size"),
    ],
)
def test_impossible_padding(flags: int, payload: bytes, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        http2_frames.header_fragment(flags, payload)


@pytest.mark.parametrize(
    ("code", "name"), [(0, "NO_ERROR"), (7, "REFUSED_STREAM"), (13, "HTTP_1_1_REQUIRED")]
)
def test_error_names(code: int, name: str) -> None:
    assert http2_frames.error_name(code) == name


def test_an_unknown_error_keeps_its_number() -> None:
    assert http2_frames.error_name(4_711) == "error 4711"

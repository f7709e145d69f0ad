"""What a gRPC call puts on the wire, checked with hpack's decoder."""

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.load.http2_samples import IDS, call
from tracebench import __version__
from tracebench.load.wire.grpc_request import literal, timeout_text


def decoded(block: bytes) -> list[tuple[bytes, bytes]]:
    decoder = hpack.Decoder(2**24)
    decoder.header_table_size = decoder.max_allowed_table_size = 0
    return [(name, value) for name, value in decoder.decode(block, raw=True)]


def test_the_header_block_carries_everything_in_order() -> None:
    request = call(metadata=((b"x-key", b"secret"), (b"x-bin", b"\x00\xff\x01\x02")))
    assert decoded(request.head + IDS + request.tail) == [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/test.Echo/Say"),
        (b":authority", b"localhost:50051"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        (b"user-agent", f"tracebench/{__version__}".encode()),
        (b"grpc-accept-encoding", b"identity,gzip"),
        (b"grpc-timeout", b"30000000u"),
        (b"x-key", b"secret"),
        (b"x-bin", b"AP8BAg"),
        (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ]


def test_the_message_is_prefixed_with_its_size() -> None:
    assert call(b"hello").framed == b"\0\0\0\0\x05hello"
    assert call(b"").framed == b"\0\0\0\0\0"


@pytest.mark.parametrize(
    ("timeout_s", "text"),
    [
        (1e-12, "1n"),
        (0.05, "50000000n"),
        (0.1, "100000u"),
        (30.0, "30000000u"),
        (99.999_999, "99999999u"),
        (100.0, "100000m"),
        (86_400.0, "86400000m"),
        (1e6, "1000000S"),
        (1e12, "99999999S"),
    ],
)
def test_timeouts_are_in_the_finest_unit_of_eight_digits(timeout_s: float, text: str) -> None:
    assert timeout_text(timeout_s) == text


@given(st.floats(1e-6, 1e7))
def test_timeouts_lose_next_to_nothing(timeout_s: float) -> None:
    text = timeout_text(timeout_s)
    assert len(text) <= 9
    seconds = int(text[:-1]) / {"n": 1e9, "u": 1e6, "m": 1e3, "S": 1}[text[-1]]
    assert seconds == pytest.approx(timeout_s, rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("size", [0, 1, 126, 127, 128, 254, 255, 16_383, 16_510, 16_511, 2_100_000])
def test_literals_of_any_length_are_read_back(size: int) -> None:
    value = b"v" * size
    assert decoded(literal(b"name", value)) == [(b"name", value)]


def test_a_literal_of_127_bytes_byte_by_byte() -> None:
    assert literal(b"n", b"v" * 127) == b"\x00\x01n\x7f\x00" + b"v" * 127

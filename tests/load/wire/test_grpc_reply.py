"""Reading gRPC replies from tables."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.load.http2_samples import INITIAL, TRAILERS_ONLY, TRAILING, block, message
from tracebench.load.wire.codec import RawReply
from tracebench.load.wire.grpc_reply import MOST_MESSAGE_BYTES, read_reply
from tracebench.load.wire.http2_streams import KEPT_MESSAGE_BYTES
from tracebench.model.record.exchange import Reply

GZIPPED = block((":status", "200"), ("content-type", "application/grpc"), ("grpc-encoding", "gzip"))


def packed(content: bytes) -> bytes:
    return b"\1" + len(content).to_bytes(4, "big") + content


def status(number: str, text: str | None = None) -> bytes:
    return block(("grpc-status", number), *([("grpc-message", text)] if text is not None else []))


def test_a_success() -> None:
    reply, reason = read_reply((INITIAL, message(b"world"), TRAILING))
    assert (reply.status, reply.body, reason) == ("OK", b"world", "")
    assert reply.headers == {
        "content-type": "application/grpc",
        "server": "sample",
        "grpc-status": "0",
        "server-timing": "inference;dur=4.2",
    }


def test_an_empty_message_is_a_success() -> None:
    assert read_reply((INITIAL, message(b""), TRAILING))[1] == ""


def test_metadata_of_one_name_is_joined_and_binary_metadata_is_left_as_it_is() -> None:
    initial = block((":status", "200"), ("content-type", "application/grpc"), ("a", "1"))
    trailing = block(("grpc-status", "0"), ("A", "2"), ("b-bin", "AP8BAg"))
    headers = read_reply((initial, message(b""), trailing))[0].headers
    assert (headers["a"], headers["b-bin"]) == ("1, 2", "AP8BAg")


@pytest.mark.parametrize("initial", [b"", block((":status", "103"), ("link", "</x>"))])
def test_trailers_only(initial: bytes) -> None:
    reply, reason = read_reply((initial, b"", TRAILERS_ONLY))
    assert (reply.status, reply.body, reason) == ("NOT_FOUND", b"", "NOT_FOUND: no such model")
    assert "link" not in reply.headers


@pytest.mark.parametrize(
    ("raw", "reply_status", "reason"),
    [
        ((INITIAL, b"", status("4")), "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"),
        ((INITIAL, b"", status("13", "a%0Ab%C3%A9%zz")), "INTERNAL", "INTERNAL: a bé%zz"),
        ((INITIAL, b"", status("2", "x" * 300)), "UNKNOWN", "UNKNOWN: " + "x" * 190 + "…"),
        ((INITIAL, b"", status("99", "odd")), "grpc-status 99", "grpc-status 99: odd"),
        ((INITIAL, b"", status("zero")), "grpc-status zero", "grpc-status zero"),
        ((INITIAL, message(b"x"), b""), "200", "the reply has no grpc-status"),
        ((INITIAL, message(b"x"), block(("a", "b"))), "200", "the reply has no grpc-status"),
        ((INITIAL, b"", TRAILING), "OK", "OK, but without a message"),
        ((INITIAL, b"\0\0", TRAILING), "OK", "the message is cut short: 2 bytes"),
        ((INITIAL, b"\0\0\0\0\x05worl", TRAILING), "OK", "the message is cut short: 4 of 5 bytes"),
        (
            (INITIAL, message(b"a") + message(b"b"), TRAILING),
            "OK",
            "more than one message in the reply of a unary call",
        ),
        (
            (block((":status", "502"), ("content-type", "text/html")), b"<html>", b""),
            "502",
            "HTTP 502 from the gRPC port",
        ),
        (
            (block((":status", "200"), ("content-type", "text/html")), b"<html>", b""),
            "200",
            "the reply is not gRPC: its content type is 'text/html'",
        ),
        (
            (block((":status", "500")), message(b""), status("0")),
            "OK",
            "HTTP 500 from the gRPC port",
        ),
        ((block((":status", "503")), b"", status("14")), "UNAVAILABLE", "UNAVAILABLE"),
        (
            (INITIAL, packed(b"x"), TRAILING),
            "OK",
            "the message has an encoding that was not offered: identity",
        ),
        (
            (INITIAL, b"\2\0\0\0\1x", TRAILING),
            "OK",
            "the message has an encoding that was not offered: identity",
        ),
    ],
)
def test_failures(raw: RawReply, reply_status: str, reason: str) -> None:
    reply, why = read_reply(raw)
    assert (reply.status, why) == (reply_status, reason)


def test_a_message_kept_in_part_is_a_success_of_its_whole_size() -> None:
    whole = message(bytes(100_000))
    reply, reason = read_reply((INITIAL, whole[:KEPT_MESSAGE_BYTES], TRAILING, b"100005"))
    assert (len(reply.body), reason) == (KEPT_MESSAGE_BYTES - 5, "")


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        (b"100004", "the message is cut short: 99999 of 100000 bytes"),
        (b"100006", "more than one message in the reply of a unary call"),
    ],
)
def test_a_message_kept_in_part_is_judged_by_its_whole_size(size: bytes, reason: str) -> None:
    assert (
        read_reply((INITIAL, message(bytes(100_000))[:KEPT_MESSAGE_BYTES], TRAILING, size))[1]
        == reason
    )


def test_gzip() -> None:
    reply, reason = read_reply((GZIPPED, packed(gzip.compress(b"world" * 100, mtime=0)), TRAILING))
    assert (reply.body, reason) == (b"world" * 100, "")


def test_gzip_was_announced_but_this_message_is_plain() -> None:
    assert read_reply((GZIPPED, message(b"world"), TRAILING))[0].body == b"world"


def test_a_gzip_kept_in_part_is_unpacked_in_part() -> None:
    content = b"".join(b"%d," % (n * n * 7919 % 1_000_003) for n in range(60_000))
    whole = packed(gzip.compress(content, mtime=0))
    assert len(whole) > KEPT_MESSAGE_BYTES
    reply, reason = read_reply((GZIPPED, whole[:KEPT_MESSAGE_BYTES], TRAILING, b"%d" % len(whole)))
    assert (reply.body, reason) == (content[:KEPT_MESSAGE_BYTES], "")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"not gzip", "the message is not valid gzip: Error -3 while decompressing data"),
        (
            zlib.compress(b"world"),
            "the message is not valid gzip: Error -3 while decompressing data",
        ),
        (gzip.compress(b"world" * 100, mtime=0)[:-9], "the message's gzip is cut short"),
        (b"", "the message's gzip is cut short"),
        (
            gzip.compress(bytes(MOST_MESSAGE_BYTES + 1_000_000)),
            f"the message unpacks to more than {MOST_MESSAGE_BYTES} bytes",
        ),
    ],
)
def test_gzip_that_cannot_be_unpacked(content: bytes, reason: str) -> None:
    reply, why = read_reply((GZIPPED, packed(content), TRAILING))
    assert reply.body == b""
    assert why.startswith(reason)


@pytest.mark.parametrize(
    "initial",
    [
        b"\xbe",  # an entry of the dynamic table, which we do not have
        b"\x3f\xe1\x1f",  # a table of 4,096 bytes, which we did not allow
        b"\x00\x7f",
        block(*[(f"name-{n}", "x" * 1_000) for n in range(70)]),
    ],
)
def test_headers_that_cannot_be_read(initial: bytes) -> None:
    reply, reason = read_reply((initial, message(b""), TRAILING))
    assert reply == Reply("", {}, b"")
    assert reason.startswith("the reply's headers cannot be read: ")


@given(st.binary(max_size=64), st.binary(max_size=64), st.binary(max_size=64))
def test_arbitrary_bytes_are_read_or_refused(initial: bytes, body: bytes, trailing: bytes) -> None:
    for raw in ((initial, body, trailing), (INITIAL, body, TRAILING), (GZIPPED, body, TRAILING)):
        reply, reason = read_reply(raw)
        assert reply.status == "OK" or reason

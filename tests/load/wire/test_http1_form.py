"""Forms of HTTP/1.1 replies: what they take a parser would take, as one whole reply, alike."""

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.load.wire.told import HTTP, compared, http_sample, recorded, row_forms
from tracebench.load.recording.replies import FIRST_FORM, WHOLE
from tracebench.load.wire.codec import ProtocolError, Slot
from tracebench.load.wire.http1 import Http1Codec
from tracebench.load.wire.http1_pattern import Http1Pattern, pattern_of

REPLY = (
    b"HTTP/1.1 200 OK\r\nServer: x/1.2\r\nDate: Mon, 02 Nov 2026 10:00:00 GMT\r\n"
    b"Content-Type: application/json\r\nContent-Length: 2\r\nConnection: keep-alive\r\n"
    b'X-Timing-Info: {"inference": 0.012, "total": 0.02}\r\nServer-Timing: cdn;dur=3\r\n'
    b"X-Request-Id: 7f3a\r\n\r\nok"
)
SILENT = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 2\r\n\r\nok"
TEXT = b'{"inference": 0.012, "total": 0.02}\r'


def learnt(reply: bytes = REPLY) -> Http1Pattern:
    form = pattern_of((reply,))
    assert form is not None
    return form


def taken(form: Http1Pattern, learnt_from: bytes, reply: bytes) -> list[bytes | None]:
    """What each way to take whole replies without a parser makes of one: its text."""
    ways = form.alike(learnt_from), form.any_size
    return [take(reply) for take in ways]


def one_whole_reply(data: bytes) -> bool:
    """Whether the codec takes it as one reply, after which the connection can be used again."""
    codec, slot = Http1Codec(), Slot(lambda _slot: None)
    codec.begin(slot)
    try:
        codec.receive(data)
    except ProtocolError:
        return False
    return slot.reply is not None and codec.reusable and not codec.open


@pytest.mark.parametrize(
    ("like", "text"),
    [
        (REPLY, TEXT),
        (REPLY.replace(b"0.012", b"0.0000034567"), TEXT.replace(b"0.012", b"0.0000034567")),
        (REPLY.replace(b"x/1.2", b""), TEXT),
        (REPLY.replace(b"7f3a", b"another, longer one; \t \xe9"), TEXT),
        (REPLY.replace(b"10:00:00", b"23:59:59"), TEXT),
        (REPLY.replace(b"cdn;dur=3", b"db;dur=1, total;dur=5"), TEXT),
        (REPLY.replace(b"\r\n\r\nok", b"\r\n\r\n\r\n"), TEXT),
    ],
)
def test_numbers_and_free_headers_may_differ(like: bytes, text: bytes) -> None:
    assert one_whole_reply(like)
    assert taken(learnt(), REPLY, like) == [text, text]
    assert learnt().match((like,)) == text


def test_another_length_is_taken_by_what_takes_any() -> None:
    longer = REPLY.replace(b"Length: 2", b"Length: 11").replace(
        b"\r\n\r\nok", b"\r\n\r\nhello there"
    )
    assert one_whole_reply(longer)
    assert taken(learnt(), REPLY, longer) == [None, TEXT]


def test_a_length_with_zeros_before_it_is_that_length() -> None:
    padded = REPLY.replace(b"Length: 2", b"Length: 0002")
    assert one_whole_reply(padded)
    assert taken(learnt(padded), padded, REPLY) == [TEXT, TEXT]


@pytest.mark.parametrize(
    "unlike",
    [
        b"",
        REPLY[:-1],
        REPLY + b"!",
        REPLY + REPLY,
        REPLY.replace(b"200", b"500"),
        REPLY.replace(b"200 OK", b"201 Created"),
        REPLY.replace(b"HTTP/1.1", b"HTTP/1.0"),
        REPLY.replace(b"Length: 2", b"Length: 3"),
        REPLY.replace(b"Length: 2", b"Length: -2"),
        REPLY.replace(b"Length: 2", b"Length: 2, 2"),
        REPLY.replace(b"Length: 2", b"Length: 18446744073709551618"),
        REPLY.replace(b"keep-alive", b"close"),
        REPLY.replace(b"application/json", b"text/event-stream"),
        REPLY.replace(b"Server: x/1.2\r\n", b""),
        REPLY.replace(b"Server: x/1.2\r\n", b"Server: x/1.2\r\nServer: x/1.2\r\n"),
        REPLY.replace(b"Server: x/1.2", b"Server: x/1.2\r\nConnection: close"),
        REPLY.replace(b"Server: x/1.2", b"Server: x/1.2\r\nX-New: 1"),
        REPLY.replace(b"Server: x/1.2", b"Server: x/1.2\r\n folded"),
        REPLY.replace(b"Server: x/1.2", b"Server: x/1.2\nConnection: close"),
        REPLY.replace(b"Server: x/1.2", b"Server: x/1.2\rConnection: close"),
        REPLY.replace(b"Server: x/1.2", b"Server: x/\x001.2"),
        REPLY.replace(b"Server: x/1.2", b"Server: x/\x7f1.2"),
        REPLY.replace(b"Server: x/1.2", b"Server : x/1.2"),
        REPLY.replace(b"Server", b"Origin"),
        REPLY.replace(b"Content-Length: 2", b"Transfer-Encoding: chunked"),
        REPLY.replace(b"cdn;dur=3", b'components_outside_requests;desc="1"'),
        REPLY.replace(b"cdn;dur=3", b'components_unlisted;desc="4"'),
        REPLY.replace(b"0.012", b"1e-3"),
        REPLY.replace(b"0.012", b"-0.012"),
        REPLY.replace(b"0.012", b"1.2.3"),
        REPLY.replace(b"0.012", b"012"),
        REPLY.replace(b"0.012", b'"0.012"'),
        REPLY.replace(b'"inference"', b'"queue"'),
        b"HTTP/1.1 100 Continue\r\n\r\n" + REPLY,
        b"\r\n" + REPLY,
    ],
)
def test_nothing_else_is_taken(unlike: bytes) -> None:
    assert taken(learnt(), REPLY, unlike) == [None, None]


def test_headers_that_change_places_are_another_form() -> None:
    lines = REPLY.split(b"\r\n")
    lines[1], lines[2] = lines[2], lines[1]
    assert taken(learnt(), REPLY, b"\r\n".join(lines)) == [None, None]


@pytest.mark.parametrize(
    ("name", "closing"), [(b"Proxy-Connection", b"close"), (b"Connection", b"x, Close")]
)
def test_what_ends_the_connection_stays_as_it_is(name: bytes, closing: bytes) -> None:
    keeping = SILENT.replace(b"Server: x", name + b": keep-alive")
    ending = SILENT.replace(b"Server: x", name + b": " + closing)
    assert one_whole_reply(keeping)
    assert not one_whole_reply(ending)
    assert taken(learnt(keeping), keeping, keeping) == [b"", b""]
    assert taken(learnt(keeping), keeping, ending) == [None, None]
    assert taken(learnt(ending), ending, ending) == [None, None]


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_a_parser_is_needed_where_no_length_tells_the_end(reply: bytes) -> None:
    form = learnt(reply)
    assert form.match((reply,)) == b""
    assert taken(form, reply, reply) == [None, None]


def test_no_content_has_no_body_whatever_its_length() -> None:
    empty = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"
    assert not one_whole_reply(empty.replace(b": 0", b": 2") + b"ok")
    assert taken(learnt(empty), empty, empty.replace(b": 0", b": 2") + b"ok") == [None, None]


@pytest.mark.parametrize(
    "reply",
    [
        REPLY.replace(b"200 OK", b"503 Busy"),
        b"HTTP/1.1 100 Continue\r\n\r\n" + REPLY,
        REPLY.replace(b"Length: 2", b"Length: 2\r\nContent-Length: 2"),
        REPLY.replace(b"Length: 2", b"Length: two"),
        REPLY.replace(b"0.012", b'"0.012"'),
        REPLY.replace(b"0.012", b"0.12"),  # more than its total
        REPLY.replace(b"X-Request-Id: 7f3a", b'x-timing-info: {"queue": 1}'),
        REPLY.replace(b"cdn;dur=3", b'components_outside_requests;desc="1"'),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Timing-Info: {}\r\n\r\n"
        b'0\r\nX-Timing-Info: {"total": 1}\r\n\r\n',
    ],
)
def test_replies_without_a_form(reply: bytes) -> None:
    assert pattern_of((reply,)) is None


def test_a_silent_reply_has_no_text() -> None:
    noted = SILENT.replace(b"Server: x", b"Server-Timing: cache;dur=0.1")
    for reply in (SILENT, noted):
        assert learnt(reply).layout is None
        assert taken(learnt(reply), reply, reply) == [b"", b""]


def test_a_remark_with_a_number_is_no_time() -> None:
    """Nothing but times may change: what Server-Timing remarks is read one by one."""
    start = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nServer-Timing: total;dur=5, "
    none = start + b"components_outside_requests;desc=0\r\n\r\n"
    some = start + b"components_outside_requests;desc=3\r\n\r\n"
    (one,) = compared(HTTP, (none,), (some,))
    assert one.equal
    assert not one.fast


def chunked(size: int) -> bytes:
    head = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Timing-Info: {"total": 1}\r\n\r\n'
    return head + b"%x\r\n%b\r\n0\r\n\r\n" % (size, bytes(size))


def to_the_end(size: int) -> bytes:
    return b'HTTP/1.1 200 OK\r\nX-Timing-Info: {"total": 1}\r\n\r\n' + bytes(size)


@pytest.mark.parametrize("make", [chunked, to_the_end])
@pytest.mark.parametrize(("first", "then"), [(10, 1_500), (1_500, 10), (1_024, 1_023), (10, 900)])
def test_whether_a_reply_streams_is_not_its_forms_to_say(
    make: Callable[[int], bytes], first: int, then: int
) -> None:
    """A reply without a length streams where all of it is kept: the next one may be longer."""
    (one,) = compared(HTTP, (make(first),), (make(then),))
    assert one.equal, one


def test_rows_of_known_replies_name_their_form() -> None:
    other = REPLY.replace(b"Server: x/1.2", b"Server: y\r\nX-Cache: miss")
    recorder = recorded(pattern_of, (REPLY,), (REPLY,), (other,), (REPLY,), (other,))
    assert row_forms(recorder) == [WHOLE, FIRST_FORM, WHOLE, FIRST_FORM, FIRST_FORM + 1]


_SPOILT = st.sampled_from([0, 9, 10, 13, 32, 44, 48, 58, 127, 128, 255])


@given(st.integers(0, 2**32), st.lists(st.tuples(st.integers(0, 400), _SPOILT, st.integers(0, 2))))
@example(0, [(40, 0, 0)])
def test_whatever_is_taken_the_parser_takes(seed: int, spoils: list[tuple[int, int, int]]) -> None:
    """Bytes are replaced, inserted and deleted anywhere."""
    reply = http_sample(Random(seed)).raw()[0]
    form = pattern_of((reply,))
    if form is None:
        return
    spoilt = bytearray(reply)
    for at, byte, how in spoils[:3]:
        spoilt[at % len(spoilt) : at % len(spoilt) + (how < 2)] = bytes([byte])[: how != 1]
        spoilt = spoilt or bytearray(b"\n")
    data = bytes(spoilt)
    if any(text is not None for text in taken(form, reply, data)):
        assert one_whole_reply(data)

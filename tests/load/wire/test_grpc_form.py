"""Forms of gRPC replies: blocks that change in their timings only, and messages of many kinds."""

import gzip
from collections.abc import Sequence

import pytest

from tests.load.wire.told import GRPC, Compared, block, compared
from tracebench.load.wire import grpc_reply
from tracebench.load.wire.codec import RawReply
from tracebench.load.wire.grpc_pattern import pattern_of
from tracebench.load.wire.grpc_request import PREFIX, literal
from tracebench.model.record.exchange import Timing, Undecomposed
from tracebench.protos.inference_pb2 import PredictResponse, TimingInfo

Fields = Sequence[tuple[str, str]]

INITIAL = block([(":status", "200"), ("content-type", "application/grpc")], huffman=False)
INFO, METRICS = "x-timing-info", "server-timing"


def raw(message: bytes, *trailers: tuple[str, str], huffman: bool = False) -> RawReply:
    trailing = block([("grpc-status", "0"), *trailers], huffman)
    return INITIAL, PREFIX.pack(0, len(message)) + message, trailing


def message(result: str = "ok", /, **durations_ms: float) -> bytes:
    entries = [TimingInfo(component=name, duration_ms=ms) for name, ms in durations_ms.items()]
    return PredictResponse(result=result, timing_info=entries).SerializeToString()


def told(first: RawReply, then: RawReply) -> Compared:
    """The second of two replies; both ways tell the same."""
    (one,) = compared(GRPC, first, then)
    assert one.equal, one
    return one


def total_ns(one: Compared) -> int:
    assert isinstance(one.recorded, Timing)
    return one.recorded.total_ns


@pytest.mark.parametrize(
    ("name", "value", "other"),
    [
        (INFO, '{"total": 0.5, "conv2d": 0.25}', '{"total": 0.125, "conv2d": 0.0000000625}'),
        (METRICS, "total;dur=500, queue;dur=1.5", "total;dur=125, queue;dur=0.0123456789"),
        (METRICS, f"total;dur=500, x;desc={'x' * 200}", f"total;dur=125.0, x;desc={'x' * 200}"),
    ],
)
def test_numbers_in_trailers_may_differ(name: str, value: str, other: str) -> None:
    one = told(raw(message(), (name, value)), raw(message("another"), (name, other)))
    assert one.fast
    assert total_ns(one) == 125_000_000


@pytest.mark.parametrize("digits", [1, 9, 60, 300])
def test_a_longer_value_has_a_longer_length(digits: int) -> None:
    """Of 127 bytes and more the length itself takes two bytes, of 255 and more three."""
    names = ", ".join(f'p{n};desc="{"x" * digits}";dur=0.5' for n in range(4))
    values = (f"total;dur=9, {names}", f"total;dur=9.0000000, {names}")
    assert told(*(raw(b"", (METRICS, value)) for value in values)).fast


def test_what_was_compressed_is_read_whole() -> None:
    """A value is not found in a block whose server applies Huffman's code."""
    values = ('{"total": 0.5}', '{"total": 0.25}')
    one = told(*(raw(b"", (INFO, value), huffman=True) for value in values))
    assert not one.fast
    assert total_ns(one) == 250_000_000


def test_a_length_that_does_not_belong_to_its_value() -> None:
    """The decoder takes as many bytes as the length says: another header, or none, follows."""
    first, then = (raw(b"", (INFO, f'{{"total": {number}}}')) for number in (0.5, 0.75))
    form = pattern_of(first, grpc_reply.read_reply)
    assert form is not None
    assert form.match(then) is not None
    size = bytes([len('{"total": 0.75}')])
    for wrong in (size[0] - 1, size[0] + 1, size[0] | 0x80):
        assert form.match((*then[:2], then[2].replace(size, bytes([wrong]), 1))) is None


@pytest.mark.parametrize(
    "trailers",
    [
        [],
        [(INFO, '{"total": 0.5}'), ("x-new", "1")],
        [("x-new", "1"), (INFO, '{"total": 0.5}')],
        [(INFO, '{"total": 0.5}'), (INFO, '{"total": 0.5}')],
        [(INFO, '{"total": 1e-3}')],
        [(INFO, '{"total": -0.5}')],
        [(INFO, '{"total": 1.2.3}')],
        [(INFO, '{"total": 05}')],
        [(INFO, '{"total": 0.5, "queue": 0.1}')],
        [("x-timing-inf0", '{"total": 0.5}')],
        [(INFO, '{"total": 0.5}'), (METRICS, 'components_outside_requests;desc="3"')],
        [("grpc-message", "late"), (INFO, '{"total": 0.5}')],
    ],
)
def test_other_trailers_are_another_form(trailers: Fields) -> None:
    assert not told(raw(b"", (INFO, '{"total": 0.25}')), raw(b"", *trailers)).fast


def test_another_status_is_no_success() -> None:
    first = raw(b"", (INFO, '{"total": 0.25}'))
    failed = (first[0], first[1], first[2].replace(b"grpc-status\x010", b"grpc-status\x018"))
    one = told(first, failed)
    assert not one.fast
    assert one.recorded is Undecomposed.NO_TIMING


def test_what_decides_nothing_may_say_anything() -> None:
    first = raw(b"", (INFO, '{"total": 0.25}'), (METRICS, "total;dur=250, cdn;dur=1"))
    then = raw(b"", (INFO, '{"total": 0.5}'), (METRICS, 'hit, x;desc="a;dur=7"'))
    assert told(first, then).fast
    remarks = 'components_outside_requests;desc="3"', 'components_unlisted;desc="2"'
    for remark in remarks:
        noted = raw(b"", (INFO, '{"total": 0.5}'), (METRICS, f"total;dur=1, {remark}"))
        one = told(first, noted)
        assert not one.fast
        assert isinstance(one.recorded, Timing)
        assert one.recorded.strays or one.recorded.unlisted


def test_a_value_within_another_header_is_not_taken_for_it() -> None:
    """The header that tells the time is compressed; its plain bytes stand in another one."""
    plain = literal(INFO.encode(), b'{"total": 0.5}')[1:]
    bait = literal(b"x-bait", b"<" + plain + b">")
    hidden = block([("grpc-status", "0"), (INFO, '{"total": 0.5}')], huffman=True)
    first = (INITIAL, PREFIX.pack(0, 0), hidden + bait)
    then = (first[0], first[1], hidden + bait.replace(b"0.5", b"0.7"))
    assert total_ns(told(first, then)) == 500_000_000


@pytest.mark.parametrize("count", [1, 3])
def test_durations_in_messages_may_differ(count: int) -> None:
    names = ("total", "queue", "conv2d")[:count]
    first = raw(message(**dict(zip(names, (9.0, 1.5, 1.5), strict=False))))
    then = raw(message(**{name: 1e-6 * (9 - at) for at, name in enumerate(names)}))
    assert told(first, then).fast
    zero = raw(message(**dict.fromkeys(names, 0.0)))  # not on the wire
    assert not told(first, zero).fast


@pytest.mark.parametrize("ms", [-1.0, float("nan"), float("inf"), 1e300, 5e-324, 2.0**62 / 1e6])
@pytest.mark.parametrize("name", ["total", "queue", "own"])
def test_what_is_no_duration_is_left_to_the_reader(name: str, ms: float) -> None:
    first = {"total": 5.0, "queue": 1.0, "own": 1.0}
    assert told(raw(message(**first)), raw(message(**first | {name: ms}))).fast


@pytest.mark.parametrize(
    "other",
    [
        message("no", total=1.0),
        message("longer", total=1.0),
        message(total=1.0, queue=0.5),
        message(tota1=1.0),
        message(total=1.0) + message(total=2.0),
        message(total=1.0) + b"\x22\x00",
        message(total=1.0)[:-1],
        b"",
    ],
)
def test_other_messages_are_another_form(other: bytes) -> None:
    assert not told(raw(message(total=0.5)), raw(other)).fast


def test_an_entry_with_two_durations_has_the_last() -> None:
    entry = TimingInfo(component="total", duration_ms=1.0).SerializeToString()
    twice = entry + TimingInfo(duration_ms=2.0).SerializeToString()
    first = b"\x12" + bytes([len(twice)]) + twice
    one = told(raw(first), raw(first.replace(twice[-8:], entry[-8:])))
    assert one.fast
    assert total_ns(one) == 1_000_000


def test_repeated_entries_add_up() -> None:
    entries = [("own", 1.0), ("total", 9.0), ("own", 2.0)]

    def of(scale: float) -> RawReply:
        infos = [TimingInfo(component=name, duration_ms=ms * scale) for name, ms in entries]
        return raw(PredictResponse(timing_info=infos).SerializeToString())

    one = told(of(1), of(0.5))
    assert one.fast
    assert isinstance(one.recorded, Timing)
    assert one.recorded.parts_ns == {"own": 1_500_000}


SILENT = raw(message("nothing to tell"))


@pytest.mark.parametrize(
    ("content", "fast"),
    [
        (b"", True),
        (message("x" * 2_000), True),
        (message("x" * 3_000), False),
        (message("the total"), False),
        (message(own=3.0), True),
        (message(total=3.0), False),
        (b"\x0a\x05hello\x10\x07\x1d\x00\x00\x80\x3f", True),  # of another service, as it parses
        (b"\x12\x03\x0a\x01\xff", True),  # and as it does not
        (b"\xff\xff\xff", True),
        (b"\x12\x10\x0a\x05total\x11\x00\x00\x00\x00\x00\x00\xf0?", False),
    ],
)
def test_silent_replies(content: bytes, fast: bool) -> None:
    assert told(SILENT, raw(content)).fast is fast


def test_numbers_that_are_no_times_stay() -> None:
    first, then = (raw(b"", (METRICS, f"cache;dur={number}")) for number in (1, 2))
    assert told(first, first).fast
    assert not told(first, then).fast


def test_a_compressed_message_is_read_whole() -> None:
    packed = gzip.compress(message(total=3.0))
    initial = INITIAL + literal(b"grpc-encoding", b"gzip")
    first = (initial, *raw(message("x"))[1:])
    then = (initial, PREFIX.pack(1, len(packed)) + packed, first[2])
    one = told(first, then)
    assert not one.fast
    assert total_ns(one) == 3_000_000


def test_a_message_of_which_the_first_part_was_kept() -> None:
    """Trailers tell; of a message alone the rest may."""
    large = message("x" * 3_000)
    told_elsewhere = raw(large, (INFO, '{"total": 0.5}'))
    whole = PREFIX.pack(0, len(large)) + large
    kept = (INITIAL, whole[:1_000], told_elsewhere[2], b"%d" % len(whole))
    assert told(told_elsewhere, kept).fast
    cut_short = (*kept[:3], b"%d" % (len(whole) - 1))
    too_long = (*kept[:3], b"%d" % (len(whole) + 1))
    for wrong in (cut_short, too_long):
        assert not told(told_elsewhere, wrong).fast
    assert not told(SILENT, (*kept[:2], SILENT[2], kept[3])).fast
    first = raw(message(total=0.5))
    assert not told(first, (*first, b"%d" % len(first[1]))).fast


@pytest.mark.parametrize("wrong", [b"", b"\0\0\0\0", b"\0\0\0\0\5abcd", b"\0\0\0\0\3abcd"])
def test_what_is_not_one_whole_message_is_no_success(wrong: bytes) -> None:
    for first in (SILENT, raw(b"", (INFO, '{"total": 0.25}'))):
        one = told(first, (first[0], wrong, first[2]))
        assert not one.fast
        assert one.recorded is Undecomposed.NO_TIMING


def test_another_initial_block_is_another_form() -> None:
    first = raw(b"", (INFO, '{"total": 0.25}'))
    html = block([(":status", "200"), ("content-type", "text/html")], huffman=False)
    assert not told(first, (html, *first[1:])).fast

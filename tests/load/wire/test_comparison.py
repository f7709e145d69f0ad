"""Comparing a reply with the one before takes it just where the regular expression would."""

import re
from itertools import count
from random import Random

import pytest

from tests.load.wire.told import changed, http_sample
from tracebench.load.wire.http1_pattern import Comparison, pattern_of

_DIGIT = re.compile(rb"[0-9]")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n%bServer-Timing: total;dur=%b\r\n\r\nok"


class Matcher:
    """A regular expression that counts how often it is asked."""

    def __init__(self, pattern: bytes) -> None:
        self._match, self.asked = re.compile(pattern).fullmatch, 0

    def __call__(self, reply: bytes) -> "re.Match[bytes] | None":
        self.asked += 1
        return self._match(reply)


def comparison() -> tuple[Comparison, Matcher]:
    matcher = Matcher(
        rb"HTTP/1\.1 200 OK\r\nContent-Length: 2\r\n(?:X-[^\r]*\r\n)?"
        rb"Server-Timing: (total;dur=(?:0|[1-9][0-9]*)\.[0-9]+\r)\n\r\n(?s:.{2})"
    )
    return Comparison(matcher, 2), matcher


def asked_for(one: Comparison, matcher: Matcher, *replies: bytes) -> list[int]:
    """How often the regular expression was asked for each of these replies, which are taken."""
    counts = []
    for reply in replies:
        before = matcher.asked
        assert one.take(reply) is not None
        counts.append(matcher.asked - before)
    return counts


def spoilt(random: Random, reply: bytes) -> bytes:
    """A digit anywhere is another one, often 0."""
    digits = [found.start() for found in _DIGIT.finditer(reply)]
    at, digit = random.choice(digits), random.choice(b"0000123456789")
    return reply[:at] + bytes([digit]) + reply[at + 1 :]


def test_random_replies() -> None:
    """In each series some numbers change, and now and then a digit, a header, a size."""
    taken = equal = 0
    for seed in range(400):
        random = Random(seed)
        first = http_sample(random)
        reply = first.raw()[0]
        if (form := pattern_of((reply,))) is None:
            continue
        take, size = form.alike(reply), len(reply.partition(b"\r\n\r\n")[2])
        for _ in range(40):
            if random.random() < 0.3:
                reply = changed(random, first).raw()[0]
            for other in (spoilt(random, reply), reply):
                expected = form.any_size(other)
                if expected is None or len(other.partition(b"\r\n\r\n")[2]) == size:
                    assert take(other) == expected
                    taken, equal = taken + 1, equal + (expected is not None)
    assert equal > 0.3 * taken > 3_000


@pytest.mark.parametrize(
    ("first", "then"),
    [(b"1.250", b"9.999"), (b"1.250", b"0.000"), (b"31.5", b"10.0"), (b"120.5", b"999.9")],
)
def test_other_digits_need_no_regular_expression(first: bytes, then: bytes) -> None:
    one, matcher = comparison()
    assert one.take(HEAD % (b"", first)) == b"total;dur=%b\r" % first
    asked = matcher.asked
    assert one.take(HEAD % (b"", then)) == b"total;dur=%b\r" % then
    assert matcher.asked == asked


@pytest.mark.parametrize(
    ("first", "then"),
    [(b"12.5", b"02.5"), (b"12.5", b"1.25"), (b"1.25", b"1.2x"), (b"1.25", b"1:25")],
)
def test_what_is_no_number_is_left_to_it(first: bytes, then: bytes) -> None:
    one, matcher = comparison()
    for _ in range(3):
        assert one.take(HEAD % (b"", first)) is not None
    asked = matcher.asked
    assert (one.take(HEAD % (b"", then)) is not None) == (then == b"1.25")
    assert matcher.asked > asked


def test_another_status_or_length_is_left_to_it() -> None:
    one, _ = comparison()
    reply = HEAD % (b"", b"1.5")
    for _ in range(3):
        assert one.take(reply) is not None
    for other in (reply.replace(b"200", b"500"), reply.replace(b": 2", b": 3"), reply + b"!"):
        assert one.take(other) is None
    assert one.take(reply) is not None


def test_a_header_that_changes_now_and_then() -> None:
    one, matcher = comparison()
    for second in range(1_000):
        reply = HEAD % (b"X-Date: %d\r\n" % (10_000 + second), b"1.5")
        asked_for(one, matcher, reply)
        assert asked_for(one, matcher, *[reply] * 3) == [0, 0, 0]


def test_a_header_that_always_changes_is_not_learnt_for_long() -> None:
    one, matcher = comparison()
    identified = (HEAD % (b"X-Request-Id: %d\r\n" % number, b"1.5") for number in count(10_000))
    asked_for(one, matcher, *(next(identified) for _ in range(100)))
    assert asked_for(one, matcher, next(identified), *[next(identified)] * 3) == [1, 1, 1, 1]


@pytest.mark.parametrize("gpu", range(10))
def test_digits_of_names_are_no_times(gpu: int) -> None:
    """A part named by a number must not be taken for another."""
    one = Comparison(Matcher(rb"(gpu%d;dur=[0-9]\.[0-9])" % gpu), 0)
    for _ in range(3):
        assert one.take(b"gpu%d;dur=1.5" % gpu) is not None
    assert one.take(b"gpu%d;dur=1.5" % ((gpu + 1) % 10)) is None

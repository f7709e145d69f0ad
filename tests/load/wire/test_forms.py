"""What replies tell is the same whether they are known by their form or read one by one.

Each reply here was shown to be read in two ways, or is one that a form must leave alone.
`make check-long` compares a hundred times as many random ones.
"""

from random import Random

import pytest

from tests.load.wire.told import HTTP, Compared, changed, compared, sample
from tracebench.load.wire.codec import RawReply

SAMPLES, CHANGES = 60, 10


def test_random_replies() -> None:
    every: list[Compared] = []
    for seed in range(SAMPLES):
        random = Random(seed)
        first = sample(random)
        others = [changed(random, first).raw() for _ in range(CHANGES)]
        results = compared(first.protocol, first.raw(), *others)
        for raw, one in zip(others, results, strict=True):
            assert one.equal, (seed, first.raw(), raw, one)
        every += results
    assert sum(one.fast for one in every) >= 0.3 * len(every)


def timed(*headers: str) -> RawReply:
    lines = "".join(f"{header}\r\n" for header in headers)
    return (f"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{lines}\r\n".encode(),)


def metrics(text: str) -> RawReply:
    return timed(f"Server-Timing: {text}")


def info(text: str) -> RawReply:
    return timed(f"X-Timing-Info: {{{text}}}")


@pytest.mark.parametrize(
    ("first", "then"),
    [
        # The total is a number that stays, and what looks like it is something else.
        (
            info('"total": 1e-2, "x": [5], "b": 0.001, "y": [1, 2, 3, 4, 5, 6, 7]'),
            info('"total": 1e-2, "x": [6], "b": 0.002, "y": [1, 2, 3, 4, 5, 6, 7]'),
        ),
        (metrics("total;dur=1e1;x=5, b;dur=3"), metrics("total;dur=1e1;x=6, b;dur=4")),
        # A number that stays is no part of its own, but needs its room in the total.
        (
            info('"total": 0.5, "server_other": 5e-05'),
            info('"total": 0.00001, "server_other": 5e-05'),
        ),
        (
            info('"total": 0.5, "queue": 0.1, "server_other": 1e-05'),
            info('"total": 0.1, "queue": 0.1, "server_other": 1e-05'),
        ),
        # Half a nanosecond that stays: added to another number, it counts.
        (
            metrics("total;dur=10, a;dur=0.000001, a;dur=4e-07"),
            metrics("total;dur=10, a;dur=0.0000003, a;dur=4e-07"),
        ),
        # Each rounds down, and their sum up.
        (
            info('"total": 1.0, "a": 0.1, "a": 0.1, "a": 0.1'),
            info('"total": 0.0000000034, "a": 0.0000000014, "a": 0.0000000014, "a": 0.0000000014'),
        ),
        # A number is part of a name, and that name another's spelling.
        (
            metrics("total;dur=10, layer 1;dur=2, layer_1;dur=1"),
            metrics("total;dur=12, layer 1;dur=3, layer_1;dur=2"),
        ),
        # A remark with a number.
        (
            metrics("total;dur=5, components_outside_requests;desc=0"),
            metrics("total;dur=5, components_outside_requests;desc=7"),
        ),
        # So long that a sum of floats is not exact.
        (
            info('"total": 9.5, "queue": 1.5, "inference": 2.5'),
            info('"total": 9007199.254740992, "queue": 9007199.25474099, "inference": 0.000000003'),
        ),
        (info('"total": 0.5, "queue": 0.1'), info('"total": 0.1, "queue": 0.1000000000000000001')),
        (info('"total": 0.5'), info('"total": 4611686018.427387904')),
        (info('"total": 0.5'), info('"total": 4611686018.427387905')),
        (info('"total": 0.5'), info('"total": 99999999999999999.9')),
        (metrics('total;dur=1, a;desc="2, 3";dur=0.5'), metrics('total;dur=2, a;desc="9";dur=1')),
        (timed("x-total-time: 5", "x-inference-time: 3"), timed("x-total-time: 7", "x-q: 3")),
    ],
)
def test_replies_that_were_read_in_two_ways(first: RawReply, then: RawReply) -> None:
    (one,) = compared(HTTP, first, then)
    assert one.equal, one


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (
            info('"total": 0.5, "conv2d": 0.25'),
            info('"total": 12.0000000000000000001, "conv2d": 0.0'),
        ),
        (metrics("a;dur=1, total;dur=2, a;dur=0.5"), metrics("a;dur=2, total;dur=9, a;dur=6.25")),
        (metrics("db-2;dur=1;dur=3, total;dur=2"), metrics("db-2;dur=0;dur=4, total;dur=2.5")),
        (info('"total": 0.5, "server_other": 0.1'), info('"total": 0.5, "server_other": 0.7')),
        (info('"total": 0.5, "queue": 0.1'), info('"total": 0.1, "queue": 0.2')),
        (
            timed("x-total-time: 5", "x-queue-time: 1", "x-inference-time: 3"),
            timed("x-total-time: 0", "x-queue-time: 0", "x-inference-time: 0"),
        ),
    ],
)
def test_replies_that_are_known(first: RawReply, then: RawReply) -> None:
    (one,) = compared(HTTP, first, then)
    assert one.equal, one
    assert one.fast

"""Ids: their shape, their source, and that no invalid one is given out."""

import re
from collections.abc import Callable

import pytest

from tracebench.tracing.ids import IdSource, traceparent

SHAPE = re.compile(rb"[0-9a-f]{32}-[0-9a-f]{16}")


def counting(*first: bytes) -> Callable[[int], bytes]:
    """Entropy that starts with the given fillings and goes on with 0xAB."""
    fillings = list(first)

    def entropy(size: int) -> bytes:
        return (fillings.pop(0) if fillings else b"\xab") * size

    return entropy


def test_every_draw_is_well_formed_and_new() -> None:
    draw = IdSource().draw
    ids = [draw() for _ in range(10_000)]
    assert all(SHAPE.fullmatch(each) for each in ids)
    assert len({each[:32] for each in ids}) == len({each[33:] for each in ids}) == 10_000


def test_every_digit_is_random() -> None:
    draw = IdSource().draw
    ids = [draw() for _ in range(1_000)]
    for place in range(49):
        seen = {each[place] for each in ids}
        assert seen == (set(b"-") if place == 32 else set(b"0123456789abcdef"))


def test_two_sources_share_nothing() -> None:
    assert IdSource().draw() != IdSource().draw()


@pytest.mark.parametrize("fillings", [(b"\x00",), (b"\x00", b"\x00")])
def test_a_block_with_an_all_zero_id_is_drawn_again(fillings: tuple[bytes, ...]) -> None:
    assert IdSource(counting(*fillings)).draw() == b"ab" * 16 + b"-" + b"ba" * 8


def test_traceparent_is_version_0_and_sampled() -> None:
    ids = b"0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"
    assert traceparent(ids) == "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

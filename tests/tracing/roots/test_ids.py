"""Ids: their shape, their source, and that no invalid one is given out."""

import re

import numpy as np
import pytest

from tracebench.tracing.roots.trace_ids import IdSource, block_of, traceparent

SHAPE = re.compile(rb"[0-9a-f]{32}-[0-9a-f]{16}")


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


def test_ids_are_not_kept_but_found_again() -> None:
    source = IdSource()
    drawn = [source.draw() for _ in range(300)]
    assert [source.ids(at) for at in range(300)] == [
        (one[:32].decode(), one[33:].decode()) for one in drawn
    ]


def test_shards_of_one_run_draw_other_ids() -> None:
    shards = [IdSource(b"k" * 16, shard) for shard in range(3)]
    drawn = [source.draw() for source in shards for _ in range(1_000)]
    assert len(set(drawn)) == 3_000


def test_the_same_key_and_shard_draw_the_same() -> None:
    assert IdSource(b"k" * 16, 7).draw() == IdSource(b"k" * 16, 7).draw()
    assert IdSource(b"k" * 16, 7).draw() != IdSource(b"l" * 16, 7).draw()


@pytest.mark.parametrize("at", [0, 33, 49, 49 + 33])
def test_no_id_is_all_zeros(at: int) -> None:
    """32 zeros, of which the chance of 16 is 2⁻⁶⁴."""
    digits = bytearray(b"a" * (49 * 128))
    digits[at : at + 32] = b"0" * 32
    ids = block_of(digits)
    assert len(ids) == 128
    for one in ids:
        trace_id, _, span_id = one.partition(b"-")
        assert int(trace_id, 16)
        assert int(span_id, 16)


def test_traceparent_is_version_0_and_sampled() -> None:
    ids = b"0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"
    assert traceparent(ids) == "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_ids_in_bulk_are_those_of_the_draws() -> None:
    source = IdSource()
    draws = np.array([700, 3, 0, 127, 128, 129, 70_000, 3, 699])
    high, low, span = source.since(5).words(draws)
    found = [
        (f"{a:016x}{b:016x}", f"{c:016x}")
        for a, b, c in zip(high.tolist(), low.tolist(), span.tolist(), strict=True)
    ]
    assert found == [source.ids(5 + draw) for draw in draws.tolist()]
    assert [len(one) for one in source.words(draws[:0])] == [0, 0, 0]

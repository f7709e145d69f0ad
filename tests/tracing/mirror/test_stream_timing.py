"""`X-Stream-Timing`, and what is no such value."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracebench.model.record.exchange import HandedOver, Reply, StreamTiming, Timing
from tracebench.tracing.mirror.stream_timing import read_stream_timing
from tracebench.tracing.mirror.timings import is_plain, read_timing

TEXT = (
    '{"chunks": [[120, 0.050123456], [240, 0.060234567]], "last": 0.680, "waited": 0.002,'
    ' "later": "versions may tell more"}'
)
TOLD = StreamTiming((HandedOver(120, 50_123_456), HandedOver(240, 60_234_567)), None, 2_000_000)


def test_chunks_and_how_long_the_reader_was_waited_for() -> None:
    assert read_stream_timing(TEXT) == TOLD
    assert read_stream_timing("{}") == StreamTiming()


def test_no_more_than_eight_chunks_are_kept() -> None:
    chunks = [[at, at / 10] for at in range(20)]
    found = read_stream_timing(json.dumps({"chunks": chunks}))
    assert found is not None
    assert [one.size for one in found.handed_over] == list(range(8))


@pytest.mark.parametrize(
    "text",
    [
        "soon",
        "[]",
        "null",
        '{"chunks": 1}',
        '{"chunks": {}}',
        '{"chunks": [[1, 2, 3]]}',
        '{"chunks": [[1.5, 2]]}',
        '{"chunks": [[1, -2]]}',
        '{"chunks": [[1, NaN]]}',
        '{"chunks": [[1, 1e300]]}',
        '{"chunks": [[99999999999999999999, 1]]}',
        '{"chunks": [[2, 1], [1, 2]]}',
        '{"chunks": [[1, 2], [2, 1]]}',
        '{"waited": "long"}',
        '{"waited": null}',
        "[" * 100_000,
    ],
)
def test_what_cannot_be_made_out_is_not_told(text: str) -> None:
    assert read_stream_timing(text) is None


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    assert read_stream_timing(text) is None or text.strip().startswith("{")


def test_it_stands_beside_a_timing_which_is_not_plain_then() -> None:
    headers = {"x-timing-info": '{"server_processing": 0.7}', "x-stream-timing": TEXT}
    told = read_timing(Reply("OK", headers, b"", frozenset(headers)))
    assert told == Timing(700_000_000, {}, "mirror", stream=TOLD)
    assert not is_plain(told), "others of its form tell other times of their streams"

"""Streams in root spans: what is written is read again, and nonsense is refused."""

from collections.abc import Mapping

import numpy as np
import pytest

from tests.load.streams.exact_streams import Streamed, chat, streams, tokens
from tracebench.model.record.requests import DRAW
from tracebench.model.record.streams import STREAM
from tracebench.tracing.roots.generated import of_streams, of_target, streams_of, text_of

HUGE = " ".join(["9" * 30] * (len(STREAM.names or ()) - 2))


def test_what_is_written_is_read_again() -> None:
    load = Streamed(streams(chat(tokens(gap_ms=0.5))), requests=3, busy_ms=[(60, 10)]).load
    assert load.streams is not None
    told = [text_of(one.attributes) for one in of_streams(load.requests, load.streams)]
    draws = load.requests.columns.whole(DRAW)
    assert draws.tolist() == [0, 1, 2], "as the places in an archive are"
    sent = [one.sent_ns for one in load.requests]
    again = streams_of(zip(sent, told, strict=True))
    assert again is not None
    assert np.array_equal(again.rows, load.streams.rows)
    assert np.array_equal(again.reads, load.streams.reads)


def test_a_bound_stands_at_its_event() -> None:
    load = Streamed(streams(chat(tokens())), requests=1, busy_ms=[(40, 25)]).load
    (one,) = of_streams(load.requests, load.streams)
    first, last = one.events
    assert (first.name, last.name) == ("first_token", "last_token")
    assert first.after_ns < first.at_ns, "a second token came in the same read"


def test_requests_without_streams_tell_nothing() -> None:
    load = Streamed(streams(chat(tokens(2))), requests=2).load
    assert [one.attributes for one in of_streams(load.requests, None)] == [{}, {}]
    assert streams_of([(5, None), (6, None)]) is None


@pytest.mark.parametrize(
    "attributes",
    [
        {"tracebench.stream": "1 2"},
        {"tracebench.stream": "x" * 40, "tracebench.stream.reads": ""},
        {
            "tracebench.stream": " ".join(["9" * 30] * (len(STREAM.names or ()) - 2)),
            "tracebench.stream.reads": "1",
        },
    ],
)
def test_nonsense_is_refused(attributes: Mapping[str, object]) -> None:
    with pytest.raises(ValueError, match="no stream"):
        text_of(attributes)


@pytest.mark.parametrize(
    ("url", "body", "told"),
    [
        (
            "http://x/v1/chat/completions",
            b'{"model": "m"}',
            {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"},
        ),
        ("http://x/v1/completions?a=b", b"", {"gen_ai.operation.name": "text_completion"}),
        ("http://x/predict", b'{"model": 5}', {}),
        ("http://x/predict", b"[]", {}),
    ],
)
def test_what_a_target_generates(url: str, body: bytes, told: dict[str, str]) -> None:
    assert of_target(url, body) == told

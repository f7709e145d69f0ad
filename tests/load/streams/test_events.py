"""Bodies cut apart into events, wherever their parts end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracebench.load.streams.events import Event, lines, messages, server_sent


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"data: a\n\ndata: b\n\n", [Event(9, b"a"), Event(18, b"b")]),
        (b"data:a\r\n\r\ndata: b\r\n\r\n", [Event(10, b"a"), Event(21, b"b")]),
        (b"data: a\r\rdata: b\r\r", [Event(9, b"a"), Event(18, b"b")]),
        (b": ping\n\ndata: a\n\n", [Event(8, b"", comments=(b"ping",)), Event(17, b"a")]),
        (b"data: a\ndata: b\n\n", [Event(17, b"a\nb")]),
        (b"event: error\ndata: a\nid: 7\n\n", [Event(28, b"a", b"error")]),
        (b"data: a", [Event(7, b"a")]),
        (b"data: a\n\n\n", [Event(9, b"a")]),
        (b"", []),
        (b"data\n\n", [Event(6, b"")]),
        (b"data:  a\n\n", [Event(10, b" a")]),
    ],
)
def test_server_sent_events(body: bytes, found: list[Event]) -> None:
    assert list(server_sent(body)) == found


def test_lines() -> None:
    body = b'{"a": 1}\n\n{"b": 2}\r\n{"c": 3}'
    assert list(lines(body)) == [
        Event(9, b'{"a": 1}'),
        Event(10, b""),
        Event(20, b'{"b": 2}'),
        Event(28, b'{"c": 3}'),
    ]


def test_messages_and_one_that_is_cut_off() -> None:
    body = b"\0\0\0\0\3abc" + b"\0\0\0\0\0" + b"\0\0\0\0\7cut"
    assert list(messages(body)) == [Event(8, b"abc"), Event(13, b"")]


@given(st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))))
def test_what_is_written_is_read(texts: list[str]) -> None:
    body = b"".join(b"data: %b\n\n" % text.encode() for text in texts)
    assert [event.data.decode() for event in server_sent(body)] == texts


@given(st.binary())
def test_any_bytes_can_be_cut(body: bytes) -> None:
    for cut in (server_sent, lines, messages):
        ends = [event.end for event in cut(body)]
        assert ends == sorted(ends)
        assert all(0 < end <= len(body) for end in ends)

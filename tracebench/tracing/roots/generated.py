"""Additional data on root spans of streamed replies: the conventions for generative models.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/; they are not stable yet.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import numpy as np

from tracebench.model.record.requests import DRAW, Requests
from tracebench.model.record.streams import READ, STAMPS, STREAM, UNTOLD, Rows, Streams, gaps_ns

FIRST_TOKEN: Final = "first_token"
LAST_TOKEN: Final = "last_token"
"""Events of a root span; if the stamp is an upper bound, `AFTER_NS` is the lower bound, in ns."""
AFTER_NS: Final = "tracebench.after_ns"
_OPERATION: Final = "gen_ai.operation.name"
_MODEL: Final = "gen_ai.request.model"
_STREAM: Final = "gen_ai.request.stream"
_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
_ROW: Final = "tracebench.stream"
_READS: Final = "tracebench.stream.reads"
_NAMES: Final = STREAM.names or ()
_FIELDS: Final = tuple(name for name in _NAMES if name not in ("draw", "sent"))
_USAGE: Final = {
    "input": "gen_ai.usage.input_tokens",
    "output": "gen_ai.usage.output_tokens",
    "cached": "gen_ai.usage.cache_read.input_tokens",
    "reasoning": "gen_ai.usage.reasoning.output_tokens",
}
_OPERATIONS: Final = {
    "/chat/completions": "chat",
    "/messages": "chat",
    "/responses": "chat",
    "/api/chat": "chat",
    "/completions": "text_completion",
    "/generate": "text_completion",
    "/generate_stream": "text_completion",
}

Value = str | int | float | bool


class Stamped(NamedTuple):
    """An event of a span: its name, its time, and a lower bound of that (both in ns)."""

    name: str
    at_ns: int
    after_ns: int


class Generated(NamedTuple):
    """Additional data for the span of a stream."""

    attributes: dict[str, Value]
    events: Sequence[Stamped] = ()


NOTHING: Final = Generated({})


def of_target(url: str, body: bytes) -> dict[str, str]:
    """The operation and the model, as far as the URL and the body show."""
    path, told = urlsplit(url).path, {}
    for end, operation in _OPERATIONS.items():
        if path.endswith(end):
            told[_OPERATION] = operation
            break
    try:
        said = json.loads(body)
    except ValueError:
        return told
    if isinstance(said, dict) and isinstance(model := said.get("model"), str):
        told[_MODEL] = model
    return told


def of_streams(requests: Requests, streams: Streams | None) -> Iterator[Generated]:
    """Additional data for the root span of each request, in order."""
    if streams is None:
        yield from (NOTHING for _ in range(len(requests)))
        return
    firsts, counts = streams.first_reads, streams.rows["reads"]
    for place in streams.places(requests.columns.whole(DRAW)).tolist():
        if place < 0:
            yield NOTHING
        else:
            reads = streams.reads[firsts[place] : firsts[place] + counts[place]]
            yield _of_stream(streams.rows[place], reads)


def _of_stream(row: Mapping[str, int], reads: Rows) -> Generated:
    told: dict[str, Value] = {_STREAM: True, _ROW: _row_text(row), _READS: _reads_text(reads)}
    told |= {name: int(row[key]) for key, name in _USAGE.items() if row[key] != UNTOLD}
    if row["first_event"] and row["sent"]:
        told[_TO_FIRST_CHUNK] = (int(row["first_event"]) - int(row["sent"])) / 1e9
    events = [
        Stamped(name, int(row[key]), int(row[f"{key}_after"]))
        for name, key in ((FIRST_TOKEN, "first_token"), (LAST_TOKEN, "last_token"))
        if row[key]
    ]
    return Generated(told, events)


# A stream in attributes, so that an archive gives the same result.


class StreamText(NamedTuple):
    """A stream as stored in its root span."""

    row: str
    """The fields of a `STREAM` row except `draw` and `sent`; times in ns since `sent`."""
    reads: str
    """For each read, the ns since the previous one, followed by `*n` if it brought n tokens."""


def _row_text(row: Mapping[str, int]) -> str:
    sent = int(row["sent"])
    values = (int(row[name]) - sent * (name in STAMPS and row[name] > 0) for name in _FIELDS)
    return " ".join(map(str, values))


def _reads_text(reads: Rows) -> str:
    pairs = zip(gaps_ns(reads).tolist(), reads["tokens"].tolist(), strict=True)
    return " ".join(f"{gap}*{count}" if count > 1 else str(gap) for gap, count in pairs)


def text_of(attributes: Mapping[str, object]) -> StreamText | None:
    """The stream in a root span's attributes; None if there is none.

    Raises:
        ValueError: it has another format.
    """
    if _ROW not in attributes:
        return None
    text = StreamText(str(attributes[_ROW]), str(attributes.get(_READS)))
    try:
        streams_of([(0, text)])
    except (OverflowError, ValueError) as error:
        raise ValueError(f"it is no stream: {error}") from None
    return text


def streams_of(texts: Iterable[tuple[int, StreamText | None]]) -> Streams | None:
    """Restore the record of streams, with draws that count the requests; None without streams.

    Args:
        texts: for each request, when it was sent, and its stream.

    Raises:
        ValueError: a text has another format.
    """
    rows, reads = list[tuple[int, ...]](), list[tuple[int, int, int]]()
    for draw, (sent, text) in enumerate(texts):
        if text is None:
            continue
        values = dict(zip(_FIELDS, map(int, text.row.split()), strict=True))
        values |= {name: values[name] + sent for name in STAMPS if values[name]}
        rows.append(tuple({**values, "draw": draw, "sent": sent}[name] for name in _NAMES))
        for gap, _, count in (one.partition("*") for one in text.reads.split()):
            reads.append((int(gap) & 0xFFFFFFFF, int(gap) >> 32, int(count or 1)))
    if not rows:
        return None
    return Streams(np.array(rows, STREAM), np.array(reads, READ))

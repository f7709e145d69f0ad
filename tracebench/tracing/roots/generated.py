"""Additional data on root spans of streamed replies: the conventions for generative models.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/; they are not stable yet.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from tracebench.model.requests import DRAW, Requests
from tracebench.model.streams import UNTOLD, Streams

FIRST_TOKEN: Final = "first_token"
LAST_TOKEN: Final = "last_token"
"""Events of a root span; if the stamp is an upper bound, `AFTER_NS` is the lower bound, in ns."""
AFTER_NS: Final = "tracebench.after_ns"
_OPERATION: Final = "gen_ai.operation.name"
_MODEL: Final = "gen_ai.request.model"
_STREAM: Final = "gen_ai.request.stream"
_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
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
    for place in streams.places(requests.columns.whole(DRAW)).tolist():
        yield NOTHING if place < 0 else _of_stream(streams.rows[place])


def _of_stream(row: Mapping[str, int]) -> Generated:
    told: dict[str, Value] = {_STREAM: True}
    told |= {name: int(row[key]) for key, name in _USAGE.items() if row[key] != UNTOLD}
    if row["first_event"] and row["sent"]:
        told[_TO_FIRST_CHUNK] = (int(row["first_event"]) - int(row["sent"])) / 1e9
    events = [
        Stamped(name, int(row[key]), int(row[f"{key}_after"]))
        for name, key in ((FIRST_TOKEN, "first_token"), (LAST_TOKEN, "last_token"))
        if row[key]
    ]
    return Generated(told, events)

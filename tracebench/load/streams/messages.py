"""Which messages of a gRPC stream carry tokens."""

from collections.abc import Sequence
from typing import Any

from google.protobuf.message import DecodeError, Message

from tracebench.load.streams.tokens import Answer


def by_path(kind: type[Message], path: Sequence[str], answer: Answer, data: bytes) -> int:
    """A message carries a token where a path in it leads to something."""
    try:
        found: Any = kind.FromString(data)
        for step in path:
            found = found[int(step)] if step.isdecimal() else getattr(found, step)
    except (AttributeError, DecodeError, IndexError, TypeError):
        return 0
    answer.text = bool(found) or isinstance(found, Message)
    return int(answer.text)

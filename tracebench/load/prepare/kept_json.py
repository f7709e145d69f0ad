"""JSON of which only the first part was kept: what is whole in it can still be read."""

import json
import re
from typing import Any, Final

_TOKENS: Final = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[\[\]{},]', re.DOTALL)
_CLOSERS: Final = {b"{": b"}", b"[": b"]"}


def load(text: bytes) -> Any:
    """Read the first part of a document; what is cut off in mid-value is left out.

    Raises:
        ValueError: it is no JSON.
    """
    return json.loads(_closed(text))


def _closed(text: bytes) -> bytes:
    """The part of a cut document up to its last whole value, with what is open closed.

    Before each comma a value has ended, and after each opening bracket none has begun.
    """
    stack: list[bytes] = []
    end, closers = 0, b""
    for token in _TOKENS.finditer(text):
        mark = token[0]
        if mark in _CLOSERS:
            stack.append(_CLOSERS[mark])
            end = token.end()
        elif mark == b",":
            end = token.start()
        elif stack and mark == stack[-1]:
            stack.pop()
            end = token.end()
        else:
            continue
        closers = b"".join(reversed(stack))
    return text[:end] + closers

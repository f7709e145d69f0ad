"""What a streamed answer says: its text, for the next turn of a conversation."""

import json
from collections.abc import Generator
from typing import Final

from tracebench.load.streams.events import cut_for
from tracebench.load.streams.tokens import DONE
from tracebench.load.wire.codec import StreamLog

_AT_ONCE: Final = 16
"""Events that are read between two breaks."""


def spoken(log: StreamLog) -> Generator[None, None, str | None]:
    """Read the text of an answer in OpenAI's interface, a few events at a time.

    Args:
        log: the whole stream.

    Returns:
        The text, without reasoning, which no later turn repeats; None if the stream broke off.
    """
    parts, ended = list[str](), False
    for number, event in enumerate(cut_for(log.kind)(log.body), 1):
        if event.data == DONE:
            ended = True
        elif event.data:
            try:
                said = json.loads(event.data)
                for choice in said["choices"][:1]:
                    parts.append((choice.get("delta") or choice).get("content") or "")
                    ended |= choice.get("finish_reason") is not None
            except (AttributeError, KeyError, TypeError, ValueError):
                return None
        if not number % _AT_ONCE:
            yield
    return "".join(parts) if ended else None

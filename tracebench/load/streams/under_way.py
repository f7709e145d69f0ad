"""Count the tokens of a stream while it is under way, for clients that hang up after some."""

from typing import Final

from tracebench.load.streams.events import cut_for
from tracebench.load.streams.reading import Streaming, item, taker
from tracebench.load.streams.tokens import Answer
from tracebench.load.wire.codec import GRPC_STREAM, StreamLog

_BLANK_LINES: Final = (b"\n\n", b"\r\n\r\n", b"\r\r", b"\r\n\n", b"\n\r\n")
_LINE_ENDS: Final = (b"\n",)


class TokensSoFar:
    """The tokens of one stream, as `read_stream` would count them; each event is read once.

    Args:
        log: the stream.
        how: how to read its events.
    """

    def __init__(self, log: StreamLog, how: Streaming) -> None:
        self.log = log
        self._answer = Answer(how.path)
        self._cut, self._take = cut_for(log.kind), taker(log.kind, how)
        self._ends = _BLANK_LINES if log.kind == "text/event-stream" else _LINE_ENDS
        self._at = self._tokens = self._items = 0

    def count(self) -> int:
        """Read the events that have come since the last call; returns how many tokens there are."""
        body = self.log.body
        part = bytes(body[self._at : self._complete_up_to()])
        size = 0
        for event in self._cut(part):
            size = event.end
            if event.data or self.log.kind == GRPC_STREAM:
                self._tokens += self._take(self._answer, event)
                self._items += item(self._answer, event)
        self._at += size
        unknown = self.log.kind != GRPC_STREAM and not self._answer.known
        return self._items if unknown else self._tokens

    def _complete_up_to(self) -> int:
        """Where the last whole event ends; messages tell their own size."""
        body, at = self.log.body, self._at
        if self.log.kind == GRPC_STREAM:
            return len(body)
        found = [(body.rfind(end, at), len(end)) for end in self._ends]
        return max((place + size for place, size in found if place >= 0), default=at)

"""Read a stream that has ended: what its events held, and when each token came.

An event's stamp is that of the read that held its last byte. For the last event of a read it is
exact; for the others it is an upper bound, and the stamp of the previous read is the lower bound.
"""

import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Final, NamedTuple

from server_middleware.vocabulary import (
    SERVER_TIMING_HEADER,
    STREAM_TIMING_HEADER,
    TIMING_HEADER,
)
from tracebench.load.streams.events import Cut, Event, cut_for
from tracebench.load.streams.tokens import DONE, Answer
from tracebench.load.wire.codec import GRPC_STREAM, Mark, StreamLog
from tracebench.model.record.exchange import Stamp
from tracebench.model.record.streams import BROKE_OFF, STOPPED

_AT_ONCE: Final = 16
"""How many events are read between two pauses: about 0.1 ms of work."""
_TOLD: Final = {one.lower() for one in (STREAM_TIMING_HEADER, TIMING_HEADER, SERVER_TIMING_HEADER)}
"""Headers that a server may send as comments after the last event, since it knows their values only
then."""


class Token(NamedTuple):
    """When a token came, in ns."""

    came_ns: int
    after_ns: int
    """Lower bound; equal to `came_ns` if that is exact."""


class StreamFacts:
    """What is known of a stream, as far as it has been read.

    Args:
        answer: collects what the events say.
    """

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.events = 0
        """Events with data."""
        self.carrying = 0
        """Events with tokens."""
        self.exact = 0
        """Events with tokens whose stamp is exact."""
        self.first_event_ns = self.first_text_ns = 0
        """`first_text_ns` is for the first piece of the answer itself, not of its reasoning; 0:
        none yet."""
        self.first: Token | None = None
        self.last: Token | None = None
        self.reads: list[tuple[int, int]] = []
        """For each read that completed events with tokens: when it came, and how many tokens they
        hold."""
        self.first_size = 0
        """Size of the stream up to and including its first token: bytes, or messages of a gRPC
        call."""
        self.headers: dict[str, str] = {}
        """Headers sent as comments, with names in lower case; of a repeated one, the last."""

    @property
    def fault(self) -> str:
        """Why the stream failed; empty if it did not."""
        answer = self.answer
        if answer.error:
            return f"{BROKE_OFF}: {answer.error}"
        if answer.known and not answer.ended and not answer.may_lack_end:
            return STOPPED
        return ""

    def count(self, tokens: int, token: Token, size: int) -> None:
        """Count an event with tokens; `size` is that of the stream up to and including it."""
        self.carrying += 1
        self.first_size = self.first_size or size
        self.exact += token.came_ns == token.after_ns
        self.first = self.first or token
        self.last = token
        if self.reads and self.reads[-1][0] == token.came_ns:
            tokens += self.reads.pop()[1]
        self.reads.append((token.came_ns, tokens))

    def hear(self, comments: Iterable[bytes]) -> None:
        """Keep the headers among an event's comments."""
        for comment in comments:
            name, _, value = comment.decode("latin-1").partition(":")
            if (key := name.strip().lower()) in _TOLD:
                self.headers[key] = value.strip()


class Streaming(NamedTuple):
    """How to read the streams of a target."""

    path: Sequence[str] = ()
    """Keys and indices that lead to the value that only events with tokens have; empty: use the
    known formats."""
    timeout_ns: int = sys.maxsize
    """Limit on the duration of a whole stream; the request timeout limits each gap instead."""
    message: Callable[[Answer, bytes], int] | None = None
    """Returns the number of tokens in a gRPC message; None: one per message, unless it is empty."""


NO_STREAMS: Final = Streaming()


def read_stream(
    log: StreamLog, sent_ns: int, how: Streaming = NO_STREAMS
) -> Generator[None, None, StreamFacts]:
    """Read a stream, pausing (by a yield) after every few events.

    Args:
        log: the recorded stream.
        sent_ns: when its request was sent, the lower bound of every stamp.
        how: how to read its events.

    Returns:
        What is known of it.
    """
    cut, answer = cut_for(log.kind), Answer(how.path)
    found = yield from _counted(log, sent_ns, cut, answer, taker(log.kind, how))
    if log.kind == GRPC_STREAM and how.message is None:
        return found
    if not found.answer.known and not found.answer.error:
        found = yield from _counted(log, sent_ns, cut, Answer(), item)
    return found


def taker(kind: str, how: Streaming) -> Callable[[Answer, Event], int]:
    """The function that counts the tokens of an event, for streams of a media type."""
    if kind != GRPC_STREAM:
        return Answer.take
    return item if how.message is None else partial(_message, how.message)


def _message(read: Callable[[Answer, bytes], int], answer: Answer, event: Event) -> int:
    return read(answer, event.data)


def item(_answer: Answer, event: Event) -> int:
    """Count an event of an unknown format as a token, unless it is empty."""
    return int(event.data not in (b"", DONE))


def _counted(
    log: StreamLog, sent_ns: int, cut: Cut, answer: Answer, take: Callable[[Answer, Event], int]
) -> Generator[None, None, StreamFacts]:
    facts, stamped = StreamFacts(answer), _stamped(log, sent_ns, cut)
    while some := list(islice(stamped, _AT_ONCE)):
        for event, token in some:
            if event.comments:
                facts.hear(event.comments)
            if not event.data and log.kind != GRPC_STREAM:
                continue  # it has only comments
            facts.events += 1
            facts.first_event_ns = facts.first_event_ns or token.came_ns
            if tokens := take(answer, event):
                size = facts.events if log.kind == GRPC_STREAM else event.end
                facts.count(tokens, token, size)
            if answer.text and not facts.first_text_ns:
                facts.first_text_ns = token.came_ns
        yield
    return facts


def _stamped(log: StreamLog, sent_ns: int, cut: Cut) -> Iterator[tuple[Event, Token]]:
    """Each event with the stamp of the read that completed it."""
    marks = iter(log.marks)
    before_ns, mark = sent_ns, next(marks, Mark(0, sent_ns, Stamp.USER))
    for event in cut(log.body):
        while mark.size < event.end and (later := next(marks, None)) is not None:
            before_ns, mark = mark.came_ns, later
        last = event.end == mark.size and mark.stamp is Stamp.KERNEL
        yield event, Token(mark.came_ns, mark.came_ns if last else min(before_ns, mark.came_ns))

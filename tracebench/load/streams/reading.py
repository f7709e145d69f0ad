"""One stream that has ended: what its events carried, and when each token came.

An event's stamp is that of the read that held its last byte. It is exact where that event was the
last of the read; of the others the stamp is an upper bound: they came after the read before.
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
from tracebench.model.exchange import Stamp
from tracebench.model.streams import BROKE_OFF, STOPPED

_AT_ONCE: Final = 16
"""Events that are looked at between two breaks: some 0.1 ms."""
_TOLD: Final = {one.lower() for one in (STREAM_TIMING_HEADER, TIMING_HEADER, SERVER_TIMING_HEADER)}
"""Headers that a server may write as comments behind the last event: only then it knows them."""


class Token(NamedTuple):
    """The stamp of a token, in ns."""

    came_ns: int
    after_ns: int
    """It came after this; the same as `came_ns` where that is exact."""


class StreamFacts:
    """What is known of a stream, as far as it was read.

    Args:
        answer: takes what its events say.
    """

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.events = 0
        """Those that say something."""
        self.carrying = 0
        """Those of them that carry tokens."""
        self.exact = 0
        """Carrying events whose stamp is exact."""
        self.first_event_ns = self.first_text_ns = 0
        """The latter of the first part of the answer itself, no reasoning; 0: there was none."""
        self.first: Token | None = None
        self.last: Token | None = None
        self.reads: list[tuple[int, int]] = []
        """When each read came that completed carrying events, and how many tokens they carry."""
        self.first_size = 0
        """How much of the stream there is up to its first token: bytes, or messages of a call."""
        self.headers: dict[str, str] = {}
        """Those that comments tell, by names in lower case; of one that comes twice the last."""

    @property
    def fault(self) -> str:
        """Why the stream is no success; empty where it is one."""
        answer = self.answer
        if answer.error:
            return f"{BROKE_OFF}: {answer.error}"
        if answer.known and not answer.ended and not answer.may_lack_end:
            return STOPPED
        return ""

    def count(self, tokens: int, token: Token, size: int) -> None:
        """An event carries tokens, and the stream is of this size with it."""
        self.carrying += 1
        self.first_size = self.first_size or size
        self.exact += token.came_ns == token.after_ns
        self.first = self.first or token
        self.last = token
        if self.reads and self.reads[-1][0] == token.came_ns:
            tokens += self.reads.pop()[1]
        self.reads.append((token.came_ns, tokens))

    def hear(self, comments: Iterable[bytes]) -> None:
        """An event has comments: take the headers among them."""
        for comment in comments:
            name, _, value = comment.decode("latin-1").partition(":")
            if (key := name.strip().lower()) in _TOLD:
                self.headers[key] = value.strip()


class Streaming(NamedTuple):
    """How the replies of a target stream."""

    path: Sequence[str] = ()
    """Keys and places that lead to what an event with a token has; empty: the known forms."""
    timeout_ns: int = sys.maxsize
    """How long a whole stream may last; the time-out of a request is that of each gap."""
    message: Callable[[Answer, bytes], int] | None = None
    """Tells how many tokens a gRPC message carries; None: one, unless it is empty."""


NO_STREAMS: Final = Streaming()


def read_stream(
    log: StreamLog, sent_ns: int, how: Streaming = NO_STREAMS
) -> Generator[None, None, StreamFacts]:
    """Understand a stream, a few events at a time.

    Args:
        log: what has come of it.
        sent_ns: when its request was sent: nothing came before.
        how: its events are to be read.

    Returns:
        What is known of it.
    """
    cut, answer = cut_for(log.kind), Answer(how.path)
    if log.kind == GRPC_STREAM and how.message is not None:
        found = yield from _counted(log, sent_ns, cut, answer, partial(_message, how.message))
    elif log.kind == GRPC_STREAM:
        return (yield from _counted(log, sent_ns, cut, answer, _item))
    else:
        found = yield from _counted(log, sent_ns, cut, answer, Answer.take)
    if not found.answer.known and not found.answer.error:
        found = yield from _counted(log, sent_ns, cut, Answer(), _item)
    return found


def _message(read: Callable[[Answer, bytes], int], answer: Answer, event: Event) -> int:
    return read(answer, event.data)


def _item(answer: Answer, event: Event) -> int:
    """An event of a form that nobody knows is a token, unless it says nothing."""
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
                continue  # there are comments alone
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

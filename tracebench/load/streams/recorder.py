"""Record streams that have ended, reading them in short slices between iterations of the loop."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from struct import Struct
from typing import Final

import numpy as np

from tracebench.load.streams.reading import StreamFacts, Streaming, Token, read_stream
from tracebench.load.wire.codec import Slot, StreamLog
from tracebench.model.record.exchange import Reply, Timing
from tracebench.model.record.streams import READ, STOPPED, STREAM, TOKEN_SOURCES, Streams
from tracebench.tracing.mirror.timings import read_timing

SLICE_NS: Final = 500_000
"""Length of a slice; a longer one would delay the reads of other streams and blur their stamps."""
_ROW: Final = Struct("<6I7q4i2q2B")
_READ: Final = Struct("<IhH")
_MOST_TOKENS: Final = 2**16 - 1
"""Most tokens that a row of one read can hold; the rest goes into further rows with a gap of 0."""
_NEVER: Final = Token(0, 0)
_NONE, _EVENTS, _IDS, _USAGE = range(len(TOKEN_SOURCES))

CallAt = Callable[[int, Callable[[], None]], None]
Told = Callable[[int, int], None]


class StreamRecorder:
    """Collects the streams of a window, and keeps the relevant facts in columns.

    Args:
        how: how to read the streams.
        now_ns: the loop's clock.
        call_at: the loop's timer.
    """

    def __init__(self, how: Streaming, now_ns: Callable[[], int], call_at: CallAt) -> None:
        self._how, self._now_ns, self._call_at = how, now_ns, call_at
        self._waiting: deque[tuple[int, int, StreamLog, bool]] = deque()
        self._draw = self._sent_ns = 0
        self._hung_up = False
        self._under_way: Generator[None, None, StreamFacts] | None = None
        self._rows, self._reads = bytearray(), bytearray()
        self._faults: dict[int, str] = {}
        self._timings: dict[int, Timing] = {}
        self.hear: Callable[[Slot, StreamLog], None] | None = None
        """Is also given each stream that has ended, before it is read."""
        self.tokens = 0
        """Number of tokens in the streams read so far."""

    def take(self, slot: Slot, *, hung_up: bool = False) -> None:
        """Take the stream of an exchange that has ended.

        Args:
            slot: its stream is dropped if there was no whole reply, unless the client hung up.
            hung_up: the client did not listen to the end.
        """
        log, slot.stream = slot.stream, None
        if log is None or (slot.reply is None and not hung_up):
            return
        if not self._waiting and self._under_way is None:
            self._call_at(self._now_ns(), self._work)
        self._waiting.append((slot.draw, slot.sent_ns, log, hung_up))
        if self.hear is not None and not hung_up:
            self.hear(slot, log)

    def go_on(self) -> None:
        """Another window begins: read on, where streams of the last one still wait."""
        if self._waiting or self._under_way is not None:
            self._call_at(self._now_ns(), self._work)

    def finish(self, told: Told) -> Streams:
        """Read the streams that still wait, and return all of them.

        Args:
            told: called repeatedly with how many have been read, and how many there were to read.
        """
        waiting = len(self._waiting)
        while self._step():
            told(waiting - len(self._waiting), waiting)
        rows, reads = np.frombuffer(self._rows, STREAM), np.frombuffer(self._reads, READ)
        return Streams(rows, reads, self._faults, self._timings)

    def _work(self) -> None:
        until_ns = self._now_ns() + SLICE_NS
        while self._step():
            if (now_ns := self._now_ns()) >= until_ns:
                return self._call_at(now_ns, self._work)  # the loop looks for replies before

    def _step(self) -> bool:
        """Do a little; returns whether there was anything to do."""
        if self._under_way is None:
            if not self._waiting:
                return False
            self._draw, self._sent_ns, log, self._hung_up = self._waiting.popleft()
            self._under_way = read_stream(log, self._sent_ns, self._how)
        try:
            next(self._under_way)
        except StopIteration as end:
            self._under_way = None
            self._keep(end.value)
        return True

    def _keep(self, facts: StreamFacts) -> None:
        first, last, answer = facts.first or _NEVER, facts.last or _NEVER, facts.answer
        if facts.fault and not (self._hung_up and facts.fault == STOPPED):
            self._faults[self._draw] = facts.fault
        if facts.headers:
            self._hear(facts.headers)
        output, source = answer.output, _USAGE
        if output < 0 and answer.ids:
            output, source = answer.ids, _IDS
        elif output < 0:
            output, source = facts.carrying, _EVENTS if facts.carrying else _NONE
        self.tokens += output
        reads = list(_gaps(facts.reads, self._sent_ns))
        self._rows += _ROW.pack(
            *(self._draw, facts.events, facts.carrying, facts.exact, len(reads)),
            facts.first_size,
            *(self._sent_ns, facts.first_event_ns, *first, facts.first_text_ns, *last),
            *(answer.input, output, answer.reasoning, answer.cached),
            *(answer.prefill_ns, answer.decode_ns, source, answer.told_each),
        )
        for gap_ns, tokens in reads:
            self._reads += _READ.pack(gap_ns & 0xFFFFFFFF, gap_ns >> 32, tokens)

    def _hear(self, headers: Mapping[str, str]) -> None:
        """Keep the timing from the end of the stream, which takes precedence over the head's."""
        timing = read_timing(Reply("", headers, b"", frozenset(headers)))
        if isinstance(timing, Timing):
            self._timings[self._draw] = timing


def _gaps(reads: Iterable[tuple[int, int]], before_ns: int) -> Iterator[tuple[int, int]]:
    """For each read, the time since the previous one in ns, and its number of tokens."""
    for came_ns, tokens in reads:
        while tokens > _MOST_TOKENS:
            yield came_ns - before_ns, _MOST_TOKENS
            before_ns, tokens = came_ns, tokens - _MOST_TOKENS
        yield came_ns - before_ns, tokens
        before_ns = came_ns

"""When the turns of conversations are sent: exact, with a clock that stands until it is moved."""

from collections.abc import Iterator

import pytest

from tests.records import Recorded
from tracebench.load.engine.conversations import ConversationDispatch
from tracebench.load.engine.dispatch import Ledger
from tracebench.load.engine.loop import CLOCK, Loop
from tracebench.load.engine.pacing import ClosedLoop
from tracebench.load.streams.reading import NO_STREAMS
from tracebench.load.streams.recorder import SLICE_NS, StreamRecorder
from tracebench.load.wire.codec import Slot, StreamLog
from tracebench.model.record.exchange import Stamp
from tracebench.tracing.roots.trace_ids import IdSource

BEGAN_NS, MS = 1_000_000_000, 1_000_000
SLICE_MS = SLICE_NS / MS


class Talking:
    """A conversation of any number of turns; reading an answer takes some steps."""

    def __init__(self, world: "World", think_ms: float, steps: int) -> None:
        self._world, self._think_ms, self._steps = world, think_ms, steps
        self.heard: list[StreamLog] = []
        self.variant = 0

    def hear(self, log: StreamLog) -> None:
        self.heard.append(log)

    def go_on(self) -> Iterator[None]:
        for _ in range(self._steps if self.heard else 0):
            self._world.now_ns += SLICE_NS
            yield
        self.variant += bool(self.heard)

    def think_ns(self) -> int:
        return round(self._think_ms * MS) if self.variant else 0


class World:
    """A ledger and its dispatch; slots send to nobody, and the clock is set by hand."""

    def __init__(
        self,
        slots: int = 1,
        think_ms: float = 0,
        steps: int = 0,
        pacing: ClosedLoop = ClosedLoop(requests=10),  # noqa: B008 - it is frozen
    ) -> None:
        self.now_ns = BEGAN_NS
        self.loop = Loop(CLOCK._replace(now_ns=lambda: self.now_ns))
        self.ledger = Ledger(self.loop, IdSource().draw)
        self.talks = [Talking(self, think_ms, steps) for _ in range(slots)]
        self.dispatch = ConversationDispatch(self.talks, pacing, self.ledger, self.loop)
        self.slots = [Slot(self._sent, number) for number in range(slots)]
        self.sent: list[tuple[int, int, float]] = []
        """Slot, variant, and when it was due, in ms."""
        recorded = Recorded().recorder
        streams = StreamRecorder(NO_STREAMS, self.loop.now_ns, self.loop.call_at)
        self.ledger.open(recorded, streams, self.dispatch.freed, BEGAN_NS, 0)
        self.dispatch.begin(self.slots, BEGAN_NS)

    def _sent(self, slot: Slot) -> None:
        slot.sent_ns = self.now_ns
        self.sent.append((slot.number, slot.variant, (slot.scheduled_ns - BEGAN_NS) / MS))

    def at(self, ms: float) -> None:
        """Move the clock, and let timers that are due come."""
        self.now_ns = max(BEGAN_NS + round(ms * MS), self.now_ns)
        self.loop._call_timers(self.now_ns)

    def answered(self, slot: int = 0) -> None:
        one = self.slots[slot]
        one.reply, one.stream = (b"",), StreamLog("text/event-stream")
        self.ledger.finished(one, self.now_ns, self.now_ns, Stamp.KERNEL)


def test_the_next_turn_follows_at_once() -> None:
    world = World()
    world.at(5)
    world.answered()
    assert world.sent == [(0, 0, 0.0), (0, 1, 5.0)]
    assert len(world.talks[0].heard) == 1


def test_a_user_thinks_from_the_answer_on() -> None:
    world = World(think_ms=20)
    world.at(5)
    world.answered()
    assert world.dispatch.idle()
    world.at(24.9)
    assert len(world.sent) == 1
    world.at(25)
    assert world.sent[1:] == [(0, 1, 25.0)]
    assert not world.dispatch.idle()


def test_reading_an_answer_lets_others_be_heard_and_is_the_tools_own_time() -> None:
    world = World(steps=3)
    world.at(5)
    world.answered()
    assert len(world.sent) == 1, "a slice, then a look for replies"
    for _ in range(3):
        world.at(0)
    assert world.sent[1:] == [(0, 1, 5.0)], "due when the answer had come"
    assert (world.slots[0].sent_ns - BEGAN_NS) / MS == pytest.approx(5 + 3 * SLICE_MS)


def test_reading_is_done_while_the_user_thinks() -> None:
    world = World(think_ms=20, steps=3)
    world.at(5)
    world.answered()
    for _ in range(3):
        world.at(0)
    world.at(25)
    assert world.sent[1:] == [(0, 1, 25.0)]
    assert world.slots[0].sent_ns == BEGAN_NS + 25 * MS


def test_who_thinks_beyond_the_end_leaves_at_once() -> None:
    world = World(think_ms=20, pacing=ClosedLoop(duration_ns=10 * MS))
    world.at(5)
    world.answered()
    assert not world.dispatch.active()


def test_who_thinks_when_the_last_request_has_left_leaves() -> None:
    world = World(slots=2, think_ms=20, pacing=ClosedLoop(requests=3))
    world.at(5)
    world.answered(0)
    world.at(6)
    world.answered(1)
    world.at(25)
    assert [slot for slot, _, _ in world.sent] == [0, 1, 0]
    world.answered(0)
    assert not world.dispatch.active()
    world.at(100)
    assert len(world.sent) == 3


def test_an_end_lets_those_who_think_leave() -> None:
    world = World(slots=2, think_ms=20)
    world.at(5)
    world.answered(0)
    world.dispatch.finish()
    assert world.dispatch.active(), "one is under way"
    world.answered(1)
    assert not world.dispatch.active()
    world.at(100)
    assert len(world.sent) == 2

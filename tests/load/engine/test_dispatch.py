"""Who sends next: exact, with a clock that stands until it is moved."""

from array import array

import pytest

from tests.records import Recorded
from tracebench.load.engine.dispatch import NEVER_SENT, ClosedDispatch, Ledger, OpenDispatch
from tracebench.load.engine.loop import CLOCK, Loop
from tracebench.load.engine.pacing import ClosedLoop, OpenLoop
from tracebench.load.streams.reading import NO_STREAMS
from tracebench.load.streams.recorder import StreamRecorder
from tracebench.load.wire.codec import Slot
from tracebench.model.record.exchange import Outcome, Stamp
from tracebench.model.shards import Shard
from tracebench.tracing.roots.trace_ids import IdSource

BEGAN_NS, MS = 1_000_000_000, 1_000_000


class World:
    """A ledger and its dispatch; slots send to nobody, and the clock is set by hand."""

    def __init__(self, slots: int, *due_ms: float) -> None:
        self.now_ns = BEGAN_NS
        self.loop = Loop(CLOCK._replace(now_ns=lambda: self.now_ns))
        self.ledger = Ledger(self.loop, IdSource().draw)
        arrivals_ns = array("q", (round(at * MS) for at in due_ms))
        self.dispatch = OpenDispatch(OpenLoop(arrivals_ns), self.ledger, self.loop)
        self.slots = [Slot(self._sent) for _ in range(slots)]
        self.sent: list[int] = []
        self.recorded = Recorded()
        streams = StreamRecorder(NO_STREAMS, self.loop.now_ns, self.loop.call_at)
        self.ledger.open(self.recorded.recorder, streams, self.dispatch.freed, BEGAN_NS, 0)

    def _sent(self, slot: Slot) -> None:
        slot.sent_ns = self.now_ns
        self.sent.append(self.slots.index(slot))

    def begin(self) -> None:
        self.dispatch.begin(self.slots, BEGAN_NS)

    def at(self, ms: float) -> None:
        """Move the clock, and let timers that are due come."""
        self.now_ns = BEGAN_NS + round(ms * MS)
        self.loop._call_timers(self.now_ns)

    def answered(self, slot: int) -> None:
        self.slots[slot].reply = (b"",)
        self.ledger.finished(self.slots[slot], self.now_ns, self.now_ns, Stamp.KERNEL)

    def rows_ms(self) -> list[tuple[float, float]]:
        """Of each ended exchange: when it was scheduled, and when it was ready."""
        return [
            ((one.scheduled_ns - BEGAN_NS) / MS, (one.ready_ns - BEGAN_NS) / MS)
            for one in self.recorded.exchanges()
        ]


@pytest.fixture
def world() -> World:
    return World(2, 0, 10, 20, 30)


def test_requests_leave_when_they_are_due(world: World) -> None:
    world.begin()
    assert len(world.sent) == 1
    world.at(9)
    assert len(world.sent) == 1
    world.at(10)
    assert len(world.sent) == 2


def test_the_slot_that_was_freed_last_goes_first(world: World) -> None:
    world.begin()
    world.at(5)
    world.answered(0)
    world.at(10)
    assert world.sent == [0, 0]


def test_what_finds_no_slot_waits_as_backlog(world: World) -> None:
    world.begin()
    for ms in (10, 20, 30, 50):
        world.at(ms)
    world.answered(0)
    world.answered(1)
    world.at(60)
    world.answered(0)
    world.answered(1)
    assert world.rows_ms() == [(0, 0), (10, 10), (20, 50), (30, 50)]


def test_a_late_loop_is_no_backlog(world: World) -> None:
    world.begin()
    world.at(1)
    world.answered(0)
    world.at(18)  # nobody looked at 10, though a slot was free
    world.answered(0)
    assert world.rows_ms() == [(0, 0), (10, 10)]


def test_all_is_over_when_the_last_is_answered(world: World) -> None:
    world.begin()
    for ms in (10, 20, 30):
        world.at(ms)
        world.answered(world.sent[-1])
        assert world.dispatch.active() == (ms < 30 or not world.dispatch.idle())
    world.answered(1 - world.sent[-1])
    assert not world.dispatch.active()


def test_an_end_counts_what_was_due_and_forgets_what_was_not(world: World) -> None:
    world.begin()
    world.at(10)
    world.at(25)
    world.dispatch.stop(world.now_ns)
    (one,) = world.recorded.exchanges()
    assert (one.outcome, one.reason) == (Outcome.CANCELLED, NEVER_SENT)
    assert one.scheduled_ns == BEGAN_NS + 20 * MS
    assert world.ledger.started == 3
    world.answered(0)
    world.answered(1)
    assert not world.dispatch.active()


def test_what_waits_for_too_long_after_the_last_is_dropped(world: World) -> None:
    world.begin()
    for ms in (10, 20, 30):
        world.at(ms)
    world.dispatch.drop_late(BEGAN_NS + 129 * MS, 100 * MS)
    assert world.ledger.started == 2
    world.dispatch.drop_late(BEGAN_NS + 130 * MS, 100 * MS)
    assert world.ledger.started == 4
    assert len(world.recorded.recorder) == 2


def test_a_run_that_has_enough_sends_what_is_due_and_no_more(world: World) -> None:
    world.begin()
    world.at(10)
    world.at(25)
    world.dispatch.finish()
    world.answered(0)
    world.answered(1)
    assert len(world.sent) == 3
    assert world.dispatch.active()
    world.answered(world.sent[-1])
    assert not world.dispatch.active()


# ── a closed loop that ramps up ──────────────────────────────────────────────────────────────


class Closed(World):
    """Like `World`, with four slots that start over 40 ms."""

    def __init__(self, pacing: ClosedLoop) -> None:
        super().__init__(4)
        self.closed = ClosedDispatch(pacing, self.ledger, self.loop)
        streams = StreamRecorder(NO_STREAMS, self.loop.now_ns, self.loop.call_at)
        self.ledger.open(self.recorded.recorder, streams, self.closed.freed, BEGAN_NS, 0)

    def begin(self) -> None:
        self.closed.begin(self.slots, BEGAN_NS)


def test_slots_start_one_after_the_other() -> None:
    world = Closed(ClosedLoop(requests=2, ramp_up_ns=40 * MS))
    world.begin()
    assert world.sent == [0]
    world.at(9)
    assert world.sent == [0]
    world.at(10)
    world.at(21)
    assert world.sent == [0, 1, 2], "a late loop makes up for it"
    world.answered(0)
    assert world.sent == [0, 1, 2, 0], "who was answered goes on meanwhile"
    world.at(30)
    world.at(40)
    for slot in (1, 2, 3):
        world.answered(slot)
    assert world.sent == [0, 1, 2, 0, 3, 1, 2], "two more, once all have started"
    assert world.closed.active()
    for slot in (0, 1, 2):
        world.answered(slot)
    assert not world.closed.active()
    due_ms = sorted(due_ms for due_ms, _ in world.rows_ms())
    assert due_ms == [0, 10, 20, 21, 30, 40, 40]


def test_a_duration_begins_when_all_have_started() -> None:
    world = Closed(ClosedLoop(duration_ns=15 * MS, ramp_up_ns=40 * MS))
    world.begin()
    for ms in (10, 20, 30, 40, 54):
        world.at(ms)
    world.answered(0)
    assert world.sent == [0, 1, 2, 3, 0]
    world.at(55)
    world.answered(1)
    assert world.sent == [0, 1, 2, 3, 0]


def test_who_has_not_started_leaves_with_an_end() -> None:
    world = Closed(ClosedLoop(requests=9, ramp_up_ns=40 * MS))
    world.begin()
    world.at(10)
    world.closed.finish()
    world.answered(0)
    world.answered(1)
    assert not world.closed.active()
    world.at(40)
    assert world.sent == [0, 1]


def test_slots_of_two_shards_start_in_between() -> None:
    began_ms = []
    for shard in (Shard(0, 2), Shard(1, 2)):
        world = Closed(ClosedLoop(requests=4, ramp_up_ns=80 * MS, shard=shard))
        world.begin()
        for ms in range(0, 81, 10):
            world.at(ms)
        for slot in range(4):
            world.answered(slot)
        began_ms.append(sorted(due_ms for due_ms, _ in world.rows_ms())[:4])
    assert began_ms == [[0, 20, 40, 60], [10, 30, 50, 70]]

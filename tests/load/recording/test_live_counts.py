"""Rows are counted once, soon after they were written, by how they ended and how long they took."""

from collections.abc import Callable
from random import Random

import pytest

from tests.model.test_progress import latencies
from tests.servers import reply
from tracebench.load.recording import rows as recording
from tracebench.load.recording.live_counts import LiveCounts
from tracebench.load.recording.replies import Replies
from tracebench.load.recording.rows import RowRecorder
from tracebench.load.recording.spill import Spill
from tracebench.load.wire import http1
from tracebench.load.wire.codec import RawReply, Slot
from tracebench.load.wire.http1_pattern import pattern_of
from tracebench.model.progress import BOUNDS_NS, SUCCEEDED
from tracebench.model.record.exchange import Outcome, Reply, Stamp

MS = 1_000_000
TIMEOUT_NS = 1_000 * MS


class Watched:
    """A recorder whose rows are counted, and a slot to write them from."""

    def __init__(self, *, learns: bool = False) -> None:
        later: list[Callable[[], None]] = []
        self.recorder = RowRecorder(Replies(pattern_of if learns else None, later.append), Spill())
        self.reads = 0
        self.live = LiveCounts(http1.status_of, self._read, TIMEOUT_NS)
        self.recorder.watch(self.live)
        self._slot, self._later = Slot(lambda _slot: None), later

    def write(
        self,
        took_ns: int = MS,
        raw: bytes = b"",
        outcome: Outcome | None = None,
        error: str = "",
    ) -> None:
        slot = self._slot
        slot.scheduled_ns, slot.sent_ns = 7 * MS, 7 * MS
        slot.reply, slot.error = (raw,) if raw else None, error
        arrived_ns = 7 * MS + took_ns if raw else 0
        self.recorder.write(slot, arrived_ns, 7 * MS + took_ns, Stamp.KERNEL, outcome)
        while self._later:
            self._later.pop()()

    def counts(self) -> dict[str, int]:
        self.recorder.tell(1 << 20)
        return {kind: one.count for kind, one in self.live.latencies().items()}

    def _read(self, raw: RawReply) -> tuple[Reply, str]:
        self.reads += 1
        return http1.read_reply(raw)


def test_the_kinds_are_how_requests_ended() -> None:
    watched = Watched()
    for _ in range(5):
        watched.write(raw=reply())
    for _ in range(3):
        watched.write(raw=reply(b"", "503 Service Unavailable"))
    watched.write(error="connection reset by peer")
    watched.write(took_ns=TIMEOUT_NS, error="connection reset by peer")
    watched.write(outcome=Outcome.TIMED_OUT, error="no reply within 1 s")
    watched.write(outcome=Outcome.CANCELLED, error="cancelled")
    assert watched.counts() == {SUCCEEDED: 5, "503": 3, "failed": 1, "timed_out": 2}
    assert watched.reads == 2, "one reply of each status is read in full"
    assert not watched.live.kept


def test_replies_of_a_known_form_are_successes() -> None:
    watched = Watched(learns=True)
    for _ in range(10):
        watched.write(raw=reply())
    assert watched.counts() == {SUCCEEDED: 10}
    assert watched.reads == 1


def test_a_success_by_its_status_counts_as_one_before_its_content_is_known() -> None:
    watched = Watched()
    watched.live = LiveCounts(
        http1.status_of, lambda raw: (http1.read_reply(raw)[0], "--expect-json: …"), TIMEOUT_NS
    )
    watched.recorder.watch(watched.live)
    watched.write(raw=reply())
    assert watched.counts() == {SUCCEEDED: 1}


def test_an_expected_status_is_a_success() -> None:
    watched = Watched()
    watched.live = LiveCounts(
        http1.status_of, lambda raw: (http1.read_reply(raw)[0], ""), TIMEOUT_NS
    )
    watched.recorder.watch(watched.live)
    watched.write(raw=reply(b"", "404 Not Found"))
    assert watched.counts() == {SUCCEEDED: 1}


def test_slices_count_each_row_once() -> None:
    watched = Watched()
    for _ in range(10):
        watched.write(raw=reply())
    assert watched.recorder.tell(4)
    assert watched.live.latencies()[SUCCEEDED].count == 4
    assert watched.recorder.tell(4)
    assert not watched.recorder.tell(4)
    assert not watched.recorder.tell(4)
    assert watched.live.latencies()[SUCCEEDED].count == 10


def test_rows_of_a_full_page_are_counted_before_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "PAGE_BYTES", 8 * recording.ROW_BYTES)
    watched = Watched()
    for at in range(21):
        watched.write(took_ns=(at + 1) * MS, raw=reply())
        if at % 5 == 0:
            watched.recorder.tell(3)
    watched.recorder.close()
    found = watched.live.latencies()[SUCCEEDED]
    assert (found.count, found.sum_ns) == (21, sum(range(1, 22)) * MS)


def test_buckets_are_those_of_each_latency() -> None:
    watched, random = Watched(), Random(3)
    took_ns = [int(random.lognormvariate(15, 2)) for _ in range(500)] + list(BOUNDS_NS[::20])
    for one_ns in took_ns:
        watched.write(took_ns=one_ns, raw=reply())
    watched.counts()
    assert watched.live.latencies()[SUCCEEDED] == latencies(took_ns)


def test_nothing_is_counted_where_nobody_looks() -> None:
    recorder = RowRecorder(Replies(None, lambda _callback: None), Spill())
    assert not recorder.tell(100)
    assert recorder.replies.watched is None

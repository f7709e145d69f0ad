"""A window that is watched: every snapshot has what has been counted, and the last one has all."""

from contextlib import closing

from tests.load.engine.test_windows import MS, Bench
from tests.load.engines import Make
from tests.load.fake_network import Socket
from tests.servers import reply
from tracebench.load.engine.pacing import ClosedLoop
from tracebench.load.recording.live_counts import LiveCounts
from tracebench.load.wire import http1
from tracebench.model.progress import SUCCEEDED, Progress
from tracebench.model.record.requests import DONE


class Failing:
    """Answers after 1 ms; every fifth time with an error."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, one: Socket, data: bytes) -> None:
        if data.endswith(b"x"):
            self._count += 1
            status = "503 Service Unavailable" if self._count % 5 == 0 else "200 OK"
            one.says(reply(b"ok", status), MS)


def watched(make: Make, requests: int, *, detailed: bool = True) -> tuple[list[Progress], int]:
    """The snapshots of a window, and the sum of its latencies as the record has it."""
    seen: list[Progress] = []
    with closing(Bench(make, slots=3, answers=Failing())) as bench:
        recording = bench.connected()
        if detailed:
            recording.recorder.watch(LiveCounts(http1.status_of, http1.read_reply, 1_000 * MS))
        bench.engine.extend(recording, ClosedLoop(requests), seen.append)
        ended = bench.ended(recording).requests
    return seen, int(ended.whole(lambda rows: rows.since_scheduled(DONE)).sum())


def test_snapshots_follow_the_window(make: Make) -> None:
    seen, sum_ns = watched(make, 500)
    assert len(seen) >= 3
    finished = [one.finished for one in seen]
    assert finished == sorted(finished)
    assert all(one.in_flight == min(3, 500 - one.finished) for one in seen)
    assert all(0 < one.all_latencies.count <= one.finished for one in seen), "in slices, and behind"
    last = seen[-1]
    assert (last.finished, last.in_flight, last.errors) == (500, 0, {"503": 100})
    assert last.latencies[SUCCEEDED].count == 400
    assert last.all_latencies.sum_ns == sum_ns


def test_unwatched_windows_count_requests_alone(make: Make) -> None:
    seen, _ = watched(make, 50, detailed=False)
    assert seen[-1].finished == 50
    assert seen[-1].latencies == {}

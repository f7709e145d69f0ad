"""Several windows of one recording: what lies between them is in none of its rows."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import cycle
from typing import Any

import pytest

from tests.load.engines import Make, copied, mapped, request, shared
from tests.load.fake_network import Network, Serve, Socket
from tests.records import exchanges_of
from tests.servers import reply
from tracebench.load.engine.engine import Engine, Recording
from tracebench.load.engine.pacing import ClosedLoop, OpenLoop
from tracebench.load.recording.read_record import ReadRecord, Record, read_record
from tracebench.load.wire import http1
from tracebench.load.wire.http1_pattern import pattern_of
from tracebench.model.record.exchange import Exchange, Outcome, Undecomposed
from tracebench.tracing.roots.trace_ids import IdSource

MS = 1_000_000

New = Callable[..., "Bench"]


class Server:
    """Answers after 1 ms; each reply tells, in ns, how many requests came before it."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.silent = False

    def __call__(self, one: Socket, data: bytes) -> None:
        if not data.endswith(b"x") or self.silent:
            return
        _, _, ids = data.partition(b"traceparent: 00-")
        self.seen.append(ids[:32].decode())
        told = f'X-Timing-Info: {{"total": {len(self.seen) / 1e9:.9f}}}'
        one.says(reply(b"ok", "200 OK", told), MS)


class Bench:
    """An engine on a network that stands still until moved, and one recording of it."""

    def __init__(
        self,
        make: Make = copied,
        slots: int = 1,
        timeout_ms: int = 1_000,
        payloads: int = 1,
        answers: Serve | None = None,
    ) -> None:
        self.server = Server()
        self.network = Network(answers or self.server)
        contents = [request(b"x" * (100 + 20_000 * n)) for n in range(payloads)]
        self.engine = Engine(
            self.network.loop,
            make(self.network.loop, self.network.endpoint, contents),
            slots=slots,
            channels=slots,
            timeout_ns=timeout_ms * MS,
            source=IdSource(),
            choose=cycle(range(payloads)).__next__ if payloads > 1 else None,
            learn=pattern_of,
        )

    def connected(self) -> Recording:
        assert self.engine.connect(len(self.engine.channels)) == ""
        return self.engine.record()

    def extend(self, recording: Recording, requests: int) -> None:
        self.engine.extend(recording, ClosedLoop(requests), lambda _progress: None)

    def close(self) -> None:
        for channel in self.engine.channels:
            channel.close()
        self.network.loop.close()

    def ended(self, recording: Recording) -> Record:
        window = self.engine.close(recording, 0.0)
        return read_record(window.recorder, ReadRecord(http1.read_reply, window.ids))

    def peers_close(self) -> None:
        """Let the server end all connections, and that arrive."""
        for one in list(self.network.sockets.values()):
            one.says(b"")
        self.network.spend(10 * MS)


@pytest.fixture
def new() -> Iterator[Callable[..., Bench]]:
    with ExitStack() as stack:

        def made(*arguments: Any, **more: Any) -> Bench:
            bench = Bench(*arguments, **more)
            stack.callback(bench.close)
            return bench

        yield made


def told(record: Record) -> list[int]:
    """What the replies said: how many requests the server had seen."""
    return [0 if isinstance(one, Undecomposed) else one.total_ns for one in record.times]


@pytest.mark.parametrize("make", [copied, mapped])
@pytest.mark.parametrize("slots", [1, 3])
def test_rows_ids_and_timings_belong_together(new: New, make: Make, slots: int) -> None:
    bench = new(make, slots)
    recording = bench.connected()
    for _ in range(3):
        bench.engine.refresh(slots)
        bench.extend(recording, 40)
    assert recording.ends == [40, 80, 120]
    record = bench.ended(recording)
    assert record.learnt > 100
    found = list(record.requests)
    assert [one.trace_id for one in found] == [bench.server.seen[n - 1] for n in told(record)]
    uncounted = {
        n
        for window in range(3)
        for n in range(window * (40 + slots), window * (40 + slots) + slots)
    }
    assert {n - 1 for n in told(record)} == set(range(3 * (40 + slots))) - uncounted


def test_time_between_windows_is_in_no_row(new: New) -> None:
    bench = new()
    recording = bench.connected()
    bench.extend(recording, 5)
    bench.network.spend(5_000 * MS)
    bench.extend(recording, 5)
    assert all(lasted == pytest.approx(6 * MS, rel=0.1) for lasted in recording.lasted_ns)
    found = exchanges_of(bench.engine.close(recording, 0.0), http1.read_reply)
    assert {one.done_ns - one.scheduled_ns for one in found} == {
        found[0].done_ns - found[0].scheduled_ns
    }
    assert found[5].scheduled_ns - found[4].done_ns >= 5_000 * MS


def test_dead_connections_are_renewed_before_they_are_needed(new: New) -> None:
    bench = new(slots=2)
    recording = bench.connected()
    bench.extend(recording, 4)
    bench.peers_close()
    assert bench.engine.refresh(2)
    bench.extend(recording, 4)
    found = list(bench.ended(recording).requests)
    assert len(bench.network.made) == 4
    assert {(one.outcome, one.connect_ns, one.lost) for one in found} == {
        (Outcome.SUCCEEDED, 0, None)
    }


def test_without_renewal_the_same_costs_a_connection(new: New) -> None:
    bench = new()
    recording = bench.connected()
    bench.extend(recording, 2)
    bench.peers_close()
    bench.extend(recording, 2)
    found = list(bench.ended(recording).requests)
    assert found[2].connect_ns > 0


def test_an_open_loop_renews_only_what_it_has_opened(new: New) -> None:
    bench = new(slots=8)
    assert bench.engine.connect(1) == ""
    recording = bench.engine.record()
    bench.engine.extend(recording, OpenLoop([0, 5 * MS]), lambda _progress: None)
    bench.peers_close()
    assert bench.engine.refresh(1)
    assert len(bench.network.made) == 2


def test_a_silent_server_is_noticed(new: New) -> None:
    bench = new(timeout_ms=50)
    recording = bench.connected()
    bench.extend(recording, 2)
    bench.server.silent = True
    assert not bench.engine.refresh(1)
    assert len(list(bench.ended(recording).requests)) == 2


def test_a_server_that_has_gone_fails_its_requests(new: New) -> None:
    bench = new()
    recording = bench.connected()
    bench.extend(recording, 2)
    bench.network.refuses = True
    bench.peers_close()
    assert bench.engine.refresh(1)
    bench.extend(recording, 1)
    last: Exchange = list(bench.ended(recording).requests)[-1]
    assert (last.outcome, last.reason) == (Outcome.FAILED, "cannot connect: connection refused")


def test_arrivals_that_are_due_in_a_window_end_in_it(new: New) -> None:
    bench = new(slots=4)
    assert bench.engine.connect(1) == ""
    recording = bench.engine.record()
    for _ in range(2):
        bench.engine.extend(recording, OpenLoop([0, 0, 0, MS]), lambda _progress: None)
    assert recording.ends == [4, 8]
    found = list(bench.ended(recording).requests)
    assert found[4].scheduled_ns > max(one.done_ns for one in found[:4]) - 2 * MS
    assert max(one.done_ns for one in found[:4]) <= min(one.scheduled_ns for one in found[4:])


@pytest.mark.parametrize("make", [copied, mapped, shared])
def test_what_is_not_counted_uses_up_no_payload(new: New, make: Make) -> None:
    bench = new(make, payloads=2)
    recording = bench.connected()
    for _ in range(3):
        bench.peers_close()
        assert bench.engine.refresh(1)
        bench.extend(recording, 5)
    assert [one.variant for one in bench.ended(recording).requests] == [n % 2 for n in range(15)]

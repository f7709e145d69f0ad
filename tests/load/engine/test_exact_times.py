"""What the rows say to the nanosecond, on a clock and a network that stand still until moved."""

from array import array
from collections.abc import Callable, Sequence

import pytest

from tests.load.engines import Connect, Make, copied, mapped, request
from tests.load.fake_network import US, WAY_NS, Network, Serve, Socket
from tests.load.http2_samples import SETTINGS, call
from tests.load.http2_samples import reply as grpc_ok
from tests.records import exchanges_of
from tests.servers import reply
from tracebench.load.engine.connection import Connection
from tracebench.load.engine.dispatch import BACKOFF_NS, NEVER_SENT
from tracebench.load.engine.endpoint import Endpoint
from tracebench.load.engine.engine import Engine, Window
from tracebench.load.engine.loop import Loop
from tracebench.load.engine.pacing import ClosedLoop, OpenLoop, Pacing
from tracebench.load.recording.read_record import Read
from tracebench.load.wire import grpc_reply, http1
from tracebench.load.wire.codec import NO_REPLY
from tracebench.load.wire.http1 import HttpRequest
from tracebench.load.wire.http1_pattern import pattern_of
from tracebench.load.wire.http2 import Http2Codec
from tracebench.model.record.exchange import Exchange, Lost, Outcome, Stamp
from tracebench.tracing.roots.trace_ids import IdSource

SERVICE_NS = 300 * US
TRIP_US = 2 * 100 + 300
"""What a request takes: there, the service, and back."""
MS = 1_000_000
REPLY = reply(b"ok", "200 OK", 'X-Timing-Info: {"total": 0.000000300}')


def answering(one: Socket, data: bytes) -> None:
    """Answer each request, whose last part ends with its body."""
    if data.endswith(b"x"):
        one.says(REPLY, SERVICE_NS)


def silent(_one: Socket, _data: bytes) -> None:
    """Accept, and say nothing."""


class Run:
    """An engine on a network of its own, connected; times are in µs since the window began."""

    def __init__(
        self,
        serve: Serve = answering,
        make: Make = copied,
        *,
        slots: int = 1,
        channels: int | None = None,
        timeout_ms: int = 1_000,
        size: int = 100,
        read: Read = http1.read_reply,
    ) -> None:
        self.network, self._read = Network(serve), read
        contents: Sequence[HttpRequest] = [request(b"x" * size)]
        self.engine = Engine(
            self.network.loop,
            make(self.network.loop, self.network.endpoint, contents),
            slots=slots,
            channels=channels or slots,
            timeout_ns=timeout_ms * MS,
            source=IdSource(),
            learn=pattern_of if make is mapped else None,
        )
        assert self.engine.connect(len(self.engine.channels)) == ""

    def __call__(self, pacing: Pacing) -> list[Exchange]:
        self._began_ns = self.network.now_ns
        self.window: Window = self.engine.run(pacing, lambda _progress: None)
        for channel in self.engine.channels:
            channel.close()
        self.network.loop.close()
        return exchanges_of(self.window, self._read)

    def us(self, stamp_ns: int) -> float:
        return (stamp_ns - self._began_ns) / US if stamp_ns else -1

    def times(self, found: Sequence[Exchange]) -> list[tuple[float, ...]]:
        """Of each: scheduled, ready, sent, arrived and done; -1 is a time that never came."""
        return [
            tuple(map(self.us, (e.scheduled_ns, e.ready_ns, e.sent_ns, e.arrived_ns, e.done_ns)))
            for e in found
        ]


def due_at(*times_ms: float) -> OpenLoop:
    return OpenLoop(array("q", (round(at * MS) for at in times_ms)))


# ── one after the other ──────────────────────────────────────────────────────────────────────────


def test_a_closed_loop_sends_when_the_last_was_answered(make: Make) -> None:
    run = Run(make=make)
    found = run(ClosedLoop(4))
    assert run.times(found) == [
        (at, at, at, at + TRIP_US, at + TRIP_US) for at in (0, 500, 1_000, 1_500)
    ]
    assert all(one.first_byte_ns == one.arrived_ns for one in found)
    assert {(one.outcome, one.stamp, one.connect_ns, one.write_lag_ns) for one in found} == {
        (Outcome.SUCCEEDED, Stamp.KERNEL, 0, 0)
    }
    assert run.window.stalled_ns == 0


def test_the_short_way_of_mapped_requests_says_the_same() -> None:
    run = Run(make=mapped)
    found = run(ClosedLoop(50))
    assert run.network.made[0].sends > 40
    assert run.times(found) == [
        (at, at, at, at + TRIP_US, at + TRIP_US) for at in range(0, 25_000, 500)
    ]
    assert {one.stamp for one in found} == {Stamp.KERNEL}


def test_a_closed_loop_ends_with_its_duration(make: Make) -> None:
    run = Run(make=make, slots=2)
    found = run(ClosedLoop(duration_ns=1_200 * US))
    assert [times[0] for times in run.times(found)] == [0, 0, 500, 500, 1_000, 1_000]
    assert run.us(run.network.now_ns) == 1_500


@pytest.mark.parametrize("requests", [1, 30])
def test_a_client_that_is_held_up_reads_late_and_the_kernel_says_so(
    make: Make, requests: int
) -> None:
    run = Run(make=make)
    last_at = (requests - 1) * TRIP_US
    run.network.hold_up((last_at + 200) * US, 2_000 * US)
    found = run(ClosedLoop(requests))
    assert run.times(found)[-1] == (
        last_at,
        last_at,
        last_at,
        last_at + TRIP_US,
        last_at + 2_200,
    )
    assert found[-1].stamp is Stamp.KERNEL
    assert (run.window.stalled_ns, run.window.longest_stall_ns) == (2_000 * US, 2_000 * US)


# ── when they are due ────────────────────────────────────────────────────────────────────────────


def test_an_open_loop_sends_when_requests_are_due(make: Make) -> None:
    run = Run(make=make, slots=2)
    found = run(due_at(0, 0.2, 3.777, 250.001))
    assert run.times(found) == [
        (at, at, at, at + TRIP_US, at + TRIP_US) for at in (0, 200, 3_777, 250_001)
    ]


def test_what_finds_no_slot_is_backlog_until_one_is_free() -> None:
    run = Run()
    found = run(due_at(0, 0.1, 0.2, 5))
    assert run.times(found) == [
        (0, 0, 0, 500, 500),
        (100, 500, 500, 1_000, 1_000),
        (200, 1_000, 1_000, 1_500, 1_500),
        (5_000, 5_000, 5_000, 5_500, 5_500),
    ]


def test_a_loop_that_is_late_is_no_backlog() -> None:
    run = Run()
    run.network.hold_up(2_000 * US, 3_000 * US)
    found = run(due_at(0, 4))
    assert run.times(found)[1] == (4_000, 4_000, 5_001, 5_501, 5_501)  # a poll takes 1 µs


def test_what_has_been_due_for_too_long_after_the_last_is_dropped() -> None:
    """The first two run into the time-out of 100 ms, one after the other; a tick ends the third."""
    run = Run(silent, timeout_ms=100)
    found = run(due_at(0, 10, 20))
    assert [(one.outcome, one.reason) for one in found] == [
        (Outcome.TIMED_OUT, "no reply within 0.1 s"),
        (Outcome.CANCELLED, NEVER_SENT),
        (Outcome.TIMED_OUT, "no reply within 0.1 s"),
    ]
    assert run.times(found) == [
        (0, 0, 0, -1, 100_000),
        (20_000, 200_000, -1, -1, 200_000),
        (10_000, 100_200, 100_200, -1, 200_200),
    ]
    assert found[2].connect_ns == 200 * US


# ── what ends otherwise ──────────────────────────────────────────────────────────────────────────


def test_a_time_out_is_kept_to_the_nanosecond(make: Make) -> None:
    """The connection is given up with it: the next request waits for a new one, two ways long."""
    run = Run(silent, make, timeout_ms=30)
    found = run(ClosedLoop(2))
    assert run.times(found) == [
        (0, 0, 0, -1, 30_000),
        (30_000, 30_200, 30_200, -1, 60_200),
    ]
    assert {(one.outcome, one.reason) for one in found} == {
        (Outcome.TIMED_OUT, "no reply within 0.03 s")
    }


def test_an_interrupt_ends_at_the_next_tick() -> None:
    run = Run(silent, slots=2)
    run.network.after(30 * MS, run.engine.interrupt)
    found = run(ClosedLoop(10))
    assert run.times(found) == [(0, 0, 0, -1, 100_000)] * 2
    assert {one.outcome for one in found} == {Outcome.CANCELLED}


def test_a_server_that_goes_away_is_given_up() -> None:
    def closing(one: Socket, data: bytes) -> None:
        if data:
            run.network.refuses = True
            one.says(reply(b"ok", "200 OK", "Connection: close"))

    run = Run(closing, timeout_ms=100)
    found = run(ClosedLoop(1_000_000))
    assert run.window.gave_up == "no reply came for 5 s (connection refused)"
    assert {one.reason for one in found[1:]} == {"cannot connect: connection refused"}
    apart_us = (BACKOFF_NS + 2 * WAY_NS) / US
    assert [times[4] for times in run.times(found)[1:]] == [
        400 + n * apart_us for n in range(len(found) - 1)
    ]
    assert 5_000 < found[-1].done_ns / MS - found[0].done_ns / MS < 5_200


# ── stamps ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("waited_us", "arrived_us", "stamp"),
    [
        (0, 500, Stamp.KERNEL),
        (70, 430, Stamp.KERNEL),
        (500, 0, Stamp.KERNEL),
        (501, 500, Stamp.USER),  # before it was sent: the clock was stepped, user time is used
        (-5, 500, Stamp.USER),  # after it was read: the same
        (None, 500, Stamp.USER),
    ],
)
def test_arrival_is_the_kernels_where_it_is_plausible(
    make: Make, waited_us: int | None, arrived_us: int, stamp: Stamp
) -> None:
    def serve(one: Socket, data: bytes) -> None:
        if data:
            run.network.after(TRIP_US * US - WAY_NS, lambda: arrive(one))

    def arrive(one: Socket) -> None:
        now_ns = run.network.now_ns
        one.arrives(REPLY, None if waited_us is None else now_ns - waited_us * US)

    run = Run(serve, make)
    found = run(ClosedLoop(1))
    assert run.times(found) == [(0, 0, 0, arrived_us, 500)]
    assert found[0].stamp is stamp


def test_a_reply_in_two_parts_has_two_arrivals(make: Make) -> None:
    def serve(one: Socket, data: bytes) -> None:
        if data:
            one.says(REPLY[:-1], SERVICE_NS)
            one.says(REPLY[-1:], SERVICE_NS + 40 * US)

    run = Run(serve, make)
    (one,) = run(ClosedLoop(1))
    assert (run.us(one.first_byte_ns), run.us(one.arrived_ns)) == (500, 540)
    assert one.stamp is Stamp.KERNEL


def http2(loop: Loop, endpoint: Endpoint, _contents: Sequence[HttpRequest]) -> Connect:
    return lambda owner, ledger: Connection(loop, endpoint, Http2Codec(call()), owner, ledger)


def test_replies_in_one_read_share_the_stamp_of_the_last() -> None:
    """The third comes alone, with a stamp of its own."""

    def serve(one: Socket, data: bytes) -> None:
        if not data:
            one.says(SETTINGS)
        elif b"hello" in data:  # the requests of all three leave before the first poll
            one.says(grpc_ok(1) + grpc_ok(3), SERVICE_NS)
            one.says(grpc_ok(5), SERVICE_NS + 70 * US)

    run = Run(serve, http2, slots=3, channels=1, read=grpc_reply.read_reply)
    found = run(ClosedLoop(3))
    assert run.times(found) == [(0, 0, 0, 500, 500)] * 2 + [(0, 0, 0, 570, 570)]
    assert [one.stamp for one in found] == [Stamp.SHARED, Stamp.KERNEL, Stamp.KERNEL]


# ── requests that leave in parts ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("busy_us", "lag_us"), [(0, 0), (400, 400)])
def test_a_request_that_leaves_in_parts(busy_us: int, lag_us: int) -> None:
    """Who was busy when the socket had room again has held the rest of it up."""
    got: list[bytes] = []

    def serve(one: Socket, data: bytes) -> None:
        got.append(data)
        if sum(map(len, got)) > 5_000:
            one.says(REPLY, SERVICE_NS)

    run = Run(serve, size=5_000)
    (socket,) = run.network.made
    socket.grows(1_000)
    run.network.after(50 * US, socket.grows)
    if busy_us:
        run.network.hold_up(49 * US, busy_us * US)
    found = run(ClosedLoop(1))
    left_us = 49 + busy_us if busy_us else 50
    assert run.times(found) == [(0, 0, 0, left_us + TRIP_US, left_us + TRIP_US)]
    assert len(got[1]) == 1_000
    assert found[0].write_lag_ns / US == lag_us


def test_a_request_that_leaves_in_parts_on_the_short_way() -> None:
    run = Run(make=mapped)
    (socket,) = run.network.made
    run.network.after((30 * TRIP_US - 1) * US, lambda: socket.grows(100))
    run.network.after((30 * TRIP_US + 50) * US, socket.grows)
    found = run(ClosedLoop(40))
    starts = [n * TRIP_US + (50 if n > 30 else 0) for n in range(40)]
    ends = [*starts[1:], 40 * TRIP_US + 50]
    assert run.times(found) == [(a, a, a, b, b) for a, b in zip(starts, ends, strict=True)]
    assert {one.outcome for one in found} == {Outcome.SUCCEEDED}
    assert {one.write_lag_ns for one in found} == {0}


# ── keep-alive races ─────────────────────────────────────────────────────────────────────────────


def closing_after(pause_ns: int) -> Callable[[Socket, bytes], None]:
    """Answer the first request of the first connection, and close it after the pause."""
    first: list[Socket] = []

    def serve(one: Socket, data: bytes) -> None:
        if data and (not first or one is not first[0]):
            one.says(REPLY, SERVICE_NS)
            if not first:
                first.append(one)
                one.says(b"", SERVICE_NS + pause_ns)

    return serve


def test_what_crosses_the_end_of_its_connection_is_sent_again(make: Make) -> None:
    """It leaves at 500 µs, the end comes 50 µs later, and a new connection takes 200 µs."""
    run = Run(closing_after(50 * US), make)
    found = run(ClosedLoop(2))
    assert run.times(found) == [(0, 0, 0, 500, 500), (500, 750, 750, 1_250, 1_250)]
    assert [one.lost for one in found] == [None, Lost.CLOSED]
    assert [one.connect_ns for one in found] == [0, 250 * US]
    assert len(run.network.made) == 2


@pytest.mark.parametrize(("pause_us", "is_race"), [(5_000, True), (5_001, False)])
def test_a_request_may_have_crossed_the_end_for_five_milliseconds(
    make: Make, pause_us: int, is_race: bool
) -> None:
    run = Run(closing_after(pause_us * US), make)
    one = run(ClosedLoop(2))[1]
    assert (one.lost is Lost.CLOSED) is is_race
    assert one.reason == ("" if is_race else NO_REPLY)
    assert run.us(one.done_ns) == 500 + pause_us + (200 + TRIP_US if is_race else 0)

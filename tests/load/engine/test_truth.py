"""What the stamps say when the answer is known: a fake clock, and a client that is held up."""

import socket
import struct
import time

import numpy as np
import pytest

from tests.records import decomposed, exchanges_of
from tests.servers import HOST, answering, reply, serving
from tracebench.load.engine import connection as connection_module
from tracebench.load.engine.connection import Connection
from tracebench.load.engine.endpoint import resolve
from tracebench.load.engine.engine import Engine
from tracebench.load.engine.kernel import arrival_wall_ns, path_state
from tracebench.load.engine.loop import Loop
from tracebench.load.engine.pacing import ClosedLoop
from tracebench.load.wire.codec import Slot
from tracebench.load.wire.http1 import Http1Codec, HttpRequest, read_reply
from tracebench.model.exchange import Exchange, Outcome, Stamp, Timing
from tracebench.tracing.roots.trace_ids import IdSource

REQUEST = HttpRequest(
    b"POST / HTTP/1.1\r\nContent-Length: 0\r\ntraceparent: 00-", b"-01\r\n\r\n", b""
)
WALL_NS = 1_700_000_000_000_000_000
MS = 1_000_000


class Ledger:
    """Keeps what a connection says of a slot."""

    def __init__(self) -> None:
        self.said: list[tuple[int, int, Stamp]] = []

    def finished(self, _slot: Slot, arrived_ns: int, done_ns: int, stamp: Stamp) -> None:
        self.said.append((arrived_ns, done_ns, stamp))


class Owner:
    """Does nothing."""

    def submit(self, _slot: Slot) -> None:
        pass

    def opened(self, _connection: Connection) -> None:
        pass

    def has_room(self, _connection: Connection) -> None:
        pass

    def closed(self, _connection: Connection, _reason: str) -> None:
        pass


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A clock that stands still."""
    now = [0]
    monkeypatch.setattr(connection_module, "perf_counter_ns", lambda: now[0])
    return now


def settled(clock: list[int], sent_ns: int, stamp_wall_ns: int | None) -> tuple[int, int, Stamp]:
    """Let a reply be read now that the kernel stamped then; returns what the ledger is told."""
    ledger = Ledger()
    with serving(answering(reply())) as port:
        loop = Loop()
        loop.epoch_ns = WALL_NS - clock[0]
        codec = Http1Codec(REQUEST)
        one = Connection(loop, resolve(HOST, port, None), codec, Owner(), ledger)  # type: ignore[arg-type] # stand-ins
        slot = Slot(one.transmit)
        codec.begin(slot)
        slot.sent_ns = sent_ns
        ancillary = []
        if stamp_wall_ns is not None:
            stamp = struct.pack("@qq", *divmod(stamp_wall_ns, 1_000_000_000)) + bytes(32)
            ancillary = [(socket.SOL_SOCKET, 37, stamp)]
        one._recvmsg = lambda _size, _ancillary: (reply(), ancillary, 0, None)  # type: ignore[assignment, misc] # a fake read
        one._readable(1)
        one.close("")
        loop.close()
    return ledger.said[0]


@pytest.mark.parametrize(
    ("waited_ms", "arrived_ms", "stamp"),
    [
        (0, 100, Stamp.KERNEL),
        (30, 70, Stamp.KERNEL),
        (60, 40, Stamp.KERNEL),
        (61, 100, Stamp.USER),  # before it was sent: the clock was stepped, user time is used
        (-5, 100, Stamp.USER),  # after it was read: the same
        (None, 100, Stamp.USER),
    ],
)
def test_arrival_is_the_kernels_where_it_is_plausible(
    clock: list[int], waited_ms: int | None, arrived_ms: int, stamp: Stamp
) -> None:
    clock[0] = 100 * MS
    stamped = None if waited_ms is None else WALL_NS - waited_ms * MS
    assert settled(clock, 40 * MS, stamped) == (arrived_ms * MS, 100 * MS, stamp)


def test_a_stamp_is_a_timespec() -> None:
    assert arrival_wall_ns(struct.pack("@qq", 12, 345) + bytes(32)) == 12_000_000_345


def test_a_path_has_a_state() -> None:
    with serving(answering(reply())) as port, socket.create_connection((HOST, port)) as one:
        state = path_state(one)
    assert state is not None
    assert state.retransmits == 0
    assert 0 < state.rtt_us < 1_000_000


def held_up(pause_s: float, every_s: float) -> list[Exchange]:
    """Measure a quick server with a client that is busy with other things now and then."""
    loop = Loop()
    with serving(answering(reply())) as port:
        endpoint = resolve(HOST, port, None)
        engine = Engine(
            loop,
            lambda owner, ledger: Connection(loop, endpoint, Http1Codec(REQUEST), owner, ledger),
            slots=1,
            channels=1,
            timeout_ns=5_000 * MS,
            source=IdSource(),
        )
        assert engine.connect(len(engine.channels)) == ""

        def hold_up() -> None:
            time.sleep(pause_s)
            loop.call_at(time.perf_counter_ns() + int(every_s * 1e9), hold_up)

        loop.call_at(0, hold_up)
        window = engine.run(ClosedLoop(duration_ns=400 * MS), lambda _progress: None)
        for channel in engine.channels:
            channel.close()
        loop.close()
    return exchanges_of(window, read_reply)


def test_a_client_that_is_held_up_blames_itself() -> None:
    found = [one for one in held_up(0.02, 0.02) if one.outcome is Outcome.SUCCEEDED]
    slow = [one for one in found if one.done_ns - one.scheduled_ns > 15 * MS]
    assert len(slow) >= 5, "each pause catches one request"
    columns = decomposed(slow, [Timing(1_000, {}, "mirror")] * len(slow)).columns
    assert np.median(columns["client"] / columns["end_to_end"]) > 0.9
    assert np.median(columns["network"]) < 2 * MS

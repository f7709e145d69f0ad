"""What the kernel's stamps say on real sockets, and a client that is held up."""

import socket
import struct
import time
from contextlib import suppress

import numpy as np

from tests.records import decomposed, exchanges_of
from tests.servers import HOST, answering, reply, serving
from tracebench.load.engine.connection import Connection
from tracebench.load.engine.endpoint import resolve
from tracebench.load.engine.engine import Engine
from tracebench.load.engine.kernel import Observer, arrival_wall_ns, path_state
from tracebench.load.engine.loop import Loop
from tracebench.load.engine.pacing import ClosedLoop
from tracebench.load.wire.http1 import Http1Codec, HttpRequest, read_reply
from tracebench.model.record.exchange import Exchange, Outcome, Timing
from tracebench.tracing.roots.trace_ids import IdSource

REQUEST = HttpRequest(
    b"POST / HTTP/1.1\r\nContent-Length: 0\r\ntraceparent: 00-", b"-01\r\n\r\n", b""
)
MS = 1_000_000


def test_a_stamp_is_a_timespec() -> None:
    assert arrival_wall_ns(struct.pack("@qq", 12, 345) + bytes(32)) == 12_000_000_345


def test_a_path_has_a_state() -> None:
    with serving(answering(reply())) as port, socket.create_connection((HOST, port)) as one:
        state = path_state(one)
    assert state is not None
    assert state.retransmits == 0
    assert 0 < state.rtt_us < 1_000_000


def test_a_reader_who_stands_still_closes_the_window() -> None:
    """More than the buffers of both ends hold: the writer has to wait."""
    observer = Observer()
    with socket.create_server((HOST, 0)) as listener:
        writer = socket.create_connection(listener.getsockname())
        reader, _ = listener.accept()
        with writer, reader, observer.observing():
            writer.setblocking(False)
            for _ in range(100):
                with suppress(BlockingIOError):
                    while True:
                        writer.send(bytes(65_536))
                time.sleep(0.01)
    assert observer.machine().closed_windows


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

"""The engine against real sockets: every way an exchange can end, and every one accounted for."""

import socket
import threading

import pytest

from tests.load.engines import Make, copied, local, outcomes, request, run
from tests.records import exchanges_of
from tests.servers import HOST, Script, answering, keeping, read_request, reply, serving
from tracebench.load.engine.engine import Engine
from tracebench.load.engine.loop import Loop
from tracebench.load.engine.pacing import ClosedLoop
from tracebench.load.wire.codec import CUT_SHORT, NO_REPLY
from tracebench.load.wire.http1 import read_reply
from tracebench.model.record.exchange import Outcome, Stamp
from tracebench.tracing.roots.trace_ids import IdSource


def until(event: threading.Event) -> Script:
    """Accept, and say nothing until the event."""

    def script(_connection: socket.socket) -> None:
        event.wait(5)

    return script


def test_every_request_is_answered_and_stamped(make: Make) -> None:
    _, found = run(make, answering(reply()), ClosedLoop(200), slots=4)
    assert outcomes(found) == {(Outcome.SUCCEEDED, ""): 200}
    assert len({one.trace_id for one in found}) == 200
    for one in found:
        assert one.scheduled_ns <= one.ready_ns <= one.sent_ns
        assert one.sent_ns <= one.first_byte_ns <= one.arrived_ns <= one.done_ns
        assert one.connect_ns == 0
    kernel = sum(one.stamp is Stamp.KERNEL for one in found)
    assert kernel >= 190, "only the first read of a connection may come without a stamp"


def test_the_server_sees_the_ids_that_are_recorded(make: Make) -> None:
    seen: list[bytes] = []
    _, found = run(make, keeping(seen), ClosedLoop(5))
    for got, one in zip(seen, found, strict=True):
        assert f"traceparent: 00-{one.trace_id}-{one.span_id}-01".encode() in got
        assert got.endswith(b"\r\n\r\n" + b"x" * 1_000)


def test_a_closed_connection_is_made_anew_and_timed(make: Make) -> None:
    closing = reply(b"ok", "200 OK", "Connection: close")
    _, found = run(make, answering(closing, close_after=1), ClosedLoop(10))
    assert outcomes(found) == {(Outcome.SUCCEEDED, ""): 10}
    assert found[0].connect_ns == 0
    for one in found[1:]:
        assert one.connect_ns > 0
        assert one.ready_ns - one.scheduled_ns >= one.connect_ns


def test_large_bodies_in_both_directions(make: Make) -> None:
    content = request(b"y" * 3_000_000)
    _, found = run(
        make, answering(reply(b"z" * 3_000_000)), ClosedLoop(6), slots=2, contents=[content]
    )
    assert outcomes(found) == {(Outcome.SUCCEEDED, ""): 6}
    assert all(one.first_byte_ns <= one.arrived_ns for one in found)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (answering(reply(b"no", "503 Service Unavailable")), "HTTP 503"),
        (answering(b"garbage\r\n\r\n"), "not HTTP/1.1"),
        (lambda connection: read_request(connection) and None, NO_REPLY),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", close_after=1), CUT_SHORT),
    ],
)
def test_failures_have_reasons(make: Make, script: Script, reason: str) -> None:
    _, found = run(make, script, ClosedLoop(3))
    assert [one.outcome for one in found] == [Outcome.FAILED] * 3
    assert all(reason in one.reason for one in found)


def test_an_early_reply_is_read_though_the_request_cannot_be_sent(make: Make) -> None:
    def script(connection: socket.socket) -> None:
        connection.recv(1_000)
        connection.sendall(reply(b"", "413 Payload Too Large", "Connection: close"))
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            pass

    content = request(b"x" * 50_000_000)
    _, found = run(make, script, ClosedLoop(2), contents=[content])
    assert outcomes(found) == {(Outcome.FAILED, "HTTP 413"): 2}


def test_a_silent_server_runs_into_the_time_out(make: Make) -> None:
    forever = threading.Event()
    pacing = ClosedLoop(4)
    _, found = run(make, until(forever), pacing, slots=2, timeout_s=0.2)
    forever.set()
    assert outcomes(found) == {(Outcome.TIMED_OUT, "no reply within 0.2 s"): 4}
    for one in found:
        assert 0.2e9 <= one.done_ns - one.sent_ns < 0.3e9
        assert one.arrived_ns == 0


def test_a_slow_server_is_bounded_by_the_duration(make: Make) -> None:
    pause = threading.Event()

    def script(connection: socket.socket) -> None:
        while read_request(connection):
            pause.wait(0.02)
            connection.sendall(reply())

    _, found = run(make, script, ClosedLoop(duration_ns=200_000_000), slots=2)
    began_ns = min(one.scheduled_ns for one in found)
    assert 10 <= len(found) <= 22
    assert max(one.scheduled_ns for one in found) - began_ns < 0.2e9
    assert all(one.outcome is Outcome.SUCCEEDED for one in found), "what is under way drains"


def test_an_interrupt_cancels_what_is_under_way(make: Make) -> None:
    forever = threading.Event()
    window, found = run(
        make,
        until(forever),
        ClosedLoop(100),
        slots=3,
        midway=lambda engine: engine.interrupt(),
    )
    forever.set()
    assert window.interrupted
    assert outcomes(found) == {(Outcome.CANCELLED, "cancelled"): 3}


def test_a_server_that_goes_away_is_tried_again_now_and_then(make: Make) -> None:
    listener = socket.create_server((HOST, 0))
    loop = Loop()
    engine = Engine(
        loop,
        make(loop, local(listener.getsockname()[1]), [request()]),
        slots=2,
        channels=2,
        timeout_ns=100_000_000,
        source=IdSource(),
    )
    assert engine.connect(len(engine.channels)) == ""
    listener.close()
    window = engine.run(ClosedLoop(duration_ns=400_000_000), lambda _progress: None)
    loop.close()
    found = exchanges_of(window, read_reply)
    assert "cannot connect: connection refused" in {one.reason for one in found}
    assert 4 <= len(found) < 50, "it waits between attempts"


def test_more_slots_than_the_server_accepts_are_reported() -> None:
    loop = Loop()
    with serving(answering(reply())) as port:
        connect = copied(loop, local(port), [request()])
    engine = Engine(loop, connect, slots=2, channels=2, timeout_ns=10**9, source=IdSource())
    assert (
        engine.connect(len(engine.channels)) == "0 of 2 connections were opened: connection refused"
    )
    loop.close()

"""HTTP/2: what the server says it has not begun with is sent again, once; and keep-alive races."""

import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pytest

from tests.load import engines
from tests.load.engine.test_sent_again import LATE_S, check_times
from tests.load.engines import Connect, outcomes
from tests.load.http2_samples import call, data, goaway, headers, message, reply
from tests.servers import Script
from tracebench.load.engine.connection import Connection
from tracebench.load.engine.endpoint import Endpoint
from tracebench.load.engine.loop import Loop
from tracebench.load.engine.pacing import ClosedLoop, OpenLoop, Pacing
from tracebench.load.wire import grpc_reply, http2_frames
from tracebench.load.wire.codec import NO_REPLY
from tracebench.load.wire.http1 import HttpRequest
from tracebench.load.wire.http2 import Http2Codec
from tracebench.model.record.exchange import Exchange, Lost, Outcome

pytestmark = pytest.mark.alone

Answer = Callable[[socket.socket, int], None]
"""Given a connection and a stream whose request has come as a whole."""
MS = 1_000_000


def requests_of(connection: socket.socket) -> Iterator[int]:
    """The streams whose requests have come as a whole, in order."""
    preface = connection.recv(len(http2_frames.CLIENT_PREFACE), socket.MSG_WAITALL)
    splitter = http2_frames.FrameSplitter()
    while preface and (got := connection.recv(65_536)):
        for kind, flags, stream_id, _ in splitter.split(got):
            if kind == http2_frames.DATA and flags & http2_frames.END_STREAM:
                yield stream_id


def answering(*settings: tuple[int, int], by: Answer) -> Script:
    """Let `by` answer each stream of a connection, until it has closed it."""

    def script(connection: socket.socket) -> None:
        connection.sendall(http2_frames.settings(*settings))
        for stream_id in requests_of(connection):
            by(connection, stream_id)

    return script


def ok(connection: socket.socket, stream_id: int) -> None:
    connection.sendall(reply(stream_id))


def http2(loop: Loop, endpoint: Endpoint, _contents: Sequence[HttpRequest]) -> Connect:
    return lambda owner, ledger: Connection(loop, endpoint, Http2Codec(call()), owner, ledger)


def run(
    script: Script,
    pacing: Pacing,
    *,
    slots: int = 1,
    channels: int | None = None,
    patient: bool = False,
) -> list[Exchange]:
    _, found = engines.run(
        http2,
        script,
        pacing,
        slots=slots,
        channels=channels,
        read=grpc_reply.read_reply,
        patient=patient,
    )
    return found


def lost(found: list[Exchange]) -> Counter[Lost | None]:
    return Counter(one.lost for one in found)


def farewell_after(most: int, connection: socket.socket, stream_id: int) -> None:
    """Take so many streams of each connection, as nginx does with `keepalive_requests`."""
    last_id = 2 * most - 1
    if stream_id <= last_id:
        ok(connection, stream_id)
    if stream_id == last_id + 2:
        connection.sendall(goaway(last_id))


@pytest.mark.parametrize(("slots", "most"), [(1, 3), (6, 10), (5, 5)])
def test_streams_above_the_last_that_a_goaway_names(slots: int, most: int) -> None:
    found = run(
        answering(by=partial(farewell_after, most)), ClosedLoop(60), slots=slots, channels=1
    )
    assert outcomes(found) == {(Outcome.SUCCEEDED, ""): 60}
    assert lost(found)[Lost.GOAWAY] >= 60 // (most + slots)
    check_times(found)


def test_a_graceful_end_names_the_last_stream_later() -> None:
    """As grpc-go does: the largest id first; what is on its way by then is still taken, or not."""
    connections: list[socket.socket] = []

    def by(connection: socket.socket, stream_id: int) -> None:
        if connection not in connections:
            connections.append(connection)
        if connection is not connections[0] or stream_id == 1:
            ok(connection, stream_id)
        elif stream_id == 5:
            connection.sendall(goaway(2**31 - 1) + goaway(3) + reply(3))

    found = run(answering(by=by), ClosedLoop(30), slots=4, channels=1)
    assert outcomes(found) == {(Outcome.SUCCEEDED, ""): 30}
    assert set(lost(found)) == {None, Lost.GOAWAY}
    assert 2 <= lost(found)[Lost.GOAWAY] <= 4
    assert len(connections) == 2
    check_times(found)


@pytest.mark.parametrize("settings", [(), ((http2_frames.MAX_CONCURRENT_STREAMS, 1),)])
def test_a_stream_that_is_refused_once(settings: tuple[tuple[int, int], ...]) -> None:
    connections: list[socket.socket] = []

    def by(connection: socket.socket, stream_id: int) -> None:
        connections.append(connection)
        if stream_id % 10 == 5:
            connection.sendall(http2_frames.rst_stream(stream_id, http2_frames.REFUSED_STREAM))
        else:
            ok(connection, stream_id)

    found = run(answering(*settings, by=by), ClosedLoop(40), slots=3, channels=1)
    assert outcomes(found) == {(Outcome.SUCCEEDED, ""): 40}
    assert lost(found) == {None: 30, Lost.REFUSED: 10}
    assert len(set(connections)) == 1
    check_times(found)


def test_streams_that_are_refused_always() -> None:
    seen: list[int] = []

    def by(connection: socket.socket, stream_id: int) -> None:
        seen.append(stream_id)
        connection.sendall(http2_frames.rst_stream(stream_id, http2_frames.REFUSED_STREAM))

    found = run(answering(by=by), ClosedLoop(5))
    reason = "the server reset the stream: REFUSED_STREAM"
    assert outcomes(found) == {(Outcome.FAILED, reason): 5}
    assert lost(found) == {None: 1, Lost.REFUSED: 4}, "the first of a connection is not sent again"
    assert len(seen) == 1 + 2 * 4


def test_a_stream_that_is_reset_otherwise_was_begun_with() -> None:
    def by(connection: socket.socket, stream_id: int) -> None:
        if stream_id == 1:
            ok(connection, 1)
        else:
            connection.sendall(http2_frames.rst_stream(stream_id, http2_frames.CANCEL))

    found = run(answering(by=by), ClosedLoop(3))
    assert lost(found) == {None: 3}
    assert sum(one.outcome is Outcome.FAILED for one in found) == 2


def test_a_server_that_takes_no_request_at_all() -> None:
    seen: list[int] = []

    def by(connection: socket.socket, stream_id: int) -> None:
        seen.append(stream_id)
        connection.sendall(goaway(0, 11, b"too_many_pings"))

    found = run(answering(by=by), ClosedLoop(4))
    assert {one.outcome for one in found} == {Outcome.FAILED}
    assert all("GOAWAY ENHANCE_YOUR_CALM too_many_pings" in one.reason for one in found)
    assert lost(found) == {None: 4}
    assert seen == [1] * 4


def closing_at(stream_id: int, before: bytes = b"", after_s: float = 0.0) -> Answer:
    """Answer what comes before a stream, and close the connection at that one."""

    def by(connection: socket.socket, this_id: int) -> None:
        if this_id < stream_id:
            ok(connection, this_id)
        else:
            time.sleep(after_s)
            connection.sendall(before)
            connection.shutdown(socket.SHUT_RDWR)

    return by


@pytest.mark.parametrize("before", [b"", goaway(2**31 - 1), goaway(1)])
def test_what_crosses_the_end_of_a_kept_connection(before: bytes) -> None:
    found = run(answering(by=closing_at(3, before)), ClosedLoop(8), patient=True)
    assert outcomes(found) == {(Outcome.SUCCEEDED, ""): 8}
    cause = Lost.GOAWAY if before == goaway(1) else Lost.CLOSED
    assert lost(found) == {None: 1, cause: 7}
    check_times(found)


def test_an_open_loop_on_a_shared_connection() -> None:
    pacing = OpenLoop([n * 3 * MS for n in range(30)])
    found = run(answering(by=closing_at(7)), pacing, slots=4, channels=1, patient=True)
    twice = [one for one in found if one.outcome is not Outcome.SUCCEEDED]
    assert {(one.reason, one.lost) for one in twice} <= {(NO_REPLY, Lost.CLOSED)}  # and no third
    assert len(twice) < len(found) / 2
    assert lost(found)[Lost.CLOSED] >= 5
    check_times([one for one in found if one.outcome is Outcome.SUCCEEDED])


def test_what_ends_late_is_a_failure() -> None:
    found = run(answering(by=closing_at(3, after_s=LATE_S)), ClosedLoop(4))
    assert Counter(one.outcome for one in found) == {Outcome.SUCCEEDED: 2, Outcome.FAILED: 2}
    assert lost(found) == {None: 4}


@pytest.mark.parametrize(
    "before",
    [headers(3), headers(3) + data(3, message(b"world")), goaway(3)],
    ids=["headers", "a body", "a GOAWAY that takes the stream"],
)
def test_what_the_server_has_begun_with_is_a_failure(before: bytes) -> None:
    found = run(answering(by=closing_at(3, before)), ClosedLoop(4), patient=True)
    assert Counter(one.outcome for one in found) == {Outcome.SUCCEEDED: 2, Outcome.FAILED: 2}
    assert lost(found) == {None: 4}


def test_the_first_requests_of_a_connection_that_closes_are_failures() -> None:
    found = run(answering(by=closing_at(1)), ClosedLoop(6), slots=3, channels=1, patient=True)
    assert {one.outcome for one in found} == {Outcome.FAILED}
    assert lost(found) == {None: 6}

"""HTTP/1.1: a request that crosses the end of its kept connection is sent again, once."""

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trustme

from tests.load.engines import Make, outcomes, patient_with, request, run
from tests.servers import HOST, Script, answering, read_request, reply, serving
from tests.tls import ca_file, context, under_tls
from tracebench.analysis.closure.decomposition import client_view
from tracebench.load.engine.kernel import PathState, crossing_ns
from tracebench.load.engine.pacing import ClosedLoop, OpenLoop
from tracebench.load.measuring.measure import measure
from tracebench.load.prepare import rest
from tracebench.load.progress import Watcher
from tracebench.load.wire.codec import CUT_SHORT, NO_REPLY
from tracebench.model.measurement import Measurement
from tracebench.model.plan import Payload, Payloads, Plan, Targets, Tls, Workload
from tracebench.model.record.exchange import Exchange, Lost, Outcome
from tracebench.model.record.requests import Requests

pytestmark = pytest.mark.alone

MS = 1_000_000
LATE_S = 0.05
"""Well after a request may still have crossed the end of its connection."""


def fin(_connection: socket.socket) -> None:
    """Close when the script returns."""


def rst(connection: socket.socket) -> None:
    """Close by a RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def late(connection: socket.socket) -> None:
    """Close after a while, as a server whose worker is killed."""
    time.sleep(LATE_S)


def in_mid_reply(connection: socket.socket) -> None:
    """Close after the first byte."""
    connection.sendall(b"H")


def closing(how: Callable[[socket.socket], None], served: int = 1) -> Script:
    """Answer so many requests of each connection, and read one more, which ends it."""

    def script(connection: socket.socket) -> None:
        for _ in range(served):
            if not read_request(connection):
                return
            connection.sendall(reply())
        if read_request(connection):
            how(connection)

    return script


def check_times(found: list[Exchange]) -> None:
    """What was lost counts as `connect`, and the parts still add up."""
    for one in found:
        assert one.scheduled_ns + one.connect_ns <= one.ready_ns <= one.sent_ns
        assert one.sent_ns <= one.first_byte_ns <= one.arrived_ns <= one.done_ns
    columns = client_view(Requests.of(found))
    parts = ("backlog", "connect", "client", "server_and_network")
    assert np.array_equal(np.sum([columns[part] for part in parts], 0), columns["end_to_end"])
    assert (columns["backlog"] >= 0).all()


@pytest.mark.parametrize("how", [fin, rst])
def test_what_crosses_the_end_of_a_kept_connection(
    make: Make, how: Callable[[socket.socket], None]
) -> None:
    _, found = run(make, closing(how), ClosedLoop(20), slots=2, patient=True)
    assert outcomes(found) == {(Outcome.SUCCEEDED, ""): 20}
    assert [one.lost for one in sorted(found, key=lambda one: one.scheduled_ns)] == [
        *[None] * 2,
        *[Lost.CLOSED] * 18,
    ]
    check_times(found)
    for one in found:
        assert (one.connect_ns > 0) == (one.lost is not None)


def test_a_connection_that_was_closed_before_the_request_left(make: Make) -> None:
    """No header announces it: the request leaves just after the FIN has come, or just before."""
    _, found = run(make, answering(reply(), close_after=1), ClosedLoop(20))
    assert outcomes(found) == {(Outcome.SUCCEEDED, ""): 20}
    assert {one.lost for one in found[1:]} <= {Lost.CLOSED, None}
    assert all(one.connect_ns > 0 for one in found[1:])
    check_times(found)


def test_a_large_request_that_is_refused_half_way(make: Make) -> None:
    def script(connection: socket.socket) -> None:
        if read_request(connection):
            connection.sendall(reply())
            connection.recv(1_000)  # closing with bytes unread sends a RST

    _, found = run(make, script, ClosedLoop(5), contents=[request(b"y" * 3_000_000)], patient=True)
    assert outcomes(found) == {(Outcome.SUCCEEDED, ""): 5}
    assert [one.lost for one in found] == [None, *[Lost.CLOSED] * 4]
    check_times(found)


def test_the_same_request_is_sent_again(make: Make) -> None:
    seen: list[bytes] = []

    def script(connection: socket.socket) -> None:
        if got := read_request(connection):
            seen.append(got)
            connection.sendall(reply())
            seen.append(read_request(connection))

    contents = [request(b"a" * 10), request(b"b" * 20), request(b"c" * 30)]
    _, found = run(make, script, ClosedLoop(7), contents=contents, patient=True)
    assert outcomes(found) == {(Outcome.SUCCEEDED, ""): 7}
    assert [one.variant for one in found] == [0, 1, 2, 0, 1, 2, 0]
    lost, again = seen[1:-1:2], seen[2::2]
    assert lost == again
    assert [got[-1:] for got in again] == [b"b", b"c", b"a", b"b", b"c", b"a"]
    check_times(found)


def test_an_open_loop_waits_for_it_as_for_a_connection(make: Make) -> None:
    pacing = OpenLoop([n * 5 * MS for n in range(10)])
    _, found = run(make, closing(fin), pacing, slots=3, patient=True)
    assert outcomes(found) == {(Outcome.SUCCEEDED, ""): 10}
    assert sum(one.lost is Lost.CLOSED for one in found) >= 3
    check_times(found)


def test_what_ends_late_is_a_failure(make: Make) -> None:
    _, found = run(make, closing(late), ClosedLoop(6))
    assert outcomes(found) == {(Outcome.SUCCEEDED, ""): 3, (Outcome.FAILED, NO_REPLY): 3}
    assert {one.lost for one in found} == {None}


def test_a_reply_that_has_begun_is_no_race(make: Make) -> None:
    _, found = run(make, closing(in_mid_reply), ClosedLoop(6), patient=True)
    assert outcomes(found) == {(Outcome.SUCCEEDED, ""): 3, (Outcome.FAILED, CUT_SHORT): 3}
    assert {one.lost for one in found} == {None}


def test_a_server_that_kills_its_worker_under_every_request(make: Make) -> None:
    _, found = run(make, closing(late, served=0), ClosedLoop(4), slots=2)
    assert outcomes(found) == {(Outcome.FAILED, NO_REPLY): 4}


def test_the_first_request_of_a_connection_is_never_sent_again(make: Make) -> None:
    seen: list[bytes] = []

    def script(connection: socket.socket) -> None:
        if got := read_request(connection):
            seen.append(got)

    _, found = run(make, script, ClosedLoop(5), patient=True)
    assert outcomes(found) == {(Outcome.FAILED, NO_REPLY): 5}
    assert len(seen) == 5


def test_no_request_is_sent_three_times(make: Make) -> None:
    served, seen = threading.Event(), []

    def script(connection: socket.socket) -> None:
        if (got := read_request(connection)) and not served.is_set():
            served.set()
            connection.sendall(reply())
            got = read_request(connection)
        if got:
            seen.append(got)

    _, found = run(make, script, ClosedLoop(2), patient=True)
    assert outcomes(found) == {(Outcome.SUCCEEDED, ""): 1, (Outcome.FAILED, NO_REPLY): 1}
    assert found[1].lost is Lost.CLOSED
    assert len(seen) == 2
    assert seen[0] == seen[1]


def test_the_time_out_runs_from_the_second_attempt(make: Make) -> None:
    served, over = threading.Event(), threading.Event()

    def script(connection: socket.socket) -> None:
        if read_request(connection) and not served.is_set():
            served.set()
            connection.sendall(reply())
            read_request(connection)
            time.sleep(0.15)
        else:
            over.wait(5)

    _, found = run(make, script, ClosedLoop(2), timeout_s=0.2, patient=True)
    over.set()
    assert outcomes(found)[Outcome.TIMED_OUT, "no reply within 0.2 s"] == 1
    assert found[1].lost is Lost.CLOSED
    assert found[1].done_ns - found[1].sent_ns >= 200 * MS
    assert found[1].connect_ns >= 150 * MS


@pytest.mark.parametrize(
    ("path", "expected_ns"),
    [
        (None, 5 * MS),
        (PathState(rtt_us=50, retransmits=0, min_rtt_us=20), 5 * MS),
        (PathState(rtt_us=2_500, retransmits=0, min_rtt_us=20), 5 * MS),
        (PathState(rtt_us=80_000, retransmits=1, min_rtt_us=70_000), 160 * MS),
    ],
)
def test_how_long_before_the_end_a_request_may_have_left(
    path: PathState | None, expected_ns: int
) -> None:
    assert crossing_ns(path, 5 * MS) == expected_ns


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────


def loaded_under_tls(
    tmp_path: Path, script: Script, requests: int, *, patient: bool = False
) -> Measurement:
    authority = trustme.CA()
    with serving(under_tls(context(authority), script)) as port:
        planned = Plan(
            Payloads(Payload(b"x" * 1_000, "image/png", "x.png", "data")),
            Targets(rest_url=f"https://{HOST}:{port}"),
            tls=Tls(cacert=ca_file(authority, tmp_path)),
            load=Workload(requests=requests),
        )
        prepared = rest.prepare(planned)
        if patient:
            prepared = replace(prepared, endpoint=patient_with(prepared.endpoint))
        return measure(prepared, planned.load, Watcher())


def close_notify(connection: socket.socket) -> None:
    """End the session by the book."""
    assert isinstance(connection, ssl.SSLSocket)
    connection.unwrap()


@pytest.mark.parametrize("how", [fin, close_notify])
def test_the_end_of_a_session(tmp_path: Path, how: Callable[[socket.socket], None]) -> None:
    load = loaded_under_tls(tmp_path, closing(how), 6, patient=True)
    found = list(load.requests)
    assert outcomes(found) == {(Outcome.SUCCEEDED, ""): 6}
    assert [one.lost for one in found] == [None, *[Lost.CLOSED] * 5]
    check_times(found)


def late_notify(connection: socket.socket) -> None:
    """End it by the book, but late."""
    late(connection)
    close_notify(connection)


def in_mid_record(connection: socket.socket) -> None:
    """Send the start of a record, of which nothing can be read."""
    assert isinstance(connection, ssl.SSLSocket)
    bare = socket.socket(fileno=connection.detach())
    bare.sendall(b"\x17\x03\x03\x01\x00" + b"x" * 20)
    bare.close()


def check_no_race(load: Measurement) -> None:
    found = list(load.requests)
    assert outcomes(found) == {(Outcome.SUCCEEDED, ""): 2, (Outcome.FAILED, NO_REPLY): 2}
    assert {one.lost for one in found} == {None}


def test_a_session_that_ends_late_is_no_race(tmp_path: Path) -> None:
    check_no_race(loaded_under_tls(tmp_path, closing(late_notify), 4))


def test_a_reply_whose_first_record_has_begun_is_no_race(tmp_path: Path) -> None:
    check_no_race(loaded_under_tls(tmp_path, closing(in_mid_record), 4, patient=True))

"""Bodies of any size arrive whole and with their own ids, by whichever mapping they are sent."""

import hashlib
import socket
import threading
from collections import Counter
from itertools import takewhile
from pathlib import Path

import pytest

from tests.load.engines import Make, copied, mapped, outcomes, request, run, shared
from tests.servers import HOST, reply
from tracebench.load.engine import memory_mapped as mapping
from tracebench.load.engine.channel import Connecting
from tracebench.load.engine.endpoint import Endpoint
from tracebench.load.engine.loop import Loop
from tracebench.load.engine.memory_mapped import MappedRequests, SharedBodies
from tracebench.load.engine.pacing import ClosedLoop
from tracebench.load.engine.target import PreparedTarget
from tracebench.load.wire.http1 import Http1Codec, HttpRequest, read_reply
from tracebench.model.plan import Tls
from tracebench.model.record.exchange import Outcome
from tracebench.tracing.roots.target_attributes import rest

BODIES = [bytes([number]) * size for number, size in ((1, 12_000_000), (2, 20_000), (3, 100))]
CONTENTS = [request(body) for body in BODIES]


@pytest.mark.parametrize("make", [copied, mapped, shared])
@pytest.mark.parametrize("count", [1, 3])
def test_large_bodies_arrive_whole_though_the_socket_takes_them_in_parts(
    make: Make, count: int
) -> None:
    seen: list[tuple[bytes, str]] = []

    def script(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 100_000)
        with connection.makefile("rb") as file:
            while head := b"".join(takewhile(lambda line: line != b"\r\n", file)):
                size = int(head.partition(b"Content-Length: ")[2].split()[0])
                ids = head.partition(b"traceparent: 00-")[2][:49]
                seen.append((ids, hashlib.sha256(file.read(size)).hexdigest()))
                connection.sendall(reply())

    _, found = run(make, script, ClosedLoop(9), slots=3, contents=CONTENTS[:count])
    assert outcomes(found) == {(Outcome.SUCCEEDED, ""): 9}
    assert {f"{one.trace_id}-{one.span_id}".encode() for one in found} == {ids for ids, _ in seen}
    digests = [hashlib.sha256(body).hexdigest() for body in BODIES[:count]]
    assert Counter(body for _, body in seen) == dict.fromkeys(digests, 9 // count)
    if count == 1:
        assert sum(one.write_lag_ns > 0 for one in found) > 4, "the socket took all at once"


@pytest.mark.parametrize("make", [mapped, shared])
def test_a_server_that_answers_before_it_has_read(make: Make) -> None:
    """The rest of the body belongs to no one: the next request takes a new connection."""

    def script(connection: socket.socket) -> None:
        connection.recv(1_000)
        connection.sendall(reply())
        threading.Event().wait(0.2)

    _, found = run(make, script, ClosedLoop(4), slots=2, contents=CONTENTS[:1])
    assert {one.outcome for one in found} <= {Outcome.SUCCEEDED, Outcome.FAILED}
    assert sum(one.outcome is Outcome.SUCCEEDED for one in found) >= 2


def shmem_bytes() -> int:
    """What files in memory take of this process, as far as it has touched them."""
    lines = Path("/proc/self/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith("RssShmem:")]
    return int(line.split()[1]) * 1024


def test_many_slots_take_no_more_memory_than_is_said() -> None:
    """A megabyte for each of a thousand slots is one megabyte, and not a thousand."""
    endpoint = Endpoint(HOST, 9, socket.AF_INET, (HOST, 9), None)
    big = request(bytes(1_000_000))
    described, url = rest("POST", "http://x/"), "http://x/"
    prepared = PreparedTarget(
        described, url, endpoint, [big], Http1Codec, read_reply, "", 30.0, Tls()
    )
    loop, before = Loop(), shmem_bytes()
    connecting = Connecting(prepared, loop, 1_000)
    assert 1_000_000 <= shmem_bytes() - before < 1_100_000
    connecting.close()
    loop.close()
    assert shmem_bytes() - before < 100_000


@pytest.mark.parametrize(
    ("size", "requests", "connections", "private"),
    [
        (24_000, 1, 256, True),
        (1_000_000, 1, 60, True),
        (1_000_000, 1, 68, False),
        (30_000_000, 1, 2, True),
        (30_000_000, 1, 3, False),
        (100, mapping.MOST_PRIVATE + 1, 1, False),
    ],
)
def test_copies_are_private_while_all_fit_in_64_mb(
    size: int, requests: int, connections: int, private: bool
) -> None:
    contents = [HttpRequest(b"head", b"tail", bytes(size))] * requests
    assert MappedRequests.possible(contents, connections) is private


def test_a_body_that_several_requests_have_is_kept_once() -> None:
    body, other = bytes(50_000), bytes(60_000)
    contents = [HttpRequest(head, b"", one) for head in (b"a", b"b") for one in (body, other)]
    bodies = SharedBodies(contents)
    assert len(bodies.memory) == 110_000
    assert [part[:2] for part in bodies.parts] == [(0, 50_000), (50_000, 60_000)] * 2
    bodies.close()

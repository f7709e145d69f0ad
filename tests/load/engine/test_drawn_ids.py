"""The ids that a record tells are those that stood on the wire, in every window of an engine."""

import re
import socket
import threading

import pytest

from tests.load.engines import Make, request, run
from tests.servers import read_request, reply
from tracebench.load.engine.engine import Engine
from tracebench.load.engine.pacing import ClosedLoop
from tracebench.load.wire.http1_pattern import pattern_of
from tracebench.model.record.exchange import Exchange, Outcome

_TRACEPARENT = re.compile(rb"traceparent: 00-([0-9a-f]{32})-([0-9a-f]{16})-01")
WARM_UP, REQUESTS = 150, 300
"""More than a block of ids each, so that both windows cross the end of one."""

Ids = tuple[str, str]


class Server:
    """Notes the ids of every request; each reply tells how many came before it.

    Args:
        close_after: how many replies a connection is good for, the last of which says so; 0: any
            number.
    """

    def __init__(self, close_after: int = 0) -> None:
        self.seen: list[Ids] = []
        self._close_after = close_after
        self._lock = threading.Lock()

    def __call__(self, connection: socket.socket) -> None:
        answered = 0
        while got := read_request(connection):
            found = _TRACEPARENT.search(got)
            assert found is not None
            with self._lock:
                self.seen.append((found[1].decode(), found[2].decode()))
                count = len(self.seen)
            answered += 1
            ends = answered == self._close_after
            headers = f'X-Timing-Info: {{"total": {count / 1e9:.9f}}}', "Connection: close"
            connection.sendall(reply(b"ok", "200 OK", *headers[: 1 + ends]))
            if ends:
                return


def warm_up(engine: Engine) -> None:
    engine.run(ClosedLoop(WARM_UP), lambda _progress: None)


def measured(make: Make, server: Server, *, slots: int, several: bool = False) -> list[Exchange]:
    bodies = (b"x", b"y" * 40_000) if several else (b"x",)
    contents = [request(body) for body in bodies]
    closed = ClosedLoop(REQUESTS)
    _, found = run(
        make, server, closed, slots=slots, contents=contents, midway=warm_up, learn=pattern_of
    )
    assert {one.outcome for one in found} == {Outcome.SUCCEEDED}
    return found


@pytest.mark.parametrize("several", [False, True])
def test_one_slot_after_a_warm_up(make: Make, several: bool) -> None:
    server = Server()
    found = measured(make, server, slots=1, several=several)
    assert [(one.trace_id, one.span_id) for one in found] == server.seen[WARM_UP:]
    assert len(set(server.seen)) == WARM_UP + REQUESTS


@pytest.mark.parametrize("close_after", [0, 7])
def test_several_slots_after_a_warm_up(make: Make, close_after: int) -> None:
    """Connections that end now and then take some requests off the short way."""
    server = Server(close_after)
    found = measured(make, server, slots=4)
    ids = [(one.trace_id, one.span_id) for one in found]
    assert len(set(ids)) == REQUESTS
    assert set(ids) <= set(server.seen[WARM_UP:])

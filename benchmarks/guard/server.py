"""The servers that both sides are measured against.

    python -m benchmarks.guard.server rest|grpc [WORK_MS WAY_MS [HOST]]

One epoll loop; of the project it uses only the generated messages. Without times it answers at once
and reports times that vary a little from reply to reply. With times it holds each request for
WORK_MS + WAY_MS, measures how long that took, and reports all of it except WAY_MS: the client has
to find exactly that much on the network. It prints its port and ends when its standard input does.
"""

import heapq
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import cycle
from typing import Final, NamedTuple

from benchmarks.guard.replies import Grpc, Replies, Rest, Times
from benchmarks.side_by_side import SERVER_CORE, on_core

READ_BYTES: Final = 1 << 16
CLAIMED: Final = tuple(Times(900 + n, 1_800 + 3 * n, 700 + n, 4_000 + 7 * n) for n in range(64))
"""Below anything a round trip takes, so that every request is decomposed."""
PROTOCOLS: Final[dict[str, Callable[[], Replies]]] = {"rest": Rest, "grpc": Grpc}


class Held(NamedTuple):
    """A request that waits for its answer; the first to be answered sorts first."""

    due_ns: int
    began_ns: int
    descriptor: int
    stream: int


class Server:
    """Connections of one protocol on one listener."""

    def __init__(self, protocol: str, work_ms: float = 0.0, way_ms: float = 0.0) -> None:
        self._make = PROTOCOLS[protocol]
        self._way_ns = int(way_ms * 1e6)
        self._hold_ns = int(work_ms * 1e6) + self._way_ns
        self._claimed = cycle(CLAIMED)
        self._held: list[Held] = []
        self._connections: dict[int, tuple[socket.socket, Replies]] = {}
        self._epoll = select.epoll()

    def serve(self, until: int, host: str = "127.0.0.1") -> None:
        """Say the port, and answer until the descriptor `until` can be read."""
        with socket.create_server((host, 0), backlog=256) as listener:
            self._epoll.register(until, select.EPOLLIN)
            self._epoll.register(listener.fileno(), select.EPOLLIN)
            print(listener.getsockname()[1], flush=True)
            while True:
                for descriptor, _ in self._epoll.poll(self._patience_s()):
                    if descriptor == until:
                        return
                    if descriptor == listener.fileno():
                        self._accept(listener.accept()[0])
                    else:
                        self._read(descriptor)
                self._answer_held()

    def _patience_s(self) -> float:
        if not self._held:
            return -1
        return max(0.0, (self._held[0].due_ns - time.perf_counter_ns()) / 1e9)

    def _accept(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        replies = self._make()
        if replies.greeting:
            connection.send(replies.greeting)
        self._connections[connection.fileno()] = connection, replies
        self._epoll.register(connection.fileno(), select.EPOLLIN)

    def _read(self, descriptor: int) -> None:
        connection, replies = self._connections[descriptor]
        with suppress(OSError):  # it went away: as one that closes
            if data := connection.recv(READ_BYTES):
                reply, streams = replies.receive(data)
                if self._hold_ns:
                    self._hold(descriptor, streams)
                else:
                    for stream in streams:
                        reply += replies.answer(stream, next(self._claimed))
                if reply:
                    connection.send(reply)
                return
        del self._connections[descriptor]
        self._held = [held for held in self._held if held.descriptor != descriptor]
        heapq.heapify(self._held)
        connection.close()

    def _hold(self, descriptor: int, streams: list[int]) -> None:
        now_ns = time.perf_counter_ns()
        for stream in streams:
            heapq.heappush(self._held, Held(now_ns + self._hold_ns, now_ns, descriptor, stream))

    def _answer_held(self) -> None:
        while self._held and self._held[0].due_ns <= time.perf_counter_ns():
            held = heapq.heappop(self._held)
            connection, replies = self._connections[held.descriptor]
            work_ns = time.perf_counter_ns() - held.began_ns - self._way_ns
            with suppress(OSError):
                connection.send(replies.answer(held.stream, Times(0, work_ns, 0, work_ns)))


@contextmanager
def served(protocol: str, *times_ms: float) -> Iterator[int]:
    """A server on a core of its own; gives its port.

    It lives as long as the pipe to its standard input is open, and so ends with this process in
    whatever way it ends. A session of its own keeps Ctrl-C from it.
    """
    module = (sys.executable, "-m", "benchmarks.guard.server", protocol, *map(str, times_ms))
    command, pipe = on_core(SERVER_CORE, *module), subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, start_new_session=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()


if __name__ == "__main__":
    Server(sys.argv[1], *map(float, sys.argv[2:4])).serve(sys.stdin.fileno(), *sys.argv[4:])

"""A server of streams that knows when each token left it.

`python -m benchmarks.streams.server PORT FILE [--grpc] [--certificate PEM]`: one thread, epoll, one
send a token; whatever can be made before is. The request says in JSON when its first token is due
(`first_ms` after it was read), how far apart the others are (`gap_ms`), and how many there are
(`max_tokens`). At its end (SIGTERM) it writes one line of JSON for each stream to FILE: the trace
id of its traceparent (`name`), when the kernel received the request (`come_ns`), and when each
token left (`left_ns`: just before the send), both by CLOCK_MONOTONIC, and the text that was asked
(`prompt`). Nothing of tracebench is in it.
"""

import gc
import heapq
import json
import select
import signal
import socket
import ssl
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from struct import Struct
from time import monotonic_ns, time_ns
from typing import Any, Final

from benchmarks.streams.forms import Asked, Form, Grpc, Sse, prompt_of

_MS: Final = 1_000_000
_READ_SIZE: Final = 65_536
_SO_TIMESTAMPING, _RX_SOFTWARE, _REPORT_SOFTWARE = 37, 1 << 3, 1 << 4  # Linux' net_tstamp.h
_TIMESPEC: Final = Struct("@qq")


class Peer:
    """A connection, with or without TLS."""

    def __init__(self, connection: socket.socket, form: Form, tls: ssl.SSLContext | None) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.form = form
        self.send = connection.send
        self.close = connection.close
        connection.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, _RX_SOFTWARE | _REPORT_SOFTWARE)
        self.come_ns = 0
        """When the kernel received what was read last."""
        self._recvmsg = connection.recvmsg
        self._tls: ssl.SSLObject | None = None
        if tls is not None:
            self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
            self._tls = tls.wrap_bio(self._in, self._out, server_side=True)
            self._greeted = False

    def read(self) -> bytes | None:
        """What has come, in the clear; None: the peer has gone."""
        try:
            data, ancillary, _, _ = self._recvmsg(_READ_SIZE, 128)
        except BlockingIOError:
            return b""
        except OSError:
            return None
        self.come_ns = monotonic_ns()
        if ancillary:
            seconds, nanoseconds = _TIMESPEC.unpack_from(ancillary[0][2])
            self.come_ns -= time_ns() - (seconds * 1_000_000_000 + nanoseconds)
        return (data or None) if self._tls is None else self._opened(self._tls, data)

    def _opened(self, tls: ssl.SSLObject, data: bytes) -> bytes | None:
        self._in.write(data)
        clear = b""
        try:
            if not self._greeted:
                tls.do_handshake()
                self._greeted = True
            while part := tls.read(_READ_SIZE):
                clear += part
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            return None
        if answer := self._out.read():
            self.send(answer)
        return clear if data else None

    def sealed(self, data: bytes) -> bytes:
        """As it goes over the wire."""
        if self._tls is None:
            return data
        self._tls.write(data)
        return self._out.read()


@dataclass(slots=True)
class Stream:
    """A reply under way."""

    peer: Peer
    asked: Asked
    come_ns: int
    gap_ns: int
    count: int
    left_ns: list[int] = field(default_factory=list)

    def token(self) -> int:
        """Send one more; returns when the next is due, 0 after the last.

        That is a gap after this one, however late this one was: two that leave together would be
        read together by any client.
        """
        peer, number, left_ns = self.peer, self.asked.number, self.left_ns
        data = peer.sealed(peer.form.token(number))
        left_ns.append(monotonic_ns())
        peer.send(data)
        if len(left_ns) < self.count:
            return left_ns[-1] + self.gap_ns
        peer.send(peer.sealed(peer.form.end(number, self.count)))
        return 0


class Server:
    """Answers until it is told to stop."""

    def __init__(self, port: int, form: Callable[[], Form], tls: ssl.SSLContext | None) -> None:
        self._form, self._tls = form, tls
        self._listener = socket.create_server(("127.0.0.1", port), backlog=2_048)
        self._listener.setblocking(False)
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._peers: dict[int, Peer] = {}
        self._due: list[tuple[int, int, Stream]] = []
        self._begun = 0
        self.streams: list[Stream] = []

    def run(self) -> None:
        while True:
            self._wait()
            for descriptor, _ in self._epoll.poll(0):
                if descriptor == self._listener.fileno():
                    self._accept()
                else:
                    self._read(descriptor, self._peers[descriptor])
            self._send_due()

    def _wait(self) -> None:
        """Until something has come or is due; `select` counts in µs, where epoll's ms are whole."""
        left_s = (self._due[0][0] - monotonic_ns()) / 1e9 if self._due else None
        if left_s is None or left_s > 0:
            select.select([self._epoll], [], [], left_s)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            descriptor = connection.fileno()
            self._peers[descriptor] = Peer(connection, self._form(), self._tls)
            self._epoll.register(descriptor, select.EPOLLIN)

    def _read(self, descriptor: int, peer: Peer) -> None:
        data = peer.read()
        if data is None:
            self._epoll.unregister(descriptor)
            del self._peers[descriptor]
            peer.close()
            return
        read_ns = monotonic_ns()
        for asked in peer.form.requests(data):
            self._begin(peer, asked, read_ns)
        if peer.form.answer:
            answer, peer.form.answer = peer.form.answer, b""
            peer.send(peer.sealed(answer))

    def _begin(self, peer: Peer, asked: Asked, read_ns: int) -> None:
        said = asked.said
        first_ns = read_ns + round(said.get("first_ms", 50) * _MS)
        gap_ns, count = round(said.get("gap_ms", 10) * _MS), _count(said)
        stream = Stream(peer, asked, peer.come_ns, gap_ns, count)
        self.streams.append(stream)
        peer.send(peer.sealed(peer.form.begin(asked.number)))
        self._call(first_ns, stream)

    def _call(self, due_ns: int, stream: Stream) -> None:
        self._begun += 1
        heapq.heappush(self._due, (due_ns, self._begun, stream))

    def _send_due(self) -> None:
        due = self._due
        while due and due[0][0] <= monotonic_ns():
            stream = heapq.heappop(due)[2]
            try:
                next_ns = stream.token()
            except OSError:
                continue  # the client has gone, or reads nothing
            if next_ns:
                self._call(next_ns, stream)


def _count(said: dict[str, Any]) -> int:
    return int(said.get("max_tokens") or said.get("max_completion_tokens") or 64)


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("file", type=Path)
    parser.add_argument("--grpc", action="store_true")
    parser.add_argument("--certificate")
    given = parser.parse_args()
    tls = None
    if given.certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(given.certificate)
    server = Server(given.port, Grpc if given.grpc else Sse, tls)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    gc.disable()
    print("ready", flush=True)
    try:
        server.run()
    finally:
        with given.file.open("w") as file:
            for stream in server.streams:
                name, come_ns = stream.asked.name, stream.come_ns
                line = {"name": name, "come_ns": come_ns, "left_ns": stream.left_ns}
                line["prompt"] = prompt_of(stream.asked.said)
                file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()

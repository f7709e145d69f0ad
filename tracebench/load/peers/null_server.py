"""A server that does nothing, as fast as possible: measuring it gives the floor."""

import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final, Literal, Protocol

from tracebench.load.engine.loop import Loop
from tracebench.load.wire import http2_frames
from tracebench.load.wire.codec import ProtocolError
from tracebench.load.wire.grpc_request import PREFIX, literal
from tracebench.load.wire.http2_frames import CLIENT_PREFACE, FrameSplitter, frame, frame_header
from tracebench.load.wire.http2_streams import FIRST_WINDOW
from tracebench.model.errors import TracebenchError

# A server that does nothing, as fast as possible: measuring it gives the floor.


# What the null server needs of a protocol: request bytes in, reply bytes out; no socket.


class Answers(Protocol):
    """One connection's replies."""

    greeting: bytes
    """What is sent once connected; empty for HTTP/1.1."""

    def receive(self, data: bytes) -> bytes:
        """Take bytes of requests; returns the replies to the requests they complete.

        Raises:
            ProtocolError: the connection cannot be used any more.
        """


# HTTP/1.1: each request is read to its end and answered 200.

REPLY: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_END: Final = b"\r\n\r\n"
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)


class RestAnswers(Answers):
    """One connection, one request at a time, without a body or with a Content-Length."""

    greeting = b""

    def __init__(self) -> None:
        self._head = b""
        self._missing = 0
        """Bytes of the body still to come."""

    def receive(self, data: bytes) -> bytes:
        """Take bytes of a request; see `Answers.receive`."""
        if self._missing:
            self._missing -= len(data)
        else:
            head = self._head + data
            if (end := head.find(_END)) < 0:
                self._head = head
                return b""
            self._head = b""
            length = _LENGTH.search(head, 0, end)
            self._missing = end + len(_END) + (int(length[1]) if length else 0) - len(head)
        if self._missing < 0:
            raise ProtocolError("there is more than one request at a time")
        return b"" if self._missing else REPLY


# gRPC: any unary call is read to its end and answered OK, with an empty message.
#
# Its header blocks are constants that use no dynamic table (RFC 7541); the client's are ignored.

_REPLENISH_BYTES: Final = 2**30
_STATUS_200: Final = b"\x88"  # an index into the static table, RFC 7541, appendix A
_INITIAL: Final = _STATUS_200 + literal(b"content-type", b"application/grpc")
_MESSAGE: Final = PREFIX.pack(0, 0)
_TRAILING: Final = literal(b"grpc-status", b"0")


class GrpcAnswers(Answers):
    """One connection, any number of calls at a time.

    Args:
        replenish_bytes: the connection's receive window is refilled once this much of it is used.
    """

    greeting = http2_frames.settings(
        (http2_frames.INITIAL_WINDOW_SIZE, http2_frames.LARGEST_31_BIT)
    ) + http2_frames.window_update(0, http2_frames.LARGEST_31_BIT - FIRST_WINDOW)

    def __init__(self, replenish_bytes: int = _REPLENISH_BYTES) -> None:
        self._splitter = FrameSplitter()
        self._replenish_bytes = replenish_bytes
        self._preface = CLIENT_PREFACE
        """The part of it still to come."""
        self._used_bytes = 0

    def receive(self, data: bytes) -> bytes:
        """Take bytes of calls; see `Answers.receive`."""
        if self._preface:
            data = self._past_preface(data)
        split = self._splitter.split(data)
        return b"".join([self._answer(*one) for one in split])

    def _past_preface(self, data: bytes) -> bytes:
        size = len(self._preface)
        if data[:size] != self._preface[: len(data)]:
            raise ProtocolError("the client does not speak HTTP/2")
        self._preface = self._preface[len(data) :]
        return data[size:]

    def _answer(self, kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
        answer = b""
        if kind == http2_frames.DATA:
            self._used_bytes += len(payload)
            if flags & http2_frames.END_STREAM:
                answer = _reply(stream_id)
            if self._used_bytes >= self._replenish_bytes:
                answer += http2_frames.window_update(0, self._used_bytes)
                self._used_bytes = 0
        elif kind in (http2_frames.SETTINGS, http2_frames.PING) and not flags & http2_frames.ACK:
            answer = frame(kind, http2_frames.ACK, 0, payload if kind == http2_frames.PING else b"")
        return answer


def _reply(stream_id: int) -> bytes:
    end = http2_frames.END_HEADERS | http2_frames.END_STREAM
    return (
        frame_header(len(_INITIAL), http2_frames.HEADERS, http2_frames.END_HEADERS, stream_id)
        + _INITIAL
        + frame_header(len(_MESSAGE), http2_frames.DATA, 0, stream_id)
        + _MESSAGE
        + frame_header(len(_TRAILING), http2_frames.HEADERS, end, stream_id)
        + _TRAILING
    )


# The null server's process: one event loop, no threads, and at most one write per read.

NullProtocol = Literal["rest", "grpc"]

HOST: Final = "127.0.0.1"
_ANSWERS: Final[dict[str, Callable[[], Answers]]] = {"rest": RestAnswers, "grpc": GrpcAnswers}
_BACKLOG: Final = 4_096
_READ_SIZE: Final = 65_536
_SHUTDOWN_S: Final = 5.0


@contextmanager
def spawned(kind: NullProtocol, path: str = "") -> Iterator[int]:
    """Run a null server in its own process; yields its port on loopback.

    If a path is given, it listens on a Unix socket there, and the port is 0.

    It lives as long as the pipe to its standard input is open, and so ends with this process,
    however that ends. It has its own session, so that Ctrl-C does not reach it.

    Raises:
        TracebenchError: it does not start.
    """
    command = [sys.executable, "-m", "tracebench.load.peers.null_server", kind, path]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, start_new_session=True) as process:
        try:
            port = process.stdout.readline()  # type: ignore[union-attr] # it is a pipe
            if not port:
                raise TracebenchError("the null server did not start: see its output above")
            yield int(port)
        finally:
            process.stdin.close()  # type: ignore[union-attr] # as above
            with suppress(subprocess.TimeoutExpired):
                process.wait(_SHUTDOWN_S)
            process.kill()  # no effect if it has already ended


def serve_parent(kind: str, path: str = "") -> None:
    """Run in the process that `spawned` starts: print the port, then serve until EOF on stdin."""
    loop = Loop()
    with _listening(path) as listener:
        listener.setblocking(False)
        loop.watch(listener.fileno(), partial(_accept, loop, listener, _ANSWERS[kind]))
        loop.watch(sys.stdin.fileno(), lambda _events: loop.stop())
        print(0 if path else listener.getsockname()[1], flush=True)
        loop.run()
    loop.close()


def _listening(path: str) -> socket.socket:
    if not path:
        return socket.create_server((HOST, 0), backlog=_BACKLOG)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(_BACKLOG)
    return listener


def _accept(
    loop: Loop, listener: socket.socket, answers: Callable[[], Answers], _events: int
) -> None:
    with suppress(OSError):  # the client has already gone away
        connection, _ = listener.accept()
        if connection.family == socket.AF_INET:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        _serve(loop, connection, answers())


def _serve(loop: Loop, connection: socket.socket, answers: Answers) -> None:
    receive, send, answer = connection.recv, connection.send, answers.receive
    descriptor = connection.fileno()

    def readable(_events: int) -> None:
        """Answer; drop a client that reads so slowly that the answer does not fit the buffer."""
        try:
            if data := receive(_READ_SIZE):
                reply = answer(data)
                if not reply or send(reply) == len(reply):
                    return
        except (OSError, ProtocolError):
            pass
        loop.forget(descriptor)
        connection.close()

    if answers.greeting:
        connection.send(answers.greeting)
    loop.watch(descriptor, readable)


# `python -m tracebench.load.peers.null_server rest|grpc [PATH]`: what `spawned` starts.

if __name__ == "__main__":
    serve_parent(*sys.argv[1:])

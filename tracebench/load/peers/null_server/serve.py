"""The null server's process: one loop, no thread, and for each read at most one write."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final, Literal

from tracebench.load.engine.loop import Loop
from tracebench.load.peers.null_server.answers import Answers
from tracebench.load.peers.null_server.rest import RestAnswers
from tracebench.load.peers.null_server.rpc import GrpcAnswers
from tracebench.load.wire.codec import ProtocolError
from tracebench.model.errors import TracebenchError

Kind = Literal["rest", "grpc"]

HOST: Final = "127.0.0.1"
_ANSWERS: Final[dict[str, Callable[[], Answers]]] = {"rest": RestAnswers, "grpc": GrpcAnswers}
_BACKLOG: Final = 4_096
_READ_SIZE: Final = 65_536
_SHUTDOWN_S: Final = 5.0


@contextmanager
def spawned(kind: Kind, path: str = "") -> Iterator[int]:
    """Run a null server in a process of its own; gives its port on loopback.

    Where a path is given it listens at that, as a Unix socket, and the port is 0.

    It lives as long as the pipe to its standard input is open, and so ends with this process in
    whatever way it ends. A session of its own keeps Ctrl-C from it.

    Raises:
        TracebenchError: it does not start.
    """
    command = [sys.executable, "-m", "tracebench.load.peers.null_server", kind, path]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, start_new_session=True) as process:
        try:
            port = process.stdout.readline()  # type: ignore[union-attr] # it is a pipe
            if not port:
                raise TracebenchError("the null server did not start: what it said stands above")
            yield int(port)
        finally:
            process.stdin.close()  # type: ignore[union-attr] # as above
            with suppress(subprocess.TimeoutExpired):
                process.wait(_SHUTDOWN_S)
            process.kill()  # which one that has ended does not mind


def serve_parent(kind: str, path: str = "") -> None:
    """Be the process that `spawned` starts: say the port, and serve until the pipe is closed."""
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
    with suppress(OSError):  # it went away again
        connection, _ = listener.accept()
        if connection.family == socket.AF_INET:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        _serve(loop, connection, answers())


def _serve(loop: Loop, connection: socket.socket, answers: Answers) -> None:
    receive, send, answer = connection.recv, connection.send, answers.receive
    descriptor = connection.fileno()

    def readable(_events: int) -> None:
        """Answer; a client that reads so little that an answer does not fit is not ours."""
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

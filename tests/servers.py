"""Real servers on loopback for tests: each connection is a thread, each script a function."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Script = Callable[[socket.socket], None]

HOST = "127.0.0.1"
PATIENCE_S = 30.0


@contextmanager
def serving(script: Script, backlog: int = 128, path: str = "") -> Iterator[int]:
    """Run the script on every connection; gives the port (0: it is the Unix socket at `path`)."""
    if path:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(backlog)
    else:
        listener = socket.create_server((HOST, 0), backlog=backlog)
    open_sockets: list[socket.socket] = []

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            script(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                open_sockets.append(connection)
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield 0 if path else listener.getsockname()[1]
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for one in open_sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        thread.join()


def read_request(connection: socket.socket) -> bytes:
    """Read one HTTP request with a Content-Length (or none); empty at the end of the connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65_536)
        if not part:
            return b""
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    while len(body) < length:
        part = connection.recv(65_536)
        if not part:
            return b""
        body += part
    return head + b"\r\n\r\n" + body


def reply(body: bytes = b"ok", status: str = "200 OK", *headers: str) -> bytes:
    """An HTTP reply with a Content-Length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def answering(*replies: bytes, close_after: int = 0, service_s: float = 0.0) -> Script:
    """Answer request n of a connection with `replies[n % len]`; close after so many, if any."""

    def script(connection: socket.socket) -> None:
        count = 0
        while read_request(connection):
            if service_s:
                time.sleep(service_s)
            connection.sendall(replies[count % len(replies)])
            count += 1
            if count == close_after:
                return

    return script


def keeping(seen: list[bytes], answer: bytes = reply()) -> Script:
    """Answer every request alike, and keep it."""

    def script(connection: socket.socket) -> None:
        while got := read_request(connection):
            seen.append(got)
            connection.sendall(answer)

    return script


def free_ports() -> int:
    """A port that is free, and so is the one after it."""
    while True:
        with socket.create_server((HOST, 0)) as first:
            port: int = first.getsockname()[1]
            with suppress(OSError, OverflowError), socket.create_server((HOST, port + 1)):
                return port


def wait_for(port: int) -> None:
    """Wait until a server in another process listens."""
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)

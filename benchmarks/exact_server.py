"""A REST server of known service time: `python -m benchmarks.exact_server PORT MS`.

It sleeps, measures how long that really took, and reports just that in a hand-written
X-Timing-Info. Nothing of tracebench is in it.
"""

import socket
import sys
import threading
import time

ANSWER = b"x" * 400
"""Larger than the small change of HTTP/2, so that the proxy can tell a reply."""


def serve(port: int, service_s: float) -> None:
    listener = socket.create_server(("127.0.0.1", port), backlog=256)
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=answer, args=(connection, service_s), daemon=True).start()


def answer(connection: socket.socket, service_s: float) -> None:
    while read_request(connection):
        began = time.perf_counter()
        time.sleep(service_s)
        took = time.perf_counter() - began
        head = f'HTTP/1.1 200 OK\r\nX-Timing-Info: {{"server_processing": {took!r}}}\r\n'
        connection.sendall(head.encode() + b"Content-Length: %d\r\n\r\n" % len(ANSWER) + ANSWER)


def read_request(connection: socket.socket) -> bool:
    data = connection.recv(1 << 20)
    while data and b"\r\n\r\n" not in data:
        data += connection.recv(1 << 20)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
    missing = length - len(body)
    while data and missing > 0:
        part = connection.recv(1 << 20)
        if not part:
            return False
        missing -= len(part)
    return bool(data)


if __name__ == "__main__":
    serve(int(sys.argv[1]), float(sys.argv[2]) / 1e3)

"""A REST server whose queue obeys textbooks: `python -m tests.pitfalls.fifo_server MS WORKERS`.

Requests are served in the order in which they come, each for exactly so long, by so many workers.
With two more arguments all replies are held from the first of these moments to the second, in
seconds after the first request. It prints its port. Its X-Timing-Info tells the service alone.
"""

import queue
import selectors
import socket
import sys
import threading
import time

from tests.servers import read_request

_SPIN_S = 0.000_5


def sleep_until(moment_s: float) -> None:
    """Sleep, and spin for the rest: exact to some µs."""
    time.sleep(max(0.0, moment_s - time.perf_counter() - _SPIN_S))
    while time.perf_counter() < moment_s:
        pass


class Service:
    """Answers one request after exactly so long."""

    def __init__(self, service_s: float, hold_s: tuple[float, float]) -> None:
        self._service_s, self._hold_s = service_s, hold_s
        self._first_s = 0.0

    def serve(self, connection: socket.socket) -> None:
        """Answer a request that has been read."""
        began_s = time.perf_counter()
        self._first_s = self._first_s or began_s
        sleep_until(began_s + self._service_s)
        took_s = time.perf_counter() - began_s
        if self._hold_s[0] <= time.perf_counter() - self._first_s < self._hold_s[1]:
            sleep_until(self._first_s + self._hold_s[1])
        head = f'X-Timing-Info: {{"server_processing": {took_s!r}}}'
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{head}\r\n\r\n".encode())


def serve_alone(listener: socket.socket, service: Service) -> None:
    """One worker, no other thread that could be in its way: what waits does so in its socket."""
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                selector.register(listener.accept()[0], selectors.EVENT_READ)
            elif isinstance(key.fileobj, socket.socket) and read_request(key.fileobj):
                service.serve(key.fileobj)
            else:
                selector.unregister(key.fileobj)


def serve_together(listener: socket.socket, service: Service, workers: int) -> None:
    """Several workers and one queue."""
    waiting: queue.SimpleQueue[socket.socket] = queue.SimpleQueue()

    def work() -> None:
        while True:
            service.serve(waiting.get())

    def take(connection: socket.socket) -> None:
        while read_request(connection):
            waiting.put(connection)

    for _ in range(workers):
        threading.Thread(target=work, daemon=True).start()
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=take, args=(connection,), daemon=True).start()


def main(service_ms: float, workers: int, *hold_s: float) -> None:
    """Serve until killed."""
    service = Service(service_ms / 1e3, (hold_s[0], hold_s[1]) if hold_s else (0.0, 0.0))
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    print(listener.getsockname()[1], flush=True)
    if workers == 1:
        serve_alone(listener, service)
    else:
        serve_together(listener, service, workers)


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]), *map(float, sys.argv[3:]))

"""The receiver's HTTP server beside aiohttp's with the same intake: CPU time, and bounds kept.

Run `python -m benchmarks.receiver_beside`, about a minute. aiohttp's is what a user would write: an
application with `client_max_size`.
"""

import asyncio
import gzip
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection

from aiohttp import web

from benchmarks.receiver import batch, cpu_s
from tracebench.tracing.receiver.client import Receiver
from tracebench.tracing.receiver.intake import MEDIA_TYPES, Intake
from tracebench.tracing.receiver.settings import Bounds
from tracebench.tracing.receiver.store import Store

PROTOBUF = {"Content-Type": "application/x-protobuf"}
HEAD = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
HALVES = {
    "half a head": b"POST",
    "half a body": HEAD + b"Content-Length: 100\r\n\r\nhalf",
}
ROUNDS, REQUESTS, CROWD = 2, 1_000, 2_000
SLACK_S = 2.0


async def serve_aiohttp(listening: socket.socket) -> None:
    """Serve until the process is ended."""
    bounds = Bounds()
    intake = Intake(Store(bounds), lambda _batch: None)

    async def traces(request: web.Request) -> web.Response:
        encoding = MEDIA_TYPES.get(request.content_type)
        if encoding is None:
            raise web.HTTPUnsupportedMediaType
        answer = intake.traces(encoding, await request.read())
        return web.Response(status=400 if answer.code else 200)

    async def drop(request: web.Request) -> web.Response:
        await request.read()
        return web.Response()

    app = web.Application(client_max_size=bounds.body_bytes)
    app.router.add_post("/v1/traces", traces)
    app.router.add_post("/v1/metrics", drop)
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=bounds.idle_s)
    await runner.setup()
    await web.SockSite(runner, listening, backlog=1024).start()
    await asyncio.Event().wait()


@contextmanager
def aiohttp_server() -> Iterator[tuple[int, int]]:
    """Its port, and its process."""
    listening = socket.create_server(("127.0.0.1", 0))
    command = [sys.executable, "-m", "benchmarks.receiver_beside", str(listening.fileno())]
    process = subprocess.Popen(command, pass_fds=[listening.fileno()], stderr=subprocess.DEVNULL)
    try:
        yield listening.getsockname()[1], process.pid
    finally:
        process.kill()
        process.wait()
        listening.close()


def cpu_us(port: int, pid: int, path: str, body: bytes) -> float:
    """The server's CPU time a request, over one connection."""
    connection = HTTPConnection("127.0.0.1", port)
    before_s = 0.0
    for number in range(20 + REQUESTS):
        if number == 20:
            before_s = cpu_s(pid)
        connection.request("POST", path, body, PROTOBUF)
        reply = connection.getresponse()
        reply.read()
        assert reply.status == 200, reply.status
    connection.close()
    return (cpu_s(pid) - before_s) / REQUESTS * 1e6


def resident_mb(pid: int) -> float:
    with open(f"/proc/{pid}/status") as status:
        return int(next(line for line in status if line.startswith("VmRSS")).split()[1]) / 1024


def connected(port: int, data: bytes) -> socket.socket:
    raw = socket.create_connection(("127.0.0.1", port), timeout=SLACK_S)
    with suppress(OSError):
        raw.sendall(data)
    return raw


def said(raw: socket.socket) -> str:
    try:
        return raw.recv(4096).split(b"\r\n")[0].decode() or "closed"
    except TimeoutError:
        return "still open"
    except OSError:
        return "closed"


def bounds_kept(port: int, pid: int) -> Iterator[str]:
    before_mb = resident_mb(pid)
    connection = HTTPConnection("127.0.0.1", port)
    bomb = gzip.compress(bytes(1 << 28), 1)
    connection.request("POST", "/v1/traces", bomb, {**PROTOBUF, "Content-Encoding": "gzip"})
    status = connection.getresponse().status
    yield f"gzip bomb of 256 MiB: {status}, {resident_mb(pid) - before_mb:+.0f} MB"
    with connected(port, HEAD + b"X: y\r\n" * 100_000) as raw:
        yield f"100,000 headers: {said(raw)}"
    with ExitStack() as stack:
        for _ in range(CROWD):
            stack.enter_context(connected(port, b"POST /v1/tr"))
        time.sleep(1)
        yield f"{CROWD:,} connections: {len(os.listdir(f'/proc/{pid}/fd')):,} files open"
    with ExitStack() as stack:
        halves = {name: stack.enter_context(connected(port, half)) for name, half in HALVES.items()}
        time.sleep(Bounds().request_s + SLACK_S)
        for name, raw in halves.items():
            yield f"{name}, {Bounds().request_s + SLACK_S:.0f} s later: {said(raw)}"


def main() -> None:
    with Receiver("127.0.0.1:0") as receiver, aiohttp_server() as beside:
        ours = int(receiver.http_address.rsplit(":", 1)[1]), receiver.pid
        servers = {"ours": ours, "aiohttp": beside}
        bodies = {
            "an empty body": ("/v1/metrics", b""),
            "512 spans, thrown away": ("/v1/metrics", batch()),
            "512 spans, taken": ("/v1/traces", batch()),
        }
        for what, (path, body) in bodies.items():
            for name, (port, pid) in list(servers.items()) * ROUNDS:
                print(f"{what}: {name} {cpu_us(port, pid, path, body):,.0f} µs of CPU a request")
        for name, (port, pid) in servers.items():
            for line in bounds_kept(port, pid):
                print(f"{name}: {line}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(serve_aiohttp(socket.socket(fileno=int(sys.argv[1]))))
    else:
        main()

"""The receiver's process: both servers on one event loop, and a connection to the engine's process.

It ends when that connection does, so that it never outlives its parent.
"""

import asyncio
import signal
import socket
from contextlib import suppress
from multiprocessing.connection import Connection as Pipe

from tracebench.model.errors import UsageError
from tracebench.system.open_files import allow_open_files
from tracebench.tracing.receiver import over_grpc, over_http
from tracebench.tracing.receiver.forward import Forwarder
from tracebench.tracing.receiver.intake import Intake
from tracebench.tracing.receiver.messages import Fetch, Fetched, Ready, Setup
from tracebench.tracing.receiver.settings import Bind, address
from tracebench.tracing.receiver.store import Store, digest

_OPEN_FILES = 4096
"""Enough that many connections leave some for the exporters."""
_BACKLOG = 1024


def main(descriptor: int) -> None:
    """Serve until the other end of the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the engine handles Ctrl-C, and tells us
    allow_open_files(_OPEN_FILES)
    pipe = Pipe(descriptor)
    with suppress(EOFError, OSError):
        asyncio.run(_serve(pipe, pipe.recv()))


async def _serve(pipe: Pipe, setup: Setup) -> None:
    store = Store(setup.bounds)
    forwarder = None
    if setup.forward is not None:
        forwarder = Forwarder(setup.forward, setup.bounds.queued_bytes, store.counts)
    intake = Intake(store, forwarder.put if forwarder else lambda _batch: None)
    site = over_http.Site(intake, setup.bounds)
    rpc = over_grpc.server(intake, setup.bounds)
    try:
        listening = _listen(setup.bind.host, setup.bind.http_port)
        grpc_port = await _open_rpc(rpc, setup.bind)
    except (OSError, UsageError) as error:
        pipe.send(Ready(failure=str(error)))
        return
    loop = asyncio.get_running_loop()
    await loop.create_server(
        lambda: over_http.HttpConnection(site), sock=listening, backlog=_BACKLOG
    )
    sweeping = asyncio.create_task(site.sweep())
    pipe.send(Ready(grpc_port, listening.getsockname()[1]))
    over = asyncio.Event()

    def answer() -> None:
        try:
            asked: Fetch = pipe.recv()
            if forwarder:
                forwarder.settle()
            pipe.send(fetched(store, asked))
        except (EOFError, OSError):
            loop.remove_reader(pipe.fileno())
            over.set()

    loop.add_reader(pipe.fileno(), answer)
    await over.wait()
    sweeping.cancel()
    await rpc.stop(None)


def fetched(store: Store, asked: Fetch) -> Fetched:
    """Some of the received spans; those that cannot be read are counted and lost."""
    taken = store.take()
    try:
        come = digest(taken, asked.room_bytes)
    except Exception as error:  # whatever it is: the engine waits for an answer
        reason = f"spans that could not be read ({type(error).__name__})"
        store.counts[reason] += sum(batch.spans for batch in taken)
        come = digest((), asked.room_bytes)
    return Fetched(come, store.counts, store.problem)


def _listen(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        found.sort(key=lambda one: one[0] is not socket.AF_INET)  # IPv4 first for "localhost"
        family, kind, protocol, _, where = found[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind(where)
        listening.listen(_BACKLOG)
    except OSError as error:
        raise OSError(f"{address(host, port)}: {error.strerror}") from None
    return listening


async def _open_rpc(server: over_grpc.Server, bind: Bind) -> int:
    """Start the gRPC server; returns its port."""
    if bind.grpc_port:
        _listen(bind.host, bind.grpc_port).close()  # gRPC does not say why it fails
    try:
        port = server.add_insecure_port(address(bind.host, bind.grpc_port))
    except RuntimeError as error:
        raise OSError(f"{address(bind.host, bind.grpc_port)}: {error}") from None
    await server.start()
    return port

"""Real servers on loopback, and clients for them."""

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from time import monotonic, sleep
from typing import Any

import grpc
import httpx
import uvicorn
from waitress.server import create_server
from waitress.wasyncore import close_all

HOST = "127.0.0.1"
_PATIENCE_S = 20.0


@contextmanager
def waitress_serving(app: Any, threads: int = 4) -> Iterator[str]:
    """Serve a WSGI app; gives its URL."""
    channels: dict[int, Any] = {}
    server = create_server(app, channels, host=HOST, port=0, threads=threads, ident=None)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield f"http://{HOST}:{server.effective_port}"
    finally:
        server.task_dispatcher.shutdown()
        server.trigger.pull_trigger(partial(close_all, channels))  # its own thread must do it
        thread.join(_PATIENCE_S)


@contextmanager
def uvicorn_serving(app: Any) -> Iterator[str]:
    """Serve an ASGI app; gives its URL."""
    listener = socket.create_server((HOST, 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield f"http://{HOST}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(_PATIENCE_S)
        listener.close()


@contextmanager
def gunicorn_serving(app: str, *options: str) -> Iterator[str]:
    """Serve `module:app` by gunicorn, in processes of its own; gives its URL."""
    with closing(socket.create_server((HOST, 0))) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "--bind", f"{HOST}:{port}", *options, app]
    with serving_process(command, port) as url:
        yield url


@contextmanager
def serving_process(command: list[str], port: int, **more: Any) -> Iterator[str]:
    """Run a server, wait until it accepts connections, and end it with the block."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE, **more)
    try:
        _wait_for(port, process)
        yield f"http://{HOST}:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=_PATIENCE_S)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline_s = monotonic() + _PATIENCE_S
    while monotonic() < deadline_s and process.poll() is None:
        try:
            socket.create_connection((HOST, port), 1).close()
            return
        except OSError:
            sleep(0.02)
    process.kill()
    raise AssertionError(process.communicate()[1].decode())


def post(url: str, headers: dict[str, str], body: bytes = b"picture") -> httpx.Response:
    """One request, on a connection of its own."""
    return httpx.post(url, content=body, headers=headers, trust_env=False, timeout=_PATIENCE_S)


@contextmanager
def grpc_serving(
    add: Callable[[Any], None], interceptors: list[Any], threads: int = 4
) -> Iterator[grpc.Channel]:
    """Serve what `add` adds to a server in threads; gives a channel to it."""
    with ThreadPoolExecutor(threads) as pool:
        server = grpc.server(pool, interceptors=interceptors)
        add(server)
        port = server.add_insecure_port(f"{HOST}:0")
        server.start()
        try:
            with grpc.insecure_channel(f"{HOST}:{port}") as channel:
                yield channel
        finally:
            server.stop(None).wait(_PATIENCE_S)


@contextmanager
def grpc_aio_serving(
    add: Callable[[Any], None], interceptors: list[Any], threads: int = 4
) -> Iterator[grpc.Channel]:
    """Serve what `add` adds to a server of `grpc.aio`; gives an ordinary channel to it."""
    ports: list[int] = []
    started, ending = threading.Event(), threading.Event()

    async def serve() -> None:
        pool = ThreadPoolExecutor(threads)
        server = grpc.aio.server(pool, interceptors=interceptors)
        add(server)
        ports.append(server.add_insecure_port(f"{HOST}:0"))
        await server.start()
        started.set()
        await asyncio.to_thread(ending.wait)
        await server.stop(None)
        pool.shutdown()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert started.wait(_PATIENCE_S)
    try:
        with grpc.insecure_channel(f"{HOST}:{ports[0]}") as channel:
            yield channel
    finally:
        ending.set()
        thread.join(_PATIENCE_S)

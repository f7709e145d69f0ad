"""Where and how the examples listen: waitress for REST, grpcio for gRPC."""

import logging
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from threading import Thread
from typing import Any

import grpc
from flask import Flask
from waitress import create_server
from waitress.channel import HTTPChannel
from waitress.task import WSGITask
from waitress.wasyncore import close_all

from server_middleware.grpc import interceptors
from tracebench.model.errors import TracebenchError

LARGEST_BYTES = 32 << 20
"""Of a request."""
_MOST_CONNECTIONS = 1000
_GRACE_S = 1.0


class _KeepingTask(WSGITask):  # type: ignore[misc] # waitress ships no types
    """Keeps the connection behind a chunked reply; waitress's own task ends it without need."""

    def set_close_on_finish(self) -> None:
        """End the connection behind the reply, unless its chunks tell where it ends."""
        if not self.chunked_response:
            super().set_close_on_finish()


class _KeepingChannel(HTTPChannel):  # type: ignore[misc] # as above
    task_class = _KeepingTask


@contextmanager
def rest_listening(app: Flask, host: str, port: int, threads: int) -> Iterator[str]:
    """Serve an app in threads of this process; gives the URL.

    Raises:
        TracebenchError: the port is taken.
    """
    logging.getLogger("waitress").setLevel(logging.ERROR)  # a queue is what a benchmark is for
    channels: dict[int, Any] = {}
    with _listener(host, port) as taken:
        server = create_server(
            app,
            map=channels,
            sockets=[taken],
            threads=threads,
            ident=None,
            connection_limit=_MOST_CONNECTIONS,
            asyncore_use_poll=True,  # select() ends at 1024 descriptors
        )
        server.channel_class = _KeepingChannel
        loop = Thread(target=server.run, daemon=True)
        loop.start()
        try:
            yield f"http://{_address(host, server.effective_port)}"
        finally:
            server.task_dispatcher.shutdown()
            server.trigger.pull_trigger(partial(close_all, channels))  # the loop's to close
            loop.join()


@contextmanager
def grpc_listening(
    add_services: Callable[[grpc.Server], object], host: str, port: int, threads: int
) -> Iterator[str]:
    """Serve in threads of this process; gives `HOST:PORT`.

    Raises:
        TracebenchError: the port is taken.
    """
    _listener(host, port).close()  # grpcio would write down why it cannot listen, not raise it
    with ThreadPoolExecutor(threads) as pool:
        server = grpc.server(
            pool,
            interceptors=interceptors(),
            options=[
                ("grpc.max_receive_message_length", LARGEST_BYTES),
                ("grpc.so_reuseport", 0),  # a port that is taken must be an error
            ],
        )
        add_services(server)
        taken = server.add_insecure_port(_address(host, port))
        server.start()
        try:
            yield _address(host, taken)
        finally:
            server.stop(_GRACE_S).wait()


def _listener(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes any free one.

    Raises:
        TracebenchError: the port is taken, or the host is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        why = str(error.strerror).partition(" (while")[0]  # the address is named already
        raise TracebenchError(
            f"cannot listen on {_address(host, port)} ({why}): choose another host or port"
        ) from None


def _address(host: str, port: int) -> str:
    """`HOST:PORT`, an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

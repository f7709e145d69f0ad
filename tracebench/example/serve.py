"""Run both example servers, in this process or in one of their own."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import Timer
from types import FrameType
from typing import Any, NamedTuple

from tracebench.model.errors import TracebenchError, UsageError

_STARTUP_S = 120.0
_SHUTDOWN_S = 10.0
_PICTURE_THREADS = 4
_LANGUAGE_THREADS = 64
"""More than there are places, so that requests wait where their waiting is measured."""
_LANGUAGE_PLACES = 8
_ENDS = (signal.SIGINT, signal.SIGTERM)


class Addresses(NamedTuple):
    """The addresses that the servers listen on."""

    rest_url: str
    """`http://HOST:PORT`, without a path."""
    grpc_server: str
    """`HOST:PORT`."""


@contextmanager
def running(
    *,
    host: str = "127.0.0.1",
    rest_port: int = 0,
    grpc_port: int = 0,
    threads: int | None = None,
    instances: int | None = None,
    llm: bool = False,
    prefix_cache: bool = False,
) -> Iterator[Addresses]:
    """Run both servers in threads of this process; port 0 takes any free one.

    Each server works on as many requests at once as it has threads (None: on 4, with `llm` on 64);
    both together infer on as many as there are instances of the model (None: on all, with `llm` on
    8).

    Args:
        host: where to listen.
        rest_port: for REST.
        grpc_port: for gRPC.
        threads: of each server.
        instances: inferences at once.
        llm: serve the language model, not the picture classifier.
        prefix_cache: with `llm`: use what the cache still has of a prompt.

    Raises:
        UsageError: a package of the extra `example` is missing.
        TracebenchError: a port is in use.
    """
    with ExitStack() as stack:
        try:
            app, add_services = stack.enter_context(
                _language(instances or _LANGUAGE_PLACES, prefix_cache)
                if llm
                else _pictures(instances)
            )
            from tracebench.example import listening  # its packages are in the extra `example`
        except ImportError as error:
            raise UsageError(
                f"the example server needs {error.name or error}: pip install 'tracebench[example]'"
            ) from None
        threads = threads or (_LANGUAGE_THREADS if llm else _PICTURE_THREADS)
        rest = listening.rest_listening(app, host, rest_port, threads)
        rest_url = stack.enter_context(rest)
        rpc = listening.grpc_listening(add_services, host, grpc_port, threads)
        yield Addresses(rest_url, stack.enter_context(rpc))


@contextmanager
def _pictures(instances: int | None) -> Iterator[tuple[Any, Any]]:
    """The app and the gRPC services of the picture classifier."""
    from tracebench.example.pictures import rest, rpc  # the extra `example` is needed only here
    from tracebench.example.pictures.classifier import Classifier  # as above

    classifier = Classifier(instances)
    yield rest.create_app(classifier), rpc.Service(classifier).add_to


@contextmanager
def _language(places: int, keeps_prefixes: bool) -> Iterator[tuple[Any, Any]]:
    """The app and the gRPC services of the language model."""
    from tracebench.example.language import rest, rpc  # the extra `example` is needed only here
    from tracebench.example.language.engine import Engine  # as above

    with Engine(places, keeps_prefixes=keeps_prefixes) as engine:
        yield rest.create_app(engine), rpc.Service(engine).add_to


def serve_forever(*, otlp_endpoint: str | None, **given: Any) -> None:
    """Run both servers like `running`, print their addresses, and wait for SIGINT or SIGTERM.

    Raises:
        TracebenchError: as for `running`, or the endpoint is malformed.
    """
    route = "/v1/completions" if given.get("llm") else "/predict"
    with _told_to_end() as told, ExitStack() as stack:
        if otlp_endpoint is not None:
            from tracebench.example.exporting import exporting  # the SDK is needed only to export

            stack.enter_context(exporting(otlp_endpoint))
        addresses = stack.enter_context(running(**given))
        print(f"REST  {addresses.rest_url}{route}\ngRPC  {addresses.grpc_server}", flush=True)
        told.recv(1)


@contextmanager
def spawned(*, llm: bool = False) -> Iterator[Addresses]:
    """Run both servers in a process of their own, so that they share no interpreter with us.

    They run as long as the pipe to their standard input is open, so they end with this process,
    however that ends.

    Args:
        llm: as for `running`.

    Raises:
        TracebenchError: they do not start.
    """
    command = [sys.executable, "-m", "tracebench.example", *(["--llm"] if llm else [])]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, text=True, start_new_session=True
    ) as process:  # its own session: Ctrl-C is for the measurement, which then ends the server
        try:
            yield _ready(process)
        finally:
            process.stdin.close()  # type: ignore[union-attr] # it is a pipe
            with suppress(subprocess.TimeoutExpired):
                process.wait(_SHUTDOWN_S)
            process.kill()  # no effect if it has already ended


def serve_parent(*, llm: bool) -> None:
    """Be the process that `spawned` starts: say where the servers are, as one line of JSON."""
    with running(llm=llm) as addresses:
        print(json.dumps(addresses._asdict()), flush=True)
        sys.stdin.read()


@contextmanager
def _told_to_end() -> Iterator[socket.socket]:
    """A socket that becomes readable once SIGINT or SIGTERM has arrived.

    The kernel may deliver a signal to any thread, including gRPC's. A main thread that waits for a
    lock would then sleep on, whereas the wake-up descriptor is written to by whichever thread it
    was.
    """
    reader, writer = socket.socketpair()
    with reader, writer:
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno())
        before = {number: signal.signal(number, _note) for number in _ENDS}
        try:
            yield reader
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(-1)


def _note(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the wake-up descriptor has been written to."""


def _ready(process: subprocess.Popen[str]) -> Addresses:
    watchdog = Timer(_STARTUP_S, process.kill)
    watchdog.start()
    try:
        line = process.stdout.readline()  # type: ignore[union-attr] # it is a pipe
    finally:
        watchdog.cancel()
    if not line:
        raise TracebenchError("the example server did not start: see its output above")
    return Addresses(**json.loads(line))

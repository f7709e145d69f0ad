"""Both servers, in this process or in one of their own."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NamedTuple

from tracebench.errors import TracebenchError, UsageError

_STARTUP_S = 120.0


class Addresses(NamedTuple):
    """Where the servers listen."""

    rest_url: str
    grpc_server: str


@contextmanager
def running(
    *,
    host: str = "127.0.0.1",
    rest_port: int = 0,
    grpc_port: int = 0,
    threads: int = 4,
    otlp_endpoint: str | None = None,
) -> Iterator[Addresses]:
    """Run both servers in threads of this process; port 0 takes any free one.

    Raises:
        TracebenchError: a package is missing, or a port is taken.
    """
    if otlp_endpoint is not None:
        _export_spans(otlp_endpoint)
    try:
        from waitress.server import create_server as create_rest  # in the extra `example`

        from tracebench.example import rest, rpc  # as above
        from tracebench.example.classifier import Classifier  # as above
    except ImportError as error:
        raise UsageError(
            f"the example server needs {error.name}: pip install 'tracebench[example]'"
        ) from None
    classifier = Classifier()
    grpc_server = rpc.create_server(classifier, threads)
    try:
        app = rest.create_app(classifier)
        rest_server = create_rest(app, host=host, port=rest_port, threads=threads, ident=None)
        grpc_port = grpc_server.add_insecure_port(f"{host}:{grpc_port}")
    except (OSError, RuntimeError) as error:
        raise TracebenchError(f"cannot listen on {host} ({error}): choose other ports") from None
    grpc_server.start()
    thread = threading.Thread(target=rest_server.run, daemon=True)
    thread.start()
    try:
        yield Addresses(f"http://{host}:{rest_server.effective_port}", f"{host}:{grpc_port}")
    finally:
        grpc_server.stop(grace=1).wait()
        rest_server.trigger.pull_trigger(rest_server.close)  # its own thread must close it
        thread.join(1)


def serve_forever(
    *, host: str, rest_port: int, grpc_port: int, threads: int, otlp_endpoint: str | None
) -> None:
    """Run both servers until SIGINT or SIGTERM, and say where they are, as one line of JSON."""
    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    with running(
        host=host,
        rest_port=rest_port,
        grpc_port=grpc_port,
        threads=threads,
        otlp_endpoint=otlp_endpoint,
    ) as addresses:
        print(json.dumps(addresses._asdict()), flush=True)
        ended.wait()


@contextmanager
def spawned() -> Iterator[Addresses]:
    """Run both servers in a process of their own, so that they share no interpreter with us.

    Raises:
        TracebenchError: they do not start.
    """
    command = [sys.executable, "-m", "tracebench", "serve", "--rest-port", "0", "--grpc-port", "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True
    )  # a session of its own: Ctrl-C is for the measurement, which ends the server afterwards
    watchdog = threading.Timer(_STARTUP_S, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        watchdog.cancel()
        if not line:
            raise TracebenchError("the example server did not start: see what it said above")
        yield Addresses(**json.loads(line))
    finally:
        watchdog.cancel()
        process.terminate()
        process.communicate(timeout=10)


def _export_spans(endpoint: str) -> None:
    """Record the spans of requests that ask for it, and send them in batches."""
    from opentelemetry import trace  # only a server that exports needs the SDK
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # as above
    from opentelemetry.sdk.trace import TracerProvider  # as above
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # as above
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased  # as above

    from tracebench.tracing.otlp import exporter_for  # as above

    provider = TracerProvider(
        sampler=ParentBased(ALWAYS_OFF),
        resource=Resource.create({SERVICE_NAME: "tracebench-example"}),
    )
    provider.add_span_processor(BatchSpanProcessor(exporter_for(endpoint)))
    trace.set_tracer_provider(provider)

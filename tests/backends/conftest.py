"""Real backends for tests, where they are: docs/traces.md tells their names and versions."""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest
import requests

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "collector_config"
LIMIT_S = 30
_CACHE = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
_FOLDER = Path(os.environ.get("TRACEBENCH_BACKENDS") or Path(_CACHE, "tracebench", "backends"))


def built(name: str) -> str:
    """The path of a program, whatever its version; without it the test is skipped."""
    found = sorted(_FOLDER.glob(f"{name}-*"))
    if not found:
        folder = str(_FOLDER).replace(str(Path.home()), "~")  # docs/live.txt names no home
        pytest.skip(f"no {name}-* in {folder}: docs/traces.md tells what is looked for")
    return str(found[-1])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def running(command: list[str], ready_url: str, log: Path, **variables: str) -> Iterator[None]:
    """Run a program while its URL answers; what it prints goes into a file."""
    with ExitStack() as stack:
        file: IO[bytes] = stack.enter_context(log.open("wb"))
        process = stack.enter_context(
            subprocess.Popen(command, stdout=file, stderr=file, env={**os.environ, **variables})
        )
        stack.callback(process.kill)
        until = time.monotonic() + LIMIT_S
        while not _answers(ready_url):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        yield


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=LIMIT_S).ok
    except requests.ConnectionError:
        return False


def eventually(what: Callable[[], Any]) -> Any:
    """Wait until it is true: batches are sent, metrics are flushed in their own time."""
    until = time.monotonic() + LIMIT_S
    while not (found := what()):
        assert time.monotonic() < until
        time.sleep(0.1)
    return found


@dataclass(frozen=True, slots=True)
class Jaeger:
    """Where a Jaeger listens."""

    ui: str
    otlp: str
    otlp_grpc: str


@dataclass(frozen=True, slots=True)
class Collector:
    """Where a collector listens, and where it writes."""

    otlp: str
    metrics: str
    traces: Path


@pytest.fixture(scope="session")
def jaeger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jaeger]:
    ui, query, otlp, otlp_grpc = (str(free_port()) for _ in range(4))
    here = Jaeger(f"http://127.0.0.1:{ui}", f"http://127.0.0.1:{otlp}", f"127.0.0.1:{otlp_grpc}")
    with running(
        [built("jaeger"), f"--config={Path(__file__).with_name('jaeger.yaml')}"],
        f"{here.ui}/api/v3/services",
        tmp_path_factory.mktemp("jaeger") / "log",
        QUERY_PORT=ui,
        QUERY_GRPC_PORT=query,
        OTLP_PORT=otlp,
        OTLP_GRPC_PORT=otlp_grpc,
    ):
        yield here


@pytest.fixture(scope="session")
def collector(jaeger: Jaeger, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """The collector of docker-compose.yml: its configuration is used unchanged."""
    otlp, otlp_grpc, health, prometheus = (str(free_port()) for _ in range(4))
    folder = tmp_path_factory.mktemp("collector")
    here = Collector(
        f"http://127.0.0.1:{otlp}",
        f"http://127.0.0.1:{prometheus}/metrics",
        folder / "traces.jsonl",
    )
    with running(
        [built("collector"), *(f"--config={CONFIG / name}" for name in CONFIGS)],
        f"http://127.0.0.1:{health}",
        folder / "log",
        LISTEN="127.0.0.1",
        OTLP_PORT=otlp,
        OTLP_GRPC_PORT=otlp_grpc,
        HEALTH_PORT=health,
        PROMETHEUS_PORT=prometheus,
        METRICS_INTERVAL="500ms",
        JAEGER=jaeger.otlp_grpc,
        TRACES_FILE=str(here.traces),
    ):
        yield here


CONFIGS = ("collector.yaml", "file.yaml")

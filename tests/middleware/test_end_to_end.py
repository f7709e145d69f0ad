"""`tracebench run` against the same model behind every kind of server."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

import server_middleware
from tests.middleware import model_app, timed_parts
from tests.middleware.serving import (
    grpc_aio_serving,
    grpc_serving,
    gunicorn_serving,
    uvicorn_serving,
    waitress_serving,
)
from tracebench.protos.inference_pb2_grpc import add_InferenceServiceServicer_to_server

pytestmark = pytest.mark.alone

REQUESTS = 1_000
MODULE = "tests.middleware.model_app"
Readings = Callable[[], dict[str, float]]
Target = tuple[list[str], Readings]


@contextmanager
def rest(serving: AbstractContextManager[str]) -> Iterator[Target]:
    with serving as url:
        yield (
            ["--rest-url", f"{url}/predict"],
            lambda: httpx.get(f"{url}/readings", trust_env=False).json(),
        )


@contextmanager
def rpc(serving: Any, interceptors: list[Any]) -> Iterator[Target]:
    def add(server: Any) -> None:
        add_InferenceServiceServicer_to_server(model_app.Servicer(), server)  # type: ignore[no-untyped-call]
        ports.append(server.add_insecure_port("127.0.0.1:0"))

    ports: list[int] = []
    with serving(add, interceptors, threads=40):
        yield ["--grpc-server", f"127.0.0.1:{ports[0]}"], timed_parts.readings


SERVERS: dict[str, Callable[[], AbstractContextManager[Target]]] = {
    "flask, waitress": lambda: rest(waitress_serving(model_app.flask_app, threads=40)),
    "wsgi, waitress": lambda: rest(waitress_serving(model_app.wsgi_app, threads=40)),
    "fastapi, uvicorn": lambda: rest(uvicorn_serving(model_app.fastapi_app)),
    "flask, gunicorn sync": lambda: rest(gunicorn_serving(f"{MODULE}:flask_app", "-w", "1")),
    "flask, gunicorn threads": lambda: rest(
        gunicorn_serving(f"{MODULE}:flask_app", "-w", "1", "--threads", "40")
    ),
    "grpc": lambda: rpc(grpc_serving, server_middleware.grpc.interceptors()),
    "grpc.aio": lambda: rpc(grpc_aio_serving, server_middleware.grpc.aio_interceptors()),
}


def measure(folder: Path, target: list[str], concurrency: int, requests: int) -> dict[str, Any]:
    """Run tracebench in a process of its own; gives the only target's result."""
    payload, result = folder / "input.json", folder / "result.json"
    payload.write_text('{"top": 5}')
    load = ["--image" if "--grpc-server" in target else "--json", str(payload)]
    load += ["--requests", str(requests), "--concurrency", str(concurrency), "--warmup", "0"]
    command = [sys.executable, "-m", "tracebench", "run", *target, *load]
    done = subprocess.run(
        [*command, "--output-json", str(result)], capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 3), done.stderr  # 3: the machine is too busy for valid numbers
    (found,) = json.loads(result.read_text())["targets"].values()
    return dict(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.live] if "gunicorn" in name else [])
        for name in SERVERS
    ],
)
@pytest.mark.parametrize("concurrency", [1, 32])
def test_every_request_is_decomposed_and_the_parts_are_right(
    tmp_path: Path, name: str, concurrency: int
) -> None:
    requests = 200 if concurrency == 1 else REQUESTS
    with SERVERS[name]() as (target, readings):
        readings()
        found = measure(tmp_path, target, concurrency, requests)
        independent_ms = readings()
    assert found["requests"]["succeeded"] == requests
    assert found["decomposed"] >= 0.999 * requests
    for part, expected_ms in independent_ms.items():
        mean_ms = found["components"][part]["mean_ms"]
        assert mean_ms == pytest.approx(expected_ms, rel=0.02, abs=0.05), part


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--preload",)])
def test_several_workers_are_one_server(tmp_path: Path, options: tuple[str, ...]) -> None:
    with gunicorn_serving(f"{MODULE}:flask_app", "-w", "3", *options) as url:
        found = measure(tmp_path, ["--rest-url", f"{url}/predict"], 32, REQUESTS)
    assert found["requests"]["succeeded"] == REQUESTS
    assert found["decomposed"] >= 0.999 * REQUESTS

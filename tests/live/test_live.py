"""Real servers from PyPI, with nothing of ours in them, decomposed by the spans that they send.

`python -m tests.live.environments` installs them; without it these tests are skipped.
"""

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.live.environments import program
from tests.servers import free_ports
from tracebench.archive import analyze, inventory
from tracebench.benchmark import run
from tracebench.model.plan import Calls, Payload, Payloads, Plan, SpanRoutes, Targets, Workload
from tracebench.model.results.result import Result, TargetResult

pytestmark = pytest.mark.live

HERE = Path(__file__).parent
REQUESTS, CONCURRENCY = 800, 8
JOINED = 0.995


@contextmanager
def started(
    command: Sequence[str], environment: Mapping[str, str], ready_url: str, folder: Path
) -> Iterator[None]:
    """A server in a process of its own, from when it answers."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**inherited, **environment},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _await(ready_url, process, folder / "log")
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # its workers outlive it otherwise
        process.wait()


def _await(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s and process.poll() is None:
        with suppress(urllib.error.URLError, OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.2)
    pytest.fail(f"the server did not become ready: {log.read_text()[-2000:]}")


def assert_joined(result: Result, target: str) -> TargetResult:
    found = result.targets[target]
    assert found.requests.succeeded == REQUESTS
    assert found.server_timing_source["otlp"] >= JOINED * REQUESTS, found.undecomposed
    assert sum(found.share.values()) == pytest.approx(1, abs=1e-12)
    assert found.components["server_processing"].p50_ms >= 3
    return found


def test_litserve(tmp_path: Path) -> None:
    python = program("litserve", "python")
    port, receiver, archive = free_ports(), free_ports(), str(tmp_path / "traces.jsonl")
    environment = {
        "OTEL_SERVICE_NAME": "litserve",
        "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver + 1}",
        "OTEL_BSP_MAX_QUEUE_SIZE": "20000",
    }
    command = [python, str(HERE / "litserve_app.py"), str(port)]
    with started(command, environment, f"http://127.0.0.1:{port}/health", tmp_path):
        plan = Plan(
            Payloads(Payload(b'{"inputs": [1, 2, 3]}', "application/json", "in.json", "json")),
            Targets(rest_url=f"http://127.0.0.1:{port}/predict"),
            load=Workload(requests=REQUESTS, concurrency=CONCURRENCY, warmup=100),
            traces=SpanRoutes(receive_otlp=f"127.0.0.1:{receiver}", output_traces=archive),
        )
        result = run(plan)
    found = assert_joined(result, "rest")
    assert {"preprocessing", "inference", "postprocessing"} <= found.components.keys()
    assert found.components["inference"].p50_ms >= 3
    assert analyze([archive]).targets["rest"].components == found.components
    [service] = inventory([archive]).services
    assert (service.name, service.profiles) == ("litserve", ("fastapi",))


def test_mlserver_over_both_protocols(tmp_path: Path) -> None:
    mlserver = program("mlserver", "mlserver")
    http, metrics, receiver = free_ports(), free_ports(), free_ports()
    settings = {
        "name": "sums",
        "implementation": "mlserver_model.Sums",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 8]}],
    }
    (tmp_path / "model-settings.json").write_text(json.dumps(settings))
    (tmp_path / "mlserver_model.py").write_bytes((HERE / "mlserver_model.py").read_bytes())
    environment = {
        "MLSERVER_HOST": "127.0.0.1",
        "MLSERVER_HTTP_PORT": str(http),
        "MLSERVER_GRPC_PORT": str(http + 1),
        "MLSERVER_METRICS_PORT": str(metrics),
        "MLSERVER_PARALLEL_WORKERS": "0",
        "MLSERVER_TRACING_SERVER": f"127.0.0.1:{receiver}",
        "OTEL_BSP_MAX_QUEUE_SIZE": "20000",
    }
    ready = f"http://127.0.0.1:{http}/v2/models/sums/ready"
    with started([mlserver, "start", str(tmp_path)], environment, ready, tmp_path):
        plan = Plan(
            Payloads(()),
            Targets(rest_url=f"http://127.0.0.1:{http}", grpc_server=f"127.0.0.1:{http + 1}"),
            calls=Calls(oip="sums"),
            load=Workload(requests=REQUESTS, concurrency=CONCURRENCY, warmup=100),
            traces=SpanRoutes(receive_otlp=f"127.0.0.1:{receiver}"),
        )
        result = run(plan)
    for target in ("rest", "grpc"):
        assert_joined(result, target)

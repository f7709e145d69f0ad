"""A server that exports over OTLP is decomposed with nothing of ours in it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers import free_ports
from tracebench.archive import analyze
from tracebench.benchmark import run
from tracebench.model.plan import Payload, Payloads, Plan, SpanRoutes, Targets, Workload
from tracebench.model.results.result import TargetResult

ROOT = Path(__file__).parents[2]
SERVER = Path(__file__).parent / "otlp_server.py"
PAYLOAD = Payload(b'{"inputs": [1]}', "application/json", "in.json", "json")


@contextmanager
def exporting(protocol: str, endpoint: str, *by: str, **settings: str) -> Iterator[str]:
    """The server in a process of its own; gives its URL."""
    address = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    environment = {"PYTHONPATH": str(ROOT), **os.environ, **address, **settings}
    command = [sys.executable, str(SERVER), protocol, *by]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/predict"
        finally:
            process.kill()


def measured(url: str, receive_otlp: str, archive: Path) -> TargetResult:
    plan = Plan(
        Payloads(PAYLOAD),
        Targets(rest_url=url),
        load=Workload(requests=400, concurrency=8),
        traces=SpanRoutes(receive_otlp=receive_otlp, output_traces=str(archive)),
    )
    return run(plan).targets["rest"]


@pytest.mark.slow
def test_a_server_that_ignores_the_context_is_told_from_a_silent_one(tmp_path: Path) -> None:
    port = free_ports()
    address = f"http://127.0.0.1:{port + 1}"
    settings = {"OTEL_PROPAGATORS": "baggage", "OTEL_BSP_SCHEDULE_DELAY": "300"}
    with exporting("http", address, OTEL_SERVICE_NAME="deaf", **settings) as url:
        found = measured(url, f"127.0.0.1:{port}", tmp_path / "t.jsonl")
    [finding] = [one for one in found.verdict.findings if one.code == "low_join_share"]
    assert finding.severity == "invalid"
    assert "that the server started by itself" in finding.message
    # The trial before the run is one more, where its span comes late enough to be received.
    assert re.search(r"'POST /predict' of deaf \(40[01]\)", finding.message)
    assert "OTEL_PROPAGATORS" in finding.hint


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["grpc", pytest.param("http", marks=pytest.mark.live)])
def test_a_batching_exporter_is_waited_for(protocol: str, tmp_path: Path) -> None:
    grpc_port = free_ports()
    port = grpc_port + (protocol == "http")
    delay_ms = "5000" if protocol == "grpc" else "500"
    address = f"http://127.0.0.1:{port}"
    with exporting(protocol, address, OTEL_BSP_SCHEDULE_DELAY=delay_ms) as url:
        found = measured(url, f"127.0.0.1:{grpc_port}", tmp_path / "t.jsonl")
    assert found.server_timing_source["otlp"] >= 0.995 * 400
    assert found.components["inference"].min_ms >= 2
    assert found.components["server_processing"].p50_ms > found.components["inference"].p50_ms
    assert sum(found.share.values()) == pytest.approx(1, abs=1e-12)
    assert found.clock_offset_ms is not None
    low_ms, high_ms = found.clock_offset_ms
    assert low_ms <= 0 <= high_ms
    again = analyze([str(tmp_path / "t.jsonl")]).targets["rest"]
    assert again.components == found.components
    assert again.clock_offset_ms == pytest.approx(found.clock_offset_ms, abs=1e-6)
    assert "low_join_share" not in {one.code for one in found.verdict.findings}

"""Streams behind our middleware, decomposed without OTLP: where the first token's time goes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.stream_server import PREFILL_S, TOKEN_S, TOKENS
from tests.plans import plan_of
from tests.servers import wait_for
from tracebench.archive import analyze
from tracebench.benchmark import run
from tracebench.model.plan import Payload
from tracebench.model.results.result import TargetResult
from tracebench.model.results.statistics import Statistics
from tracebench.model.results.stream_result import StreamResult

PAYLOAD = Payload(b"{}", "application/json", "x.json", "json")
REQUESTS, DECODING_MS = 24, 1e3 * TOKEN_S * TOKENS
KINDS = ["flask", "fastapi", "grpc"]


@contextmanager
def serving(kind: str) -> Iterator[dict[str, Any]]:
    """Run a server; gives the options of a plan that name it."""
    command = [sys.executable, "-m", "tests.end_to_end.stream_server", kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            wait_for(port)
            address = f"127.0.0.1:{port}"
            if kind == "grpc":
                proto = str(Path(__file__).parent / "streams.proto")
                yield {
                    "grpc_server": address,
                    "grpc_method": "tests.Streams/Predict",
                    "proto": proto,
                }
            else:
                yield {"rest_url": f"http://{address}"}
        finally:
            process.kill()


@pytest.fixture(scope="module", params=KINDS)
def measured(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TargetResult, TargetResult]:
    """A run, and the same from its archive."""
    traces = str(tmp_path_factory.mktemp(request.param) / "traces.jsonl")
    with serving(request.param) as options:
        plan = plan_of(PAYLOAD, requests=REQUESTS, concurrency=2, output_traces=traces, **options)
        (target,) = run(plan).targets.values()
    (again,) = analyze([traces]).targets.values()
    return target, again


@pytest.fixture
def target(measured: tuple[TargetResult, TargetResult]) -> TargetResult:
    return measured[0]


@pytest.fixture
def found(target: TargetResult) -> StreamResult:
    assert target.requests.succeeded == REQUESTS
    assert target.stream is not None
    return target.stream


def mean(statistics: Statistics | None) -> float:
    assert statistics is not None
    return statistics.mean_ms


def test_the_first_token_is_no_role(found: StreamResult) -> None:
    assert found.count == REQUESTS
    assert mean(found.ttft_service) >= 1e3 * PREFILL_S
    assert mean(found.tpot) >= 1e3 * TOKEN_S


def test_the_server_and_the_network_are_told_apart(found: StreamResult) -> None:
    assert found.first_token_splits == {"apart": REQUESTS, "scaled": 0, "left_out": 0}
    parts = found.parts["ttft"]
    assert "server_and_network" not in parts or mean(parts["server_and_network"]) == 0
    assert mean(parts["prefill"]) >= 1e3 * PREFILL_S
    assert parts["prefill"].p50_ms > 0.6 * found.ttft_service.p50_ms  # type: ignore[union-attr]
    assert parts["network_first"].p50_ms < 0.3 * parts["prefill"].p50_ms


def test_both_sums_hold(found: StreamResult) -> None:
    for name, whole in (("ttft", found.ttft), ("generation", found.generation)):
        total = sum(map(mean, found.parts[name].values()))
        assert total == pytest.approx(mean(whole), abs=1e-6)


def test_decoding_is_a_part_of_inference(target: TargetResult) -> None:
    assert set(target.parts_of["inference"]) == {"prefill", "decode"}
    components = target.components
    assert mean(components["decode"]) >= 0.8 * DECODING_MS
    inference = mean(components["prefill"]) + mean(components["decode"])
    assert inference == pytest.approx(mean(components["inference"]), abs=1e-6)
    assert "body" not in components
    codes = {one.code for one in target.verdict.findings}
    assert not {"streamed_reply", "no_server_timing"} & codes


def test_an_archive_tells_the_same(measured: tuple[TargetResult, TargetResult]) -> None:
    target, again = measured
    assert again.stream == target.stream
    assert again.components == target.components


def test_what_others_get_is_as_it_was() -> None:
    """Whoever does not ask gets no comments behind the events."""
    with serving("fastapi") as options:
        command = ["curl", "-s", "-X", "POST", f"{options['rest_url']}/predict"]
        plain = subprocess.run(command, capture_output=True, check=True).stdout
        asked = subprocess.run(
            [*command, "-H", "X-Benchmark: 1"], capture_output=True, check=True
        ).stdout
    assert b"X-Timing-Info" not in plain
    assert asked.startswith(plain)
    told = asked.removeprefix(plain).decode()
    stamps = json.loads(told.partition("X-Stream-Timing: ")[2].partition("\n")[0])
    assert len(stamps["chunks"]) == 8

"""The example language model, decomposed: by its mirror, its spans, and the demo."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from server_middleware.vocabulary import DECODE, PREFILL, PREPROCESSING, QUEUE
from tests.example.programs import program, told
from tests.servers import free_ports
from tracebench.benchmark import run
from tracebench.example.language import questions
from tracebench.model.plan import (
    Calls,
    HangUp,
    Payload,
    Payloads,
    Plan,
    SpanRoutes,
    Targets,
    Workload,
)
from tracebench.model.results.result import Result

pytestmark = pytest.mark.slow

REQUESTS, TOKENS = 12, 8
HUNG_UP: list[Result] = []
"""The same run with clients that hang up."""

PARTS = (PREPROCESSING, QUEUE, PREFILL, DECODE)
SHARE_APART, NS_APART = 0.02, 50_000


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Result, Path]]:
    """A run with the server's spans, and the archive of all spans."""
    archive = tmp_path_factory.mktemp("language") / "traces.jsonl"
    otlp = free_ports()
    serve = ("serve", "--llm", "--rest-port=0", "--grpc-port=0")
    endpoint = f"--otlp-endpoint=http://127.0.0.1:{otlp + 1}"
    with program("-m", "tracebench", *serve, endpoint) as server:
        rest_url, grpc_server = (line.split()[1] for line in told(server))
        asked = [json.loads(one) | {"max_tokens": TOKENS} for one in questions.questions()]
        bodies = (json.dumps(one).encode() for one in asked)
        payloads = (Payload(body, "application/json", "q", "json") for body in bodies)
        plan = Plan(
            Payloads(tuple(payloads)),
            Targets(rest_url, grpc_server),
            Calls(grpc_method=questions.METHOD),
            load=Workload(requests=REQUESTS, concurrency=3, warmup=3),
            traces=SpanRoutes(receive_otlp=f"127.0.0.1:{otlp}", output_traces=str(archive)),
        )
        measured = run(plan)
        hangs_up = replace(plan.load, warmup=0, hang_up_after=HangUp(tokens=3, share=0.5))
        HUNG_UP.append(run(replace(plan, load=hangs_up, traces=SpanRoutes())))
        yield measured, archive
        server.send_signal(signal.SIGTERM)


def spans(archive: Path) -> list[dict[str, Any]]:
    return [
        span
        for line in archive.read_text().splitlines()
        for resource in json.loads(line)["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


@pytest.mark.parametrize("target", ["rest", "grpc"])
def test_every_stream_is_decomposed(measured: tuple[Result, Path], target: str) -> None:
    found = measured[0].targets[target]
    assert found.requests.succeeded == found.decomposed == REQUESTS
    assert found.server_timing_source["otlp"] == REQUESTS
    stream = found.stream
    assert stream is not None
    assert stream.tokens.output == REQUESTS * TOKENS
    assert stream.tokens.source == "usage"
    assert stream.tokens.input == REQUESTS * questions.PROMPT_TOKENS
    assert stream.first_token_splits["apart"] == REQUESTS
    assert set(found.parts_of["inference"]) == {PREFILL, DECODE}
    ttft, generation = stream.parts["ttft"], stream.parts["generation"]
    assert ttft[PREFILL].min_ms > 1
    assert ttft[QUEUE].max_ms > 1, "a prompt waits while another is read"
    assert generation[DECODE].min_ms > 1


@pytest.mark.parametrize("target", ["rest", "grpc"])
def test_clients_hang_up(measured: tuple[Result, Path], target: str) -> None:
    assert measured
    found = HUNG_UP[0].targets[target]
    counts, stream = found.requests, found.stream
    assert stream is not None
    assert stream.hung_up is not None
    assert 0 < counts.abandoned < REQUESTS
    assert counts.succeeded + counts.abandoned == REQUESTS
    assert stream.tokens.output == counts.succeeded * TOKENS
    assert stream.hung_up.tokens >= 3 * counts.abandoned
    assert stream.ttft is not None
    assert stream.ttft.count == REQUESTS


def test_the_mirror_and_the_spans_agree(measured: tuple[Result, Path]) -> None:
    mirrored: dict[str, dict[str, int]] = {}
    traced: dict[str, dict[str, int]] = {}
    for span in spans(measured[1]):
        trace_id, name = span["traceId"], span["name"]
        took_ns = int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"])
        if name in PARTS:
            of_trace = traced.setdefault(trace_id, {})
            of_trace[name] = of_trace.get(name, 0) + took_ns
        for one in span.get("attributes", ()):
            if one["key"].startswith("tracebench.mirror_ns."):
                part = one["key"].removeprefix("tracebench.mirror_ns.")
                mirrored.setdefault(trace_id, {})[part] = int(one["value"]["intValue"])
    assert len(mirrored) == 2 * REQUESTS
    for trace_id, parts in mirrored.items():
        for name in PARTS:
            apart_ns = abs(parts[name] - traced[trace_id][name])
            assert apart_ns <= max(SHARE_APART * parts[name], NS_APART), (name, parts)


@pytest.mark.live
def test_the_demo(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tracebench",
        "demo",
        "--llm",
        "--verbose",
        "--requests=6",
        "--concurrency=1",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 3), done.stderr  # so few may not be valid
    for name in ("prefill", "decode", "queue", "network_first", "goodput "):
        assert done.stdout.count(name) >= 2, name
    folder = tmp_path / "tracebench-demo"
    result = json.loads((folder / "result.json").read_text())
    for target in result["targets"].values():
        assert target["requests"]["succeeded"] == target["decomposed"] == 6
        assert target["stream"]["tokens"]["output"] == 6 * questions.ANSWER_TOKENS
    assert (folder / "plot.png").stat().st_size > 10_000
    assert (folder / "traces.jsonl").stat().st_size > 10_000

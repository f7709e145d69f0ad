"""Steps by names of the author's own, from component() to every output, by mirror and by spans."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.servers import answering, free_ports, reply, wait_for
from tests.servers import serving as server_of
from tracebench.cli import cli

STANDARD_MS = {"preprocessing": 1.0, "inference": 1.0}
OWN_MS = {"tokenize": 1.0, "vocabulary": 2.0}
CODED = ["serialization", "deserialization"]


@contextmanager
def serving(kind: str, receiver: int) -> Iterator[list[str]]:
    """The server in a process of its own; gives the options that name it."""
    environment = {
        **os.environ,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver + 1}",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    command = [sys.executable, "-m", "tests.end_to_end.own_parts_server", kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        try:
            port = int(process.stdout.readline())
            wait_for(port)
            if kind == "grpc":
                yield ["--grpc-server", f"127.0.0.1:{port}"]
            else:
                yield ["--rest-url", f"http://127.0.0.1:{port}/predict"]
        finally:
            process.kill()


def tracebench(*arguments: str) -> str:
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code in (0, 3), done.output  # 3: the machine is too busy for valid numbers
    return done.stdout


def target_of(file: Path) -> dict[str, Any]:
    [target] = json.loads(file.read_text())["targets"].values()
    return dict(target)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        "flask",
        pytest.param("fastapi", marks=pytest.mark.live),
        pytest.param("grpc", marks=pytest.mark.live),
    ],
)
def test_every_output_by_mirror_and_by_spans(kind: str, tmp_path: Path) -> None:
    own = [*OWN_MS, *(CODED if kind == "grpc" else [])]
    payload, archive = tmp_path / "in.json", tmp_path / "t.jsonl"
    payload.write_text('{"x": 1}')
    receiver = free_ports()
    with serving(kind, receiver) as named:
        load = [*named, "--image" if kind == "grpc" else "--json", str(payload)]
        counted = ["--requests", "60", "--concurrency", "2"]
        mapped = ["--map", "postprocessing=tokenize"]
        runs = {
            "otlp": ["--receive-otlp", f"127.0.0.1:{receiver}", "--output-traces", str(archive)],
            "mirror": [],
            "mapped": mapped,
        }
        tables = {}
        for name, options in runs.items():
            files = ["--output-json", str(tmp_path / name), "--output-plot", f"{tmp_path}/x.svg"]
            tables[name] = tracebench("run", *load, *counted, *options, *files)
        dry = tracebench("run", *load, "--dry-run")
    found = {name: target_of(tmp_path / name) for name in runs}
    for source in ("mirror", "otlp"):
        assert found[source]["server_timing_source"][source] >= 57
        check(found[source], own)
        assert [one for one in tables[source].split() if one in own][:2] == [
            "vocabulary",
            "tokenize",
        ]
        assert "reports only its total" not in tables[source]
    codes = {one["code"] for one in found["otlp"]["verdict"]["findings"]}
    assert not codes & {"sources_disagree", "names_left_out", "too_many_names"}
    assert "tokenize" not in found["mapped"]["components"]
    assert found["mapped"]["components"]["postprocessing"]["min_ms"] >= OWN_MS["tokenize"]
    assert all(name in dry for name in own)
    again(archive, found["otlp"], tmp_path)


@pytest.mark.parametrize(
    ("total_ms", "shown", "left_out"), [(60, {"edge", "origin"}, ""), (20, {"edge"}, "origin (20)")]
)
def test_a_cdn_s_timings_spoil_nothing(
    total_ms: int, shown: set[str], left_out: str, tmp_path: Path
) -> None:
    header = "cdn-cache; desc=HIT, edge; dur=1, origin; dur=50"
    answer = reply(
        b"ok", "200 OK", f"Server-Timing: {header}", f"Server-Timing: total;dur={total_ms}"
    )
    files = [str(tmp_path / name) for name in ("in.json", "result")]
    (tmp_path / "in.json").write_text("{}")
    with server_of(answering(answer, service_s=0.07)) as port:
        load = ["--rest-url", f"http://127.0.0.1:{port}/", "--requests", "20", "--concurrency", "5"]
        tracebench("run", *load, "--json", files[0], "--output-json", files[1])
    found = target_of(tmp_path / "result")
    assert found["decomposed"] == 20
    assert set(found["parts_of"]["server_other"]) == shown
    assert found["components"]["server_other"]["mean_ms"] == total_ms
    said = [one for one in found["verdict"]["findings"] if one["code"] == "names_left_out"]
    assert bool(said) is bool(left_out)
    assert all(left_out in one["message"] for one in said)


@pytest.mark.slow
def test_a_sweep(tmp_path: Path) -> None:
    payload, result = tmp_path / "in.json", tmp_path / "sweep"
    payload.write_text('{"x": 1}')
    with serving("flask", free_ports()) as named:
        load = [*named, "--json", str(payload), "--concurrency", "1,2", "--duration", "0.5"]
        swept = tracebench("sweep", *load, "--output-json", str(result))
    assert "tokenize" not in swept  # its columns are those that add up
    steps = json.loads(result.read_text())["steps"]
    assert len(steps) == 2
    for step in steps:
        check(step["result"]["targets"]["rest"], list(OWN_MS))


def check(target: dict[str, Any], own: list[str]) -> None:
    assert sorted(target["parts_of"]["server_other"]) == sorted(own)
    for name, least_ms in {**STANDARD_MS, **OWN_MS}.items():
        assert target["components"][name]["min_ms"] >= least_ms
    assert target["components"].keys() & {"preprocessing", "inference", "postprocessing"} == {
        *STANDARD_MS
    }
    other = target["components"]["server_other"]
    assert other["mean_ms"] >= sum(target["components"][name]["mean_ms"] for name in own)
    assert sum(target["share"].values()) == pytest.approx(1)
    assert not target["share"].keys() & set(own)


def again(archive: Path, target: dict[str, Any], folder: Path) -> None:
    """An archive gives the same, and by other rules what those say."""
    tracebench("analyze", str(archive), "--output-json", str(folder / "again"))
    assert target_of(folder / "again")["components"] == target["components"]
    assert target_of(folder / "again")["parts_of"] == target["parts_of"]
    rule = ["--map", "queue=vocabulary"]
    tracebench("analyze", str(archive), *rule, "--output-json", str(folder / "by rule"))
    ruled = target_of(folder / "by rule")["components"]
    assert "vocabulary" not in ruled
    assert ruled["queue"]["p50_ms"] >= OWN_MS["vocabulary"]
    shown = tracebench("spans", str(archive))
    assert "vocabulary" in shown
    assert "tokenize" in shown

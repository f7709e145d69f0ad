"""The guard's own look at closure finds a request that does not add up."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.guard.inside import closure
from benchmarks.guard.server import served
from tests.guard.test_server import plan
from tests.plans import changed
from tracebench.archive import analyze
from tracebench.benchmark import run


@pytest.mark.parametrize(
    ("components", "off"),
    [
        ({"network": 3, "client": 4, "end_to_end": 7, "server_processing": 3}, False),
        ({"network": 3, "client": 4, "end_to_end": 8}, False),
        ({"network": 3, "client": 4, "end_to_end": 9}, True),
        ({}, True),
    ],
)
def test_leaves_add_up_to_a_nanosecond(components: dict[str, int], off: bool) -> None:
    assert closure.is_off(components, ["network", "client"]) is off


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_every_request_of_a_run_adds_up(
    protocol: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive, result = tmp_path / "traces.jsonl", tmp_path / "result.json"
    with served(protocol) as port:
        run(changed(plan(protocol, port, 30), output_traces=str(archive)))
    said = analyze([str(archive)]).targets[protocol]
    components: dict[str, Any] = {
        name: {"mean_ms": one.mean_ms, "count": one.count} for name, one in said.components.items()
    }
    result.write_text(json.dumps({"targets": {protocol: {"components": components}}}))
    closure.main(archive, result)
    assert json.loads(capsys.readouterr().out) == {"requests": 30, "off": 0}
    components["network"]["mean_ms"] += 1e-5  # 10 ns a request
    result.write_text(json.dumps({"targets": {protocol: {"components": components}}}))
    closure.main(archive, result)
    assert json.loads(capsys.readouterr().out) == {"requests": 30, "off": 1}

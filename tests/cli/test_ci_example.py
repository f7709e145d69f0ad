"""The workflow for GitHub Actions: it is valid YAML, and its commands run."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.test_bad_input import IMAGE, ROOT, tracebench
from tests.servers import HOST, answering, reply, serving

EXAMPLE = ROOT / "docs/examples/github-actions.yml"


def steps() -> list[dict[str, Any]]:
    workflow = yaml.safe_load(EXAMPLE.read_text())
    assert workflow[True] == "pull_request", "YAML 1.1 reads `on` as true, as GitHub does not"
    found: list[dict[str, Any]] = workflow["jobs"]["latency"]["steps"]
    return found


def commands() -> list[str]:
    return [str(step["run"]) for step in steps() if "run" in step]


def test_every_step_does_one_thing() -> None:
    assert all(("run" in step) != ("uses" in step) for step in steps())
    assert sum("tracebench run" in command for command in commands()) == 1


@pytest.mark.parametrize("command", commands())
def test_the_shell_can_read_each_command(command: str) -> None:
    done = subprocess.run(["bash", "-n", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_the_comparison_runs(tmp_path: Path) -> None:
    if "--target" not in tracebench("run", "--help").stdout:
        pytest.skip("this version has no --target")
    (command,) = (one for one in commands() if "tracebench run" in one)
    command = command.replace("tracebench run", '"$PYTHON" -m tracebench run')
    command = command.replace("--duration 40", "--duration 3")
    with (
        serving(answering(reply(), service_s=0.005)) as old,
        serving(answering(reply(), service_s=0.010)) as new,
    ):
        done = subprocess.run(
            ["bash", "-e", "-c", command],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=120,
            env=os.environ
            | {
                "PYTHON": sys.executable,
                "PYTHONPATH": str(ROOT),
                "PAYLOAD": str(ROOT / IMAGE),
                "OLD_URL": f"http://{HOST}:{old}",
                "NEW_URL": f"http://{HOST}:{new}",
            },
        )
    # These servers report no components, so the gate on `inference` says so at the end.
    assert done.returncode == 2, done.stderr
    assert "gate 'inference.p95 5%': new against old" in done.stderr
    assert "failed" in done.stdout
    assert {one.name for one in tmp_path.iterdir()} == {"latency.json", "latency.xml"}

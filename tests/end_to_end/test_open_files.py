"""Where few files may be open: the limit is raised, or it is told what it is too low for."""

import json
import subprocess
import sys
from pathlib import Path

from tests.servers import HOST, answering, reply, serving

IMAGE = "tracebench/example/coffee.png"


def limited(limit: str, *options: str) -> subprocess.CompletedProcess[str]:
    with serving(answering(reply(), service_s=0.005)) as port:
        command = [sys.executable, "-m", "tracebench", *options]
        command += ["--image", IMAGE, "--rest-url", f"http://{HOST}:{port}"]
        script = f'ulimit {limit} && exec "$@"'
        return subprocess.run(
            ["sh", "-c", script, "sh", *command], capture_output=True, text=True, timeout=60
        )


def test_a_soft_limit_is_raised() -> None:
    done = limited("-Sn 128", "run", "--concurrency", "64", "--requests", "256")
    assert done.returncode in (0, 3), done.stderr
    assert " 256 ok · " in done.stdout


def test_a_hard_limit_is_told_before_anything_is_sent() -> None:
    done = limited("-n 256", "run", "--concurrency", "400")
    assert done.returncode == 2, done.stderr
    assert "400 connections may need 1328 open files, and this system allows 256" in done.stderr


def test_a_sweep_keeps_the_steps_before_it(tmp_path: Path) -> None:
    saved = tmp_path / "sweep.json"
    options = ("--concurrency", "1,2,64", "--requests", "20", "--output-json", str(saved))
    done = limited("-n 256", "sweep", *options)
    assert "ulimit -n" in done.stdout, done.stderr
    assert [step["load"] for step in json.loads(saved.read_text())["steps"]] == [1, 2]

"""`--receive-otlp` on the command line."""

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.servers import HOST, answering, free_ports, reply, serving

ROOT = Path(__file__).parents[2]
MODEL = reply(b"{}", "200 OK", "Content-Type: application/json")


@pytest.fixture
def payload(tmp_path: Path) -> Path:
    file = tmp_path / "in.json"
    file.write_text("{}")
    return file


def run(port: int, payload: Path, *options: str) -> subprocess.CompletedProcess[str]:
    base = [sys.executable, "-m", "tracebench", "run", "--json", str(payload), "--requests", "20"]
    return subprocess.run(
        [*base, "--rest-url", f"http://{HOST}:{port}", *options],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )


def test_a_port_in_use_is_one_line(payload: Path) -> None:
    # A pair of which only the first is taken: the model's own port may be no part of it.
    with serving(answering(MODEL)) as port, socket.create_server((HOST, free_ports())) as taken:
        address = f"{HOST}:{taken.getsockname()[1]}"
        done = run(port, payload, "--receive-otlp", address)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"tracebench: cannot receive OTLP at {address}: Address already in use")


@pytest.mark.slow
def test_a_server_that_exports_nothing(payload: Path, tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    at = f"0.0.0.0:{free_ports()}"
    with serving(answering(MODEL)) as port:
        done = run(port, payload, "--receive-otlp", at, "--output-json", str(file))
    assert f"warning: {at} takes spans from anyone who can reach it" in done.stderr
    assert done.returncode == 3, done.stderr
    found = target(file)
    assert found["requests"]["succeeded"] == 20
    [finding] = [one for one in found["verdict"]["findings"] if one["code"] == "low_join_share"]
    assert "(20 of 20): nothing more came within 6 s" in finding["message"]


@pytest.mark.slow
def test_an_interrupt_ends_the_waiting_and_loses_nothing(payload: Path, tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    at = f"{HOST}:{free_ports()}"
    base = [sys.executable, "-m", "tracebench", "run", "--json", str(payload), "--requests", "20"]
    with serving(answering(MODEL)) as port:
        options = ["--rest-url", f"http://{HOST}:{port}", "--receive-otlp", at]
        process = subprocess.Popen(
            [*base, *options, "--output-json", str(file)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert process.stderr is not None
        assert process.stderr.readline().startswith("rest answers")
        time.sleep(2)  # 20 requests take milliseconds; then spans are waited for, for 6 s
        process.send_signal(signal.SIGINT)
        began_s = time.monotonic()
        _, complained = process.communicate(timeout=30)
    assert time.monotonic() - began_s < 4
    assert "Traceback" not in complained
    found = target(file)
    assert found["requests"]["succeeded"] == 20
    assert any("the wait was interrupted" in f["message"] for f in found["verdict"]["findings"])


def target(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text())["targets"]["rest"]
    return found

"""Model servers that take the middleware: as they are, or told what to write instead."""

import os
from pathlib import Path

import httpx
import pytest

from tests.live.environments import program
from tests.live.test_live import started
from tests.middleware.serving import serving_process
from tests.middleware.span_samples import mirrored
from tests.servers import free_ports
from tools.house import ROOT

pytestmark = pytest.mark.live

HERE = Path(__file__).parent
X = {"x": [1, 2]}


def asked(url: str) -> httpx.Response:
    return httpx.post(url, json=X, headers={"X-Benchmark": "1"}, trust_env=False, timeout=30)


def test_bentoml(tmp_path: Path) -> None:
    bentoml, port = program("bentoml", "bentoml"), free_ports()
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "BENTOML_DO_NOT_TRACK": "true",
        "BENTOML_HOME": str(tmp_path),
    }
    service = "tests.live.bentoml_service:Sums"
    command = [bentoml, "serve", service, "--host", "127.0.0.1", "--port", str(port)]
    with serving_process(command, port, env=environment) as url:  # it ends its workers if asked to
        answer = asked(f"{url}/predict")
        quiet = httpx.post(f"{url}/predict", json=X, trust_env=False)
    assert answer.text == quiet.text == "3.0"
    assert not mirrored(quiet.headers)
    times = mirrored(answer.headers)
    assert 0.003 <= times["inference"] < times["server_processing"]


def test_litserve(tmp_path: Path) -> None:
    python, port = program("litserve", "python"), free_ports()
    command = [python, str(HERE / "litserve_timed.py"), str(port)]
    url = f"http://127.0.0.1:{port}"
    with started(command, {"PYTHONPATH": str(ROOT)}, f"{url}/health", tmp_path):
        answer = asked(f"{url}/predict")
    assert answer.json() == {"sum": 3}
    assert "server_processing" in mirrored(answer.headers)
    assert "but holds one: instrument its `.app`" in (tmp_path / "log").read_text()

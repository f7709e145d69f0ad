"""docs/first-steps.md, from the server to the page: its code and its commands, as they stand."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import wait_for
from tools.house import ROOT

pytestmark = pytest.mark.live
PAGE = (ROOT / "docs" / "first-steps.md").read_text()
APP, TRACED = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"\$ (tracebench run .*?)(?=\n\$|\n```)", PAGE, re.DOTALL)


def traced() -> str:
    """The app with the lines of step 3 in place of its endpoint."""
    imports, endpoint = TRACED.split("\n\n\n", 1)
    begins, rest = APP.split("app = FastAPI()\n")
    of_instrument = imports.partition("\n\n")
    head = f"{begins}{of_instrument[0]}\n\napp = FastAPI()\n{of_instrument[2]}\n{rest}"
    return str(head.split('@app.post("/predict")')[0] + endpoint)


def measured(command: str, folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-c", f"{command} --label test"],
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )
    assert done.returncode in (0, 3), done.stderr
    return done.stdout


def test_it_goes_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text('{"text": "where does the time of a request go"}')
    (tmp_path / "plain.py").write_text(APP)
    (tmp_path / "app.py").write_text(traced())
    (tmp_path / "faster.py").write_text(traced().replace("ROUNDS = 1000", "ROUNDS = 750"))
    path = {"PYTHONPATH": f"{ROOT}:{tmp_path}"}
    servers = [
        subprocess.Popen(
            [sys.executable, "-m", "uvicorn", f"{app}:app", "--port", port, "--log-level", "error"],
            env=os.environ | path,
        )
        for app, port in (("plain", "8002"), ("app", "8000"), ("faster", "8001"))
    ]
    try:
        for port in (8000, 8001, 8002):
            wait_for(port)
        shown, first, second, both = COMMANDS
        plain = first.replace(":8000", ":8002")
        assert "server_and_network" in measured(plain, tmp_path)
        assert "inference" in measured(shown, tmp_path)
        assert "inference" in measured(second, tmp_path)
        told = measured(both, tmp_path)
        assert re.search(r"inference.* faster", told)
        assert (tmp_path / "page.html").stat().st_size > 50_000
    finally:
        for server in servers:
            server.terminate()
            server.wait()

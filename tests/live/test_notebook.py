"""The notebook in docs/ runs as it is written there, and a kernel can be interrupted."""

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from tests.servers import HOST, answering, reply, serving
from tools.house import ROOT

pytestmark = pytest.mark.live
NOTEBOOK = ROOT / "docs" / "notebook.ipynb"


@pytest.fixture(autouse=True)
def kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ipykernel", "nbclient"):
        pytest.importorskip(name, reason=f"no {name}: pip install '.[live]'")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def test_the_notebook_runs() -> None:
    """A kernel executes all cells; every path and bound of `make notebook` holds."""
    from tools import notebook  # needs the packages of the extra

    with tempfile.TemporaryDirectory() as folder:
        made = json.loads(notebook.executed(Path(folder)))
    saved = json.loads(NOTEBOOK.read_text())
    assert [one["source"] for one in made["cells"]] == [one["source"] for one in saved["cells"]]
    shown = [out for cell in made["cells"] for out in cell.get("outputs", ())]
    kinds = {kind for out in shown for kind in out.get("data", {})}
    assert {"text/html", "image/png"} <= kinds
    assert not [out for out in shown if out["output_type"] == "error"]
    assert not [out for out in shown if out.get("name") == "stderr"]


def test_interrupting_a_kernel_returns_what_was_measured() -> None:
    from jupyter_client.manager import KernelManager  # comes with nbclient

    manager = KernelManager()
    manager.start_kernel(env=os.environ.copy())
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    try:
        with serving(answering(reply(), service_s=0.001)) as port:
            url = f"http://{HOST}:{port}"
            client.execute(
                "import tracebench\n"
                f"found = tracebench.run(rest_url='{url}', json={{}}, duration=60, progress=True)\n"
                "print([one.code for one in found.verdict.findings], repr(found))"
            )
            _heard(client, "done")
            manager.interrupt_kernel()
            said = _heard(client, "RunResult")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert "interrupted" in said


def _heard(client: Any, word: str) -> str:
    """What the kernel prints, up to the first text with this word."""
    until_s = time.monotonic() + 60
    while time.monotonic() < until_s:
        message = client.get_iopub_msg(timeout=60)
        text = str(message["content"].get("text", message["content"].get("evalue", "")))
        if word in text or message["msg_type"] == "error":
            return text
    raise AssertionError(f"no {word!r}")

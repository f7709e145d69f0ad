"""The notebook in docs/ runs as it is written there."""

import json

import pytest

from tools.house import ROOT

pytestmark = pytest.mark.live
NOTEBOOK = ROOT / "docs" / "notebook.ipynb"


def test_the_notebook_runs() -> None:
    """A kernel executes all cells; every path and bound of `make notebook` holds."""
    pytest.importorskip("ipykernel", reason="no ipykernel: pip install '.[live]'")
    pytest.importorskip("nbclient", reason="no nbclient: pip install '.[live]'")
    import tempfile  # only where the packages are
    from pathlib import Path

    from tools import notebook

    with tempfile.TemporaryDirectory() as folder:
        made = json.loads(notebook.executed(Path(folder)))
    saved = json.loads(NOTEBOOK.read_text())
    assert [one["source"] for one in made["cells"]] == [one["source"] for one in saved["cells"]]
    shown = [out for cell in made["cells"] for out in cell.get("outputs", ())]
    kinds = {kind for out in shown for kind in out.get("data", {})}
    assert {"text/html", "image/png"} <= kinds
    assert not [out for out in shown if out["output_type"] == "error"]
    assert not [out for out in shown if out.get("name") == "stderr"]

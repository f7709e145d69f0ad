"""Execute the notebook of docs/ against the example server: `make notebook`.

Its cells are in this file. What depends on this machine (its paths, the kernel's name, times of
execution) is left out of the notebook.
"""

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import nbformat
from nbclient import NotebookClient

from tools.house import ROOT
from tracebench.example import picture
from tracebench.example.serve import spawned

NOTEBOOK: Final = ROOT / "docs" / "notebook.ipynb"
MOST_BYTES: Final = 300_000
_PATIENCE_S: Final = 300
_SHOWN_URL: Final = "http://127.0.0.1:5000"
_PATH: Final = re.compile(r"/(?:home|root|tmp|work|usr|var|opt|Users)/[^\s'\"<>]*")


class _Text(str):
    """A cell of text."""


class _Code(str):
    """A cell of code."""


CELLS: Final = (
    _Text(
        """# Where does the time of a request go?

This notebook measures the example server (`tracebench serve`), looks at single requests, and finds
out what happens when more requests come at once. `make notebook` runs it anew;
[python.md](python.md) describes every function."""
    ),
    _Code(
        """import numpy as np

import tracebench

URL = "http://127.0.0.1:5000"  # of `tracebench serve`
result = tracebench.run(rest_url=URL, image="coffee.png", requests=200, warmup=10)
result"""
    ),
    _Text(
        """The verdict says what the numbers can be used for. The same answer as text is
`print(result)`, and every number is a field; `~` marks percentiles with too few requests."""
    ),
    _Code(
        """inference = result.targets["rest"].components["inference"]
print(repr(result))
print(f"inference: p50 {inference.p50_ms:.2f} ms, 95 % interval {inference.ci95.get('p50_ms')}")"""
    ),
    _Code("result.plot()"),
    _Text(
        """## Single requests

`samples` has every request, column by column, in ns: here the five slowest, and where their time
went."""
    ),
    _Code(
        """samples = result.samples
slowest = np.argsort(samples["end_to_end_ns"])[-5:][::-1]
for at in slowest:
    parts = ("end_to_end", "network", "preprocessing", "inference")
    times = (f"{part} {samples[f'{part}_ns'][at] / 1e6:.2f} ms" for part in parts)
    print(samples["trace_id"][at][:8], *times, sep="  ")"""
    ),
    _Text(
        """## More at once

Two runs, and whether the second is slower, component by component. The intervals of single runs
are widened, since how much runs differ from each other is unknown."""
    ),
    _Code(
        """busier = tracebench.run(
    rest_url=URL, image="coffee.png", requests=200, warmup=10, concurrency=4
)
tracebench.compare(result, busier)"""
    ),
    _Text(
        """## To send, and to read again

`to_html` writes a page that opens without a network; `to_json` a file that `tracebench.read` and
the command `tracebench report` read."""
    ),
    _Code(
        """busier.to_html("page.html")
busier.to_json("result.json")
print(repr(tracebench.read("result.json")))"""
    ),
    _Text(
        """## What goes wrong says so

An error is one line: what failed, the value, and what to change."""
    ),
    _Code(
        """try:
    tracebench.run(rest_url="http://127.0.0.1:1", image="coffee.png")
except tracebench.TracebenchError as error:
    print(error)"""
    ),
)


def notebook(url: str) -> Any:
    """The notebook with empty outputs."""
    made = nbformat.v4.new_notebook()
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    for number, text in enumerate(CELLS):
        code = isinstance(text, _Code)
        cell = nbformat.v4.new_code_cell if code else nbformat.v4.new_markdown_cell
        made.cells.append(cell(text.replace(_SHOWN_URL, url), id=f"cell-{number}"))
    return made


def executed(folder: Path) -> str:
    """The notebook with the outputs of now."""
    (folder / "coffee.png").write_bytes(picture())
    with spawned(llm=False) as server:
        made = notebook(server.rest_url)
        where = {"metadata": {"path": str(folder)}}
        os.environ["PYTHONPATH"] = str(ROOT)  # the kernel imports this tree
        NotebookClient(made, timeout=_PATIENCE_S, kernel_name="python3", resources=where).execute()
        return _anywhere(made, server.rest_url)


def _anywhere(made: Any, url: str) -> str:
    """Without what holds on this machine only."""
    for cell in made.cells:
        cell.metadata.clear()
    made.metadata.pop("language_info", None)
    text = str(nbformat.writes(made)).replace(url, _SHOWN_URL)
    if found := _PATH.search(text):
        sys.exit(f"the notebook has a path of this machine in it: {found[0]}")
    return text


def main() -> None:
    """Write the notebook."""
    with tempfile.TemporaryDirectory() as folder:
        text = executed(Path(folder))
    if len(text) > MOST_BYTES:
        sys.exit(f"the notebook has {len(text):,} bytes: more than {MOST_BYTES:,}")
    NOTEBOOK.write_text(text + "\n")
    print(f"wrote {NOTEBOOK.relative_to(ROOT)}: {len(text):,} bytes")


if __name__ == "__main__":
    main()

"""docs/gallery.md and its pictures, from the results saved in docs/gallery: `make gallery`.

`python -m tools.gallery measure` makes these results again, on this machine, in about 6 minutes.
"""

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from matplotlib.figure import Figure

from tools.house import ROOT
from tracebench.cli import cli
from tracebench.report.figures import result_figure
from tracebench.report.files.result_file import loads_any
from tracebench.report.several import Several, names_of

FOLDER = ROOT / "docs" / "gallery"
PAGE = ROOT / "docs" / "gallery.md"
FRONT = ROOT / "docs" / "plot.png"
"""The picture of the README: that of `paired`."""
MOST_BYTES = 250_000
"""Largest result file; parts that no picture needs are left out of larger ones."""
_DPI = 100


@dataclass(frozen=True)
class Shown:
    """One section of the gallery: a picture, and how its results were measured."""

    name: str
    title: str
    about: str
    files: tuple[str, ...]
    measured: tuple[str, ...] = ()
    """Commands that made the files, with the example server on its default ports."""
    serve: str = ""
    """Options of the example server; empty: those of the section before."""
    report: str = ""
    """More options of `tracebench report`."""


REST = "--image coffee.png --rest-url http://127.0.0.1:5000"
GRPC = "--grpc-server 127.0.0.1:50051"
LLM = "--llm tracebench-syllables --rest-url http://127.0.0.1:5000"

SECTIONS = (
    Shown(
        "run",
        "One target",
        "Where the time goes, over time, by percentile, and what the slowest requests add. Small "
        "components have a row of their own with a logarithmic axis, so that 0.1 ms is as legible "
        "as 20 ms.",
        ("run.json",),
        (f"tracebench run {REST} --requests 2500 --warmup 20 --output-json run.json",),
    ),
    Shown(
        "paired",
        "REST and gRPC, measured in alternating blocks",
        "Targets differ by colour, marker and line; the numbers beside the rows are means.",
        ("paired.json",),
        (f"tracebench run {REST} {GRPC} --requests 400 --warmup 10 --output-json paired.json",),
    ),
    Shown(
        "classic",
        "The same as a classic plot",
        "Component times, mean and p95, percentages, cumulative distribution.",
        ("paired.json",),
        report="--plot-style classic",
    ),
    Shown(
        "several",
        "Three runs in one picture",
        "`tracebench report` draws several saved results together, each by its label. The server "
        "ran one inference at a time here: with four requests at once, most of the time is the "
        "queue.",
        ("c1.json", "c2.json", "c4.json"),
        tuple(
            f"tracebench run {REST} --concurrency {n} --requests {200 * n} --warmup 10 "
            f"--label 'concurrency {n}' --output-json c{n}.json"
            for n in (1, 2, 4)
        ),
        serve="--instances 1",
    ),
    Shown(
        "sweep",
        "A sweep",
        "Throughput with its knee, latency, and each component by load.",
        ("sweep.json",),
        (
            f"tracebench sweep {REST} --concurrency 1,2,3,4,6,8 --duration 6 "
            "--output-json sweep.json",
        ),
    ),
    Shown(
        "search",
        "A search for the highest rate that meets an objective",
        "Loads that were tried, and the last that is shown to meet it.",
        ("search.json",),
        (
            f"tracebench search {REST} --slo 'p50 < 400ms' --from 2 --budget 120 "
            "--output-json search.json",
        ),
    ),
    Shown(
        "compare",
        "Two saved runs, compared",
        "Differences with 95 % intervals, and by percentile.",
        ("compare.json",),
        ("tracebench compare c1.json c2.json --output-json compare.json",),
    ),
    Shown(
        "streams",
        "A language model, token by token",
        "Two more panels: the parts of the first token, and the gaps between tokens by position.",
        ("streams.json",),
        (f"tracebench run {LLM} --concurrency 4 --requests 80 --output-json streams.json",),
        serve="--llm",
    ),
)

_HEAD = """# Gallery

`make gallery` draws every picture here from results in docs/gallery. The commands beside a picture
measured them, against the example servers (`tracebench serve`), on a machine of two cores that
server and tool shared. `tracebench report FILE… --output-plot P.png` draws the picture,
`--output-html P.html` a page with the same and more ([page.md](page.md)), `--output-markdown F.md`
the answer for a pull request. `coffee.png` is in tracebench/example.
"""


def page() -> str:
    """The text of docs/gallery.md."""
    return _HEAD + "".join(map(_section, SECTIONS))


def _section(one: Shown) -> str:
    files = " ".join(one.files)
    drawn = f"tracebench report {files} --output-plot {one.name}.png {one.report}".strip()
    serve = f"tracebench serve {_serve(one)}".strip()
    told = [f"$ {serve}    # in another terminal"] if one.measured else []
    told += [f"$ {command}" for command in one.measured]
    return (
        f"\n## {one.title}\n\n{one.about}\n\n![{one.title}](gallery/{one.name}.webp)\n\n"
        f"```console\n{chr(10).join([*told, f'$ {drawn}'])}\n```\n\n"
        f"<details><summary>On the terminal</summary>\n\n"
        f"```text\n{printed(one)}\n```\n\n</details>\n"
    )


def _serve(one: Shown) -> str:
    before = SECTIONS[: SECTIONS.index(one) + 1]
    return next((each.serve for each in reversed(before) if each.serve), "")


def printed(one: Shown) -> str:
    """What `tracebench report` prints; its exit status tells of the run, not of the report."""
    files = [str(FOLDER / file) for file in one.files]
    words, no_summary = ["report", *files], {"GITHUB_STEP_SUMMARY": ""}
    done = CliRunner().invoke(cli, words, standalone_mode=False, env=no_summary)
    if done.exception is not None:
        raise done.exception
    return done.stdout.rstrip()


def read(one: Shown) -> list[Any]:
    """The results of a section."""
    return [loads_any((FOLDER / file).read_text(), file) for file in one.files]


def made(one: Shown) -> Figure:
    """The picture of a section."""
    results = read(one)
    found: Any = results[0]
    if len(results) > 1:
        names = names_of(one.files, [each.label for each in results])
        found = Several(dict(zip(names, results, strict=True)))
    return result_figure.make(found, classic="classic" in one.report)


def draw() -> None:
    """Draw all pictures, and write the page."""
    for one in SECTIONS:
        drawn = made(one)
        lossless = {"lossless": True, "method": 6}
        drawn.savefig(FOLDER / f"{one.name}.webp", dpi=_DPI, pil_kwargs=lossless)
        if one.name == "paired":
            drawn.savefig(FRONT, dpi=_DPI, pil_kwargs={"optimize": True})
        print(f"{one.name}.webp  {(FOLDER / f'{one.name}.webp').stat().st_size:,} bytes")
    PAGE.write_text(page())


# Measuring again.


def measure(names: list[str]) -> None:
    """Run the commands of these sections, or of all."""
    for one in SECTIONS:
        if one.measured and (not names or one.name in names):
            with _served(_serve(one)):
                for command in one.measured:
                    print(command, flush=True)
                    words = shlex.split(command.replace("coffee.png", str(_PICTURE)))
                    subprocess.run([sys.executable, "-m", *words], cwd=FOLDER, check=False)
    for file in sorted(FOLDER.glob("*.json")):
        _make_small(file)


_PICTURE = ROOT / "tracebench" / "example" / "coffee.png"


@contextmanager
def _served(options: str) -> Iterator[None]:
    words = [sys.executable, "-m", "tracebench", "serve", *shlex.split(options)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as server:
        try:
            time.sleep(8)  # it loads its model
            yield
        finally:
            server.terminate()


def _make_small(file: Path) -> None:
    """Leave out what only `compare` needs where a file is too large."""
    if file.stat().st_size > MOST_BYTES:
        data = json.loads(file.read_text())
        for run in [data, *(step["result"] for step in data.get("steps", ()))]:
            for target in run.get("targets", {}).values():
                target |= {"histograms": {}, "blocks": None}
        file.write_text(json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        measure(sys.argv[2:])
    else:
        draw()

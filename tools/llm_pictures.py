"""The pictures of docs/llm.md: `python -m tools.llm_pictures` draws them from saved results.

`--measure` measures those results anew first, on the example language model (about five minutes;
core 0 for the server, core 1 for tracebench). Each picture is what a command of docs/llm.md draws
with `--output-plot`, in fewer colours; only those of prompt lengths and of turns put several runs
side by side.
"""

import gzip
import json
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Final

from matplotlib.figure import Figure
from PIL import Image

from tools.house import ROOT
from tracebench.model.results.result import Result
from tracebench.model.results.stream_result import StreamResult
from tracebench.report.figures.figure_style import heading
from tracebench.report.figures.panels.stream_panels import first_token
from tracebench.report.figures.panels.turn_panels import first_token_by_turn, tokens_by_turn
from tracebench.report.files import result_file

FOLDER: Final = ROOT / "docs" / "llm"
MODEL: Final = ("--llm", "tracebench-syllables")
USERS: Final = (
    *("--input-tokens", "128", "--output-tokens", "32", "--concurrency", "1,2,4,8,12,16"),
    *("--slo", "ttft < 500ms, tpot < 25ms", "--duration", "8"),
)
PARTS: Final = ("--input-tokens", "256", "--output-tokens", "48", "--concurrency", "12")
VERSIONS: Final = ("--input-tokens", "128", "--output-tokens", "32", "--concurrency", "6")
LENGTHS: Final = (64, 256, 1024)
TURNS: Final = ("--turns", "6", "--input-tokens", "96", "--output-tokens", "32")
HANG_UP: Final = ("--input-tokens", "128", "--output-tokens", "64", "--rate", "6")
_COLORS: Final = 96
_DPI: Final = 72


@contextmanager
def serving(*options: str) -> Iterator[str]:
    """The example language model on core 0; gives its URL."""
    command = ["taskset", "-c", "0", sys.executable, "-m", "tracebench", "serve", "--llm"]
    command += ["--rest-port=0", "--grpc-port=0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().split()[1].removesuffix("/v1/completions")
        finally:
            server.terminate()


def tracebench(*words: str) -> None:
    """Run a command on core 1."""
    command = ["taskset", "-c", "1", sys.executable, "-m", "tracebench", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in (0, 1, 3):
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
    print(done.stdout, flush=True)


def measured(kind: str, name: str, url: str, options: Sequence[str]) -> None:
    """Measure, and keep the result."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "result.json"
        tracebench(kind, *MODEL, "--rest-url", url, *options, "--output-json", str(file))
        kept = json.dumps(json.loads(file.read_text()), separators=(",", ":")).encode()
    (FOLDER / f"{name}.json.gz").write_bytes(gzip.compress(kept, mtime=0))


def measure() -> None:
    """Measure everything that is drawn."""
    runs = ("--requests", "200", "--warmup", "12")
    with serving() as url:
        gauges = ("--metrics-url", f"{url}/metrics")
        measured("sweep", "users", url, (*USERS, *gauges))
        measured("run", "parts", url, (*PARTS, *runs, *gauges))
        measured("run", "old", url, (*VERSIONS, *runs))
        for length in LENGTHS:
            lengths = ("--input-tokens", str(length), "--output-tokens", "16")
            measured(
                "run", f"length-{length}", url, (*lengths, "--requests", "40", "--warmup", "4")
            )
        whole = (*HANG_UP, "--requests", "200", "--warmup", "12", *gauges)
        measured("run", "all-listen", url, whole)
        measured("run", "half-hang-up", url, (*whole, "--hang-up-after", "8tokens:0.5"))
    with serving("--instances", "4") as url:
        measured("run", "new", url, (*VERSIONS, *runs))
    for name, options in (("no-cache", ()), ("cache", ("--prefix-cache",))):
        with serving(*options) as url:
            measured("run", name, url, (*TURNS, "--requests", "120", "--concurrency", "2"))


def draw() -> None:
    """Draw every picture from what is kept."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kept in FOLDER.glob("*.json.gz"):
            (folder / kept.stem).write_bytes(gzip.decompress(kept.read_bytes()))
        for one in ("users", "parts"):
            drawn(folder, one, "report", f"{one}.json")
        drawn(folder, "versions", "compare", "old.json", "new.json")
        drawn(folder, "hang-up", "compare", "all-listen.json", "half-hang-up.json")
        for title, make, size in (("lengths", of_lengths, (9, 3.2)), ("cache", of_turns, (12, 4))):
            figure = Figure(figsize=size, layout="constrained")
            make(figure, folder)
            picture = BytesIO()
            figure.savefig(picture, format="png", dpi=1.3 * _DPI)
            fewer_colours(Image.open(picture), title)


def drawn(folder: Path, name: str, command: str, *files: str) -> None:
    """What a command draws of results, as a picture for the page."""
    file = folder / f"{name}.png"
    paths = [str(folder / one) for one in files]
    done = subprocess.run(
        [sys.executable, "-m", "tracebench", command, *paths, "--output-plot", str(file)],
        capture_output=True,
        text=True,
        cwd=folder,
    )
    if not file.exists():
        raise RuntimeError(done.stderr)
    picture = Image.open(file)
    width, height = picture.size
    fewer_colours(picture.resize((width * 3 // 5, height * 3 // 5), Image.Resampling.LANCZOS), name)


def of_lengths(figure: Figure, folder: Path) -> None:
    """The time to the first token by the length of the prompt, in its parts."""
    axes = figure.subplots()
    first_token(axes, {f"{one:,} tokens": stream_of(folder, f"length-{one}") for one in LENGTHS})
    heading(axes, "The first token by the length of the prompt: mean")
    axes.legend(frameon=False, ncols=6, loc="upper center", bbox_to_anchor=(0.5, -0.2))


def of_turns(figure: Figure, folder: Path) -> None:
    """The time to the first token by turn, with a cache and without one."""
    both = {"no cache": stream_of(folder, "no-cache"), "cache": stream_of(folder, "cache")}
    left, right = figure.subplots(1, 2)
    first_token_by_turn(left, both)
    tokens_by_turn(right, both)


def stream_of(folder: Path, name: str) -> StreamResult:
    """The streams of a run that is kept."""
    file = folder / f"{name}.json"
    found = result_file.loads_any(file.read_text(), str(file))
    assert isinstance(found, Result)
    stream = found.targets["rest"].stream
    assert stream is not None
    return stream


def fewer_colours(picture: Image.Image, name: str) -> None:
    """Save it small: figures have few colours."""
    covering = Image.Quantize.MAXCOVERAGE  # thin lines keep their colours
    small = picture.convert("RGB").quantize(_COLORS, covering, dither=Image.Dither.NONE)
    small.save(FOLDER / f"{name}.png", optimize=True)


def main() -> int:
    parser = ArgumentParser(prog="python -m tools.llm_pictures", description=__doc__)
    parser.add_argument("--measure", action="store_true", help="measure anew before drawing")
    if parser.parse_args().measure:
        FOLDER.mkdir(exist_ok=True)
        measure()
    draw()
    return 0


if __name__ == "__main__":
    sys.exit(main())

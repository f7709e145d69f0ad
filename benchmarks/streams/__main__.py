"""How far from the truth stamps of streams are: `python -m benchmarks.streams [--requests 1000]`.

An exact server on core 0 notes when each token left it; the client has core 1. Streams are paired
by their traceparent. Prints one Markdown table. Exit status 1: a bound does not hold; 2: nothing
could be measured.
"""

import json
import os
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import trustme

from benchmarks.side_by_side import CLIENT_CORE, missing, on_core, running
from benchmarks.streams.cells import CELLS, Cell
from benchmarks.streams.client import CERTIFICATE, FOUND
from benchmarks.streams.errors import Found, compared, told

PORT = 18_700
_COLUMNS = (
    *("cell", "streams", "tokens", "first token, error p50 / p99", "all exact, p50 / p99"),
    *("shared first / all", "intervals without the truth", "CPU a token", "kept a token", ""),
)


def main() -> int:
    parser = ArgumentParser(prog="python -m benchmarks.streams", description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000, help="of each cell (default: 1000)")
    parser.add_argument("--only", default="", metavar="TEXT", help="cells with it in their name")
    given = parser.parse_args()
    cells = [one.with_requests(given.requests) for one in CELLS if given.only in one.name]
    if not cells or missing("taskset"):
        print(
            f"no cell is called {given.only!r}" if not cells else "needs taskset", file=sys.stderr
        )
        return 2
    print(f"| {' | '.join(_COLUMNS)} |\n|{'---|' * len(_COLUMNS)}", flush=True)
    seen: dict[str, Found] = {}
    failed = 0
    for cell in cells:
        found = seen[cell.name] = measured(cell)
        why = [*broken(cell, found, seen)]
        failed += bool(why)
        print(row(cell, found, why), flush=True)
    return int(failed > 0)


def measured(cell: Cell) -> Found:
    """Run a cell, in a server and a client of its own."""
    with tempfile.TemporaryDirectory(prefix="streams-") as name:
        folder = Path(name)
        truth = folder / "truth.jsonl"
        with serving(cell, folder, truth):
            given = (str(PORT), name, json.dumps(cell.as_json()))
            client = on_core(CLIENT_CORE, sys.executable, "-m", "benchmarks.streams.client", *given)
            subprocess.run(client, check=True)
        longest = 0 if cell.long_tokens else sys.maxsize
        return compared(folder / FOUND, told(truth), cell.requests, longest or cell.tokens)


@contextmanager
def serving(cell: Cell, folder: Path, truth: Path) -> Iterator[None]:
    """The exact server of a cell."""
    words = ["-m", "benchmarks.streams.server", str(PORT), str(truth)]
    if cell.protocol == "grpc":
        words.append("--grpc")
    elif cell.protocol == "tls":
        words += ["--certificate", certificate(folder)]
    with running(sys.executable, *words) as process:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise RuntimeError("the exact server did not start")
        yield


def certificate(folder: Path) -> str:
    """A certificate for the server, and beside it that of who vouches for it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(os.fspath(folder / CERTIFICATE))
    file = folder / "server.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(os.fspath(file))
    return str(file)


def broken(cell: Cell, found: Found, seen: dict[str, Found]) -> Iterator[str]:
    """The bounds that do not hold."""
    bounds = cell.bounds
    for what, errors_ns in (("first", found.first_ns), ("all", found.exact_ns)):
        p50_ms, p99_ms = quantiles(errors_ns)
        if abs(p50_ms) > bounds.p50_ms or abs(p99_ms) > bounds.p99_ms:
            yield f"{what}: p50 > {bounds.p50_ms} ms or p99 > {bounds.p99_ms} ms"
    if found.lost:
        yield f"{found.lost} lost"
    if found.not_held:
        yield "an interval without the truth"
    if bounds.cpu_us is not None and found.cpu_us > bounds.cpu_us:
        yield f"CPU > {bounds.cpu_us} µs"
    most = bounds.shared
    if bounds.shared_beside in seen:
        most = seen[bounds.shared_beside].shared + 0.01
    if most is not None and found.shared > most:
        yield f"shared > {most:.1%}"


def quantiles(errors_ns: "np.typing.NDArray[np.int64]") -> tuple[float, float]:
    """P50 and p99, in ms; of nothing, 0."""
    if not len(errors_ns):
        return 0.0, 0.0
    p50_ms, p99_ms = np.quantile(errors_ns, (0.5, 0.99)) / 1e6
    return float(p50_ms), float(p99_ms)


def row(cell: Cell, found: Found, why: Sequence[str]) -> str:
    """The cell's line of the table."""

    def errors(values_ns: "np.typing.NDArray[np.int64]") -> str:
        p50_ms, p99_ms = quantiles(values_ns)
        return f"{p50_ms:+.3f} / {p99_ms:+.3f} ms"

    values = (
        *(cell.name, f"{found.streams:,}", f"{found.tokens:,}"),
        *(errors(found.first_ns), errors(found.exact_ns)),
        f"{found.shared_first:.1%} / {found.shared:.1%}",
        f"{found.not_held:,}",
        f"{found.cpu_us:.1f} µs",
        f"{found.kept_bytes:.1f} B",
        "; ".join(why) or "ok",
    )
    return f"| {' | '.join(values)} |"


if __name__ == "__main__":
    sys.exit(main())

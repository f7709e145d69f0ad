"""Tools measured side by side: same server, same minutes, each on a core of its own."""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SERVER_CORE, CLIENT_CORE = "0", "1"
OPTIONS = {"rest": "--rest-url=http://127.0.0.1:%d", "grpc": "--grpc-server=127.0.0.1:%d"}
"""Protocol → the option that makes a server on a port the target."""


def on_core(core: str, *command: str) -> list[str]:
    """The command, pinned to a core."""
    return ["taskset", "-c", core, *command]


def missing(*programs: str) -> list[str]:
    """Which of the programs are not installed."""
    return [program for program in programs if shutil.which(program) is None]


def output(*command: str) -> str:
    """Run on the client's core; returns what it printed."""
    done = subprocess.run(on_core(CLIENT_CORE, *command), capture_output=True, text=True)
    if done.returncode not in (0, 3):
        raise RuntimeError(f"{command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def tracebench(*options: str) -> dict[str, Any]:
    """Run tracebench on the client's core; returns its only target's result."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "result.json"
        output(sys.executable, "-m", "tracebench", "run", *options, "--output-json", str(file))
        (target,) = json.loads(file.read_text())["targets"].values()
    result: dict[str, Any] = target
    return result


@contextmanager
def running(*command: str, core: str = SERVER_CORE) -> Iterator[subprocess.Popen[str]]:
    """A server on a core, ended with the block; its output can be read."""
    process = subprocess.Popen(on_core(core, *command), stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


def rounds(tools: Mapping[str, Callable[[], float]], count: int) -> dict[str, list[float]]:
    """Run every tool `count` times, interleaved, so that the machine's moods hit all alike."""
    found: dict[str, list[float]] = {name: [] for name in tools}
    for _ in range(count):
        for name, tool in tools.items():
            found[name].append(tool())
    return found


def table(title: str, found: Mapping[str, Sequence[float]], unit: str, reference: str) -> None:
    """Print medians, spreads and ratios to the reference."""
    print(f"\n{title}")
    base = statistics.median(found[reference])
    for name, values in found.items():
        middle = statistics.median(values)
        spread = f"{min(values):,.0f} … {max(values):,.0f}"
        print(f"  {name:<22}{middle:>12,.1f} {unit:<6}{spread:>22}{middle / base:>8.2f} ×")

"""The same load by 1, 2 and 4 processes, by turns, against a server of known time.

The server has core 0, the load all others. Where they are fewer than three, the server goes before
all else (`chrt --fifo`) if that is allowed, and the load may use its core too.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.guard.server import served
from benchmarks.side_by_side import SERVER_CORE, running

ROUNDS: Final = 10
PROCESSES: Final = (None, 1, 2, 4)
"""None: without --processes."""
LOADS: Final = (
    (
        "a queue at 30% use, 2 ms a request, 150 requests/s",
        ("queue", "2"),
        ("--rate", "150", "--arrival", "poisson", "--requests", "1500"),
    ),
    (
        "a server that takes 5 ms, however many come, 2,000 requests/s",
        ("crowd", "5"),
        ("--rate", "2000", "--requests", "6000"),
    ),
)
"""What is measured, the server, and its load: the same arrivals in every run."""
_MORE: Final = ("--warmup", "200", "--concurrency", "64")
PERCENTILES: Final = ("p50_ms", "p95_ms", "p99_ms")
_ENOUGH_CORES: Final = 3
"""From so many on, processes hardly wait for each other."""
_FIRST: Final = ("chrt", "--fifo", "50")
_CLOSED: Final = ("--concurrency", "32", "--duration", "3")


class Round(NamedTuple):
    """What one run said."""

    started: int
    latency: dict[str, float]
    cpu_us: float
    throughput_rps: float
    late_ms: float


def main() -> None:
    others = sorted(os.sched_getaffinity(0) - {int(SERVER_CORE)})
    first = _FIRST if len(others) < _ENOUGH_CORES and _allowed(*_FIRST) else ()
    cores = sorted(os.sched_getaffinity(0)) if first else others
    shared = ", one shared with the server, which goes first" if first else ""
    print(f"cores of the load: {len(cores)} of {os.cpu_count()}{shared}; {ROUNDS} rounds\n")
    with tempfile.TemporaryDirectory() as folder:
        body = Path(folder) / "body.bin"
        body.write_bytes(bytes(8_192))
        data = ("--data", str(body), "--rest-url")
        for title, kind, load in LOADS:
            server = (sys.executable, "-m", "benchmarks.fleet.server", *kind)
            with running(*first, *server) as process:
                assert process.stdout is not None
                url = f"http://127.0.0.1:{process.stdout.readline().strip()}"
                _same_load(title, (*data, url, *load, *_MORE), cores)
        with served("rest") as port:
            _throughput((*data, f"http://127.0.0.1:{port}"), others)


def _allowed(*command: str) -> bool:
    return subprocess.run([*command, "true"], capture_output=True).returncode == 0


def _same_load(title: str, options: Sequence[str], cores: Sequence[int]) -> None:
    found: dict[int | None, list[Round]] = {count: [] for count in PROCESSES}
    for turn in range(ROUNDS):
        order = PROCESSES[turn % len(PROCESSES) :] + PROCESSES[: turn % len(PROCESSES)]
        for count in order:
            found[count].append(_run(count, options, cores))
    print(title)
    print(
        f"{'processes':>10}  {'requests':>9}  {'p50':>8}  {'p95':>8}  {'p99':>8}  CPU µs a request"
    )
    for count, rounds in found.items():
        middle = [statistics.median(one.latency[name] for one in rounds) for name in PERCENTILES]
        counts = {one.started for one in rounds}
        cpu = [one.cpu_us for one in rounds]
        print(
            f"{count or 'not given':>10}  {'/'.join(map(str, counts)):>9}  "
            + "  ".join(f"{value:8.4f}" for value in middle)
            + f"  {statistics.median(cpu):6.1f} ({min(cpu):.1f} … {max(cpu):.1f})"
        )
    _differences(found)


def _differences(found: dict[int | None, list[Round]]) -> None:
    """Each against one process, paired by round."""
    for count in (2, 4):
        told = []
        for name in PERCENTILES:
            off = [
                many.latency[name] - one.latency[name]
                for one, many in zip(found[1], found[count], strict=True)
            ]
            base = statistics.median(one.latency[name] for one in found[1])
            bound_us = max(0.03 * base, 0.05) * 1e3
            middle_us = statistics.median(off) * 1e3
            ok = "within" if abs(middle_us) <= bound_us else "BEYOND"
            told.append(f"{name[:-3]} {middle_us:+.0f} µs ({ok} {bound_us:.0f})")
        cpu = [m.cpu_us / o.cpu_us - 1 for o, m in zip(found[1], found[count], strict=True)]
        late_ms = max(one.late_ms for one in found[count])
        print(
            f"{count} against 1: {', '.join(told)}; CPU a request {statistics.median(cpu):+.1%}; "
            f"began at most {late_ms:.3f} ms apart"
        )
    same = [b.cpu_us / a.cpu_us - 1 for a, b in zip(found[None], found[1], strict=True)]
    print(f"--processes 1 against none: CPU a request {statistics.median(same):+.1%}\n")


def _throughput(options: Sequence[str], cores: Sequence[int]) -> None:
    print("closed loop, a server that answers at once")
    found: dict[int, list[Round]] = {1: [], 2: []}
    for _ in range(5):
        for count, rounds in found.items():
            rounds.append(_run(count, (*options, *_CLOSED), cores))
    for count, rounds in found.items():
        middle = statistics.median(one.throughput_rps for one in rounds)
        cpu = statistics.median(one.cpu_us for one in rounds)
        print(f"{count:>10}  {middle:10,.0f} requests/s  CPU {cpu:.1f} µs a request")
    if len(cores) < 2:
        print("    two processes share one core here: their sum cannot grow (three cores show it)")


def _run(count: int | None, options: Sequence[str], cores: Sequence[int]) -> Round:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "result.json"
        command = [sys.executable, "-m", "tracebench", "run", *options, "-q"]
        if count is not None:
            command += ["--processes", str(count)]
        pinned = ["taskset", "-c", ",".join(map(str, cores)), *command, "--output-json", str(file)]
        done = subprocess.run(pinned, capture_output=True, text=True)
        if not file.exists():
            raise RuntimeError(done.stderr)
        target: dict[str, Any] = json.loads(file.read_text())["targets"]["rest"]
    started = target["requests"]["started"]
    workers = target.get("workers") or []
    return Round(
        started,
        {name: target["latency"][name] for name in PERCENTILES},
        target["client_cpu_s"] / started * 1e6,
        target["throughput_rps"],
        max((one["start_late_ms"] for one in workers), default=0.0),
    )

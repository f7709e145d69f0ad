"""What a gRPC call costs the whole process: tracebench beside a grpc.aio client.

24 KB messages to a Python grpc.aio server, over ten connections. CPU time of the whole process
(user and system, start and report included) for 2,000 and for 12,000 calls; the slope between them
is what one more call costs. The server has core 0, the clients core 1.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks.side_by_side import CLIENT_CORE, on_core, running

PORT, BODY_BYTES, CONNECTIONS, ROUNDS = 18_301, 24_576, 10, 5
FEW, MANY = 2_000, 12_000
MOST: Final = 0.4
"""Of a grpc.aio client's CPU time a call."""


def cpu_s(*command: str) -> float:
    """CPU time of a program on the client's core; what it prints is not looked at."""
    words = on_core(CLIENT_CORE, sys.executable, *command)
    quiet = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
    child = os.posix_spawnp(words[0], words, os.environ, file_actions=quiet)
    _, status, usage = os.wait4(child, 0)
    if os.waitstatus_to_exitcode(status) not in (0, 3):
        raise RuntimeError(f"{' '.join(words)} failed")
    return usage.ru_utime + usage.ru_stime


def slope_us(program: str, body: Path) -> float:
    """What one more call costs."""

    def of(calls: int) -> float:
        if program == "grpc.aio":
            numbers = map(str, (PORT, BODY_BYTES, CONNECTIONS, calls))
            return cpu_s("-m", "benchmarks.aio_grpc", "make", *numbers)
        options = ("--data", str(body), "--grpc-server", f"127.0.0.1:{PORT}")
        load = ("--concurrency", str(CONNECTIONS), "--requests", str(calls))
        return cpu_s("-m", "tracebench", "run", *options, *load)

    return (of(MANY) - of(FEW)) / (MANY - FEW) * 1e6


def main() -> None:
    found: dict[str, list[float]] = {"tracebench": [], "grpc.aio": []}
    with tempfile.TemporaryDirectory() as folder:
        body = Path(folder) / "body.bin"
        body.write_bytes(bytes(BODY_BYTES))
        with running(sys.executable, "-m", "benchmarks.aio_grpc", "serve", str(PORT)):
            time.sleep(1.5)
            for _ in range(ROUNDS):
                for program, slopes in found.items():
                    slopes.append(slope_us(program, body))
    for program, slopes in found.items():
        spread = f"{min(slopes):.0f} … {max(slopes):.0f}"
        print(f"{program:<12}{statistics.median(slopes):8.1f} µs of CPU a call ({spread})")
    ratio = statistics.median(found["tracebench"]) / statistics.median(found["grpc.aio"])
    print(f"ratio {ratio:.2f} (at most {MOST})")
    sys.exit(ratio > MOST)


if __name__ == "__main__":
    main()

"""Memory over 200,000 requests that ask, on each adapter: `python -m benchmarks.leaks [COUNT]`.

The first tenth may fill caches and pools; what the process grows by after that is printed, in
bytes a request. Exit status 1 where an adapter grows by more than 16.
"""

import gc
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.middleware import trace_and_drop, variants

COUNT, MOST_BYTES = 200_000, 16.0


def resident_bytes() -> int:
    gc.collect()
    fields = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return int(fields[1]) * 4096


def growth(call: Callable[[], object], count: int) -> float:
    for _ in range(count // 10):
        call()
    before = resident_bytes()
    for _ in range(count):
        call()
    return (resident_bytes() - before) / count


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    trace_and_drop()
    kept = True
    for name, calls in variants().items():
        grown = growth(calls["asked"], count)
        print(f"{name:8s} {grown:+8.2f} bytes a request over {count:,}", flush=True)
        kept &= grown <= MOST_BYTES
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())

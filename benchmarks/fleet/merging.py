"""What merging takes: CPU seconds and memory by rows and workers, and bytes a row to the head."""

import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Final

import numpy as np

from benchmarks.recording import Memory
from tracebench.load.fleet.merge import Piece, merged
from tracebench.load.recording.spill import Spill
from tracebench.model.record.columns import PAGE_ROWS, Columns
from tracebench.model.record.requests import STAMPS, Requests, stamp_columns
from tracebench.model.record.server_times import PART, PartNames, ServerTimes, TimesPage
from tracebench.model.shards import Shard
from tracebench.tracing.roots.trace_ids import Drawn, IdSource

MILLION: Final = 1_000_000
CASES: Final = ((1, 1), (2, 1), (4, 1), (8, 1), (1, 4), (8, 4), (100, 1), (100, 10), (100, 30))
"""Workers, and million rows in all."""


def main() -> None:
    print("merging, a row with server times of four parts; each case in a process of its own")
    heads = ("workers", "rows", "bytes", "to send", "to merge", "memory")
    units = ("", "M", "a row", "s/M", "s/M", "MB")
    for words in (heads, units):
        print("".join(f"{one:>10}" for one in words))
    for workers, millions in CASES:
        command = [sys.executable, "-m", "benchmarks.fleet.merging", str(workers), str(millions)]
        print(subprocess.run(command, capture_output=True, text=True, check=True).stdout, end="")


def case(workers: int, millions: int) -> None:
    each = millions * MILLION // workers
    spill, to_send_s, sent = Spill(), 0.0, 0
    memory = Memory()
    pieces = []
    for number in range(workers):
        requests, times = Columns(spill.keep), Columns(spill.keep)
        for rows, page, told in _pages(each, number, workers):
            requests.append(page, rows)
            times.append(told, rows)
        began = time.process_time()
        for place in range(requests.page_count):
            message = pickle.dumps((requests.stored(place), times.stored(place)))
            pickle.loads(message)
            sent += len(message)
        to_send_s += time.process_time() - began
        ids = Drawn(IdSource(b"k" * 16, number), 0)
        record = Requests(requests, ids, ("",), ("", "200"))
        pieces.append(Piece(record, ServerTimes(times), None, Shard(number, workers)))
    memory.start()
    began = time.process_time()
    whole = merged(pieces, spill.keep)
    took = time.process_time() - began
    assert len(whole.requests) == each * workers
    print(
        f"{workers:>10}{millions:>10}{sent / (each * workers):>10.1f}{to_send_s / millions:>10.2f}"
        f"{took / millions:>10.2f}{memory.most_mb:>10,.0f}"
    )


def _pages(
    rows: int, number: int, workers: int
) -> Iterator[tuple[int, dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Pages of one worker's record: 10 µs of gap in all, latencies of some ms, in order of end."""
    random, first = np.random.default_rng(number), 0
    while first < rows:
        count = min(PAGE_ROWS, rows - first)
        at = (np.arange(first, first + count) * workers + number) * 10_000 + 10**15
        steps = [
            random.integers(1, most, count) for most in (9_000, 30_000, 5_000_000, 9_000, 30_000)
        ]
        stamps = {name: at + sum(steps[: n + 1]) for n, name in enumerate(STAMPS)}
        order = np.argsort(stamps["done"])
        page = stamp_columns(at[order], {name: one[order] for name, one in stamps.items()})
        page |= {name: np.zeros(count, np.int64) for name in ("connect", "write_lag", "variant")}
        page |= {"outcome": np.zeros(count, np.int64), "stamp": np.zeros(count, np.int64)}
        page |= {"reason": np.zeros(count, np.int64), "status": np.ones(count, np.int64)}
        page |= {"slot": random.integers(0, 8, count), "draw": np.arange(first, first + count)}
        page["lost"] = np.full(count, np.iinfo(np.int64).min)
        told = TimesPage(count, PartNames())
        total = steps[2][order]
        parts = {PART + name: total // share for name, share in (("inference", 2), ("queue", 9))}
        plain = {name.removeprefix(PART): values for name, values in parts.items()}
        told.put(np.arange(count), total, plain, "head")
        yield count, page, told.columns
        first += count


if __name__ == "__main__":
    case(int(sys.argv[1]), int(sys.argv[2]))

"""The record at scale: `python -m benchmarks.recording [ROWS=1000000]`.

Replies with changing timings go through the real recorder as the hot path writes them, and through
all that follows a window, in one process. Prints µs a request for recording, reading and summing
up, and how much memory of its own the process had at most (RssAnon + RssShmem; what is mapped from
the spill file is page cache).
"""

import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tracebench.analysis.closure.decomposition import decompose
from tracebench.analysis.summary.summary import summarise
from tracebench.load.recording.read_record import ReadRecord, read_record
from tracebench.load.recording.replies import Replies
from tracebench.load.recording.rows import PAGE_BYTES, PLAIN, ROW_BYTES, RowRecorder, plain_tag
from tracebench.load.recording.spill import Spill
from tracebench.load.wire import http1
from tracebench.load.wire.http1_pattern import Http1Pattern, pattern_of
from tracebench.model.measurement import Measurement
from tracebench.tracing.roots.trace_ids import IdSource

HEAD = (
    b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Type: application/json\r\nContent-Length: 11\r\n"
    b"Server-Timing: total;dur=%.6f, preprocessing;dur=%.6f, inference;dur=%.6f, "
    b'postprocessing;dur=%.6f\r\n\r\n{"ok":true}'
)
GAP_NS, SLOTS = 50_000, 10


class Memory(threading.Thread):
    """Looks at the process's own memory, a hundred times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most_mb = 0.0

    def run(self) -> None:
        while True:
            lines = Path("/proc/self/status").read_text().splitlines()
            told = dict(line.split(":", 1) for line in lines)
            kb = sum(int(told[name].split()[0]) for name in ("RssAnon", "RssShmem"))
            self.most_mb = max(self.most_mb, kb / 1024)
            time.sleep(0.01)


def replies() -> list[bytes]:
    drawn = random.Random(1)
    parts = [(drawn.random() * 3, drawn.random() * 20, drawn.random()) for _ in range(10_000)]
    return [HEAD % (sum(those) + drawn.random(), *those) for those in parts]


def record(count: int, source: IdSource) -> RowRecorder:
    later: list[Callable[[], None]] = []
    recorder = RowRecorder(Replies(pattern_of, later.append), Spill())
    texts = replies()
    assert recorder.replies.take((texts[0],))
    assert later
    later.pop()()
    (log,) = recorder.replies.logs
    recorder.replies.begin(recorder.spill)
    assert isinstance(log.form, Http1Pattern)
    take = log.form.alike(texts[0])
    for number, (scheduled_ns, arrived_ns) in enumerate(times(count)):
        source.draw()
        text = take(texts[number % len(texts)])
        assert text is not None
        row = (scheduled_ns, scheduled_ns + 900, arrived_ns, arrived_ns + 3_000)
        PLAIN(recorder.page, recorder.at, *row, number, plain_tag(number % SLOTS, log.number))
        log.texts += text
        recorder.at += ROW_BYTES
        if recorder.at == PAGE_BYTES:
            recorder.turn()
    recorder.close()
    return recorder


def times(count: int) -> Iterator[tuple[int, int]]:
    drawn = random.Random(2)
    waits_ns = [25_000_000 + int(drawn.expovariate(1e-6)) for _ in range(10_007)]
    for number in range(count):
        scheduled_ns = 10**12 + number * GAP_NS
        yield scheduled_ns, scheduled_ns + waits_ns[number % len(waits_ns)]


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    memory = Memory()
    memory.start()
    source = IdSource()
    marks = [time.process_time()]
    recorder = record(count, source)
    marks.append(time.process_time())
    spill = recorder.spill
    read = read_record(recorder, ReadRecord(http1.read_reply, source.since(0)))
    marks.append(time.process_time())
    load = Measurement(read.requests, read.times, read.requests.duration_ns / 1e9, 0.0, None)
    result = summarise("http://x", load, decompose(read.requests, read.times))
    marks.append(time.process_time())
    assert result.decomposed == count == read.learnt
    names = ("recording", "reading", "summing up")
    for name, begin, end in zip(names, marks, marks[1:], strict=False):
        print(f"{name:<12}{(end - begin) / count * 1e6:8.2f} µs a request")
    stored = read.requests.columns.stored_bytes + read.times.columns.stored_bytes
    print(f"{stored / count:.0f} B a row; {spill.spilled_bytes / 2**20:,.0f} MiB in the spill file")
    print(f"memory of its own: {memory.most_mb:,.0f} MB at most")


if __name__ == "__main__":
    main()

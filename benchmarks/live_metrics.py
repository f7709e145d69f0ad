"""What watching a run costs it: `python -m benchmarks.live_metrics [ROUNDS=10]`.

The same load by turns: unwatched; with latencies and errors counted, as for the line on a terminal;
and with OTLP metrics exported once a second as well. The server does nothing; it has core 0. The
engine has core 1, and its exporting process with it, as under `taskset`. Prints medians, and the
mean ratio to unwatched with its 95 % interval over the rounds.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from statistics import mean, median, stdev
from time import time_ns
from typing import NamedTuple

import numpy as np

from tracebench.analysis.statistics.student_t import critical_t
from tracebench.load.engine.target import PreparedTarget
from tracebench.load.measuring.measure import measure
from tracebench.load.metered import Metered
from tracebench.load.peers.null_server import spawned
from tracebench.load.prepare import rest
from tracebench.load.progress import Watcher
from tracebench.model.plan import Payload, Payloads, Plan, Segment, Targets, Workload
from tracebench.model.record.requests import ARRIVED, DONE, SENT
from tracebench.tracing.metrics.messages import Measured, Setup
from tracebench.tracing.metrics.sender import Sender
from tracebench.tracing.receiver.client import Receiver

SECONDS = 4.0
SHARE = 0.3
"""Of the rate at which the closed loop ran, for the open loop."""
PAYLOAD = Payload(b"x" * 1_000, "application/octet-stream", "x", "data")
Watch = Callable[[], Watcher]


class Found(NamedTuple):
    rps: float
    cpu_us: float
    client_p999_us: float
    latency_p999_us: float


class Counting(Watcher):
    """Wants what the terminal's line shows, and draws nothing."""

    detailed = True


def loaded(prepared: PreparedTarget, load: Workload, watcher: Watcher) -> Found:
    watcher.begins("rest", prepared.address, "")
    found = measure(prepared, load, watcher)
    requests = found.requests
    client_ns = requests.whole(lambda rows: rows[SENT] + rows[DONE])
    latency_ns = requests.whole(lambda rows: rows.since_scheduled(DONE))
    assert requests.whole(lambda rows: rows[ARRIVED]).min() >= 0
    return Found(
        len(requests) / found.duration_s,
        found.cpu_s / len(requests) * 1e6,
        float(np.percentile(client_ns, 99.9)) / 1e3,
        float(np.percentile(latency_ns, 99.9)) / 1e3,
    )


@contextmanager
def exporting(prepared: PreparedTarget, endpoint: str) -> Iterator[Watcher]:
    target = Measured("rest", dict(prepared.described.attributes))
    setup = Setup(endpoint, "0" * 16, "", "0", {"rest": target}, time_ns())
    with closing(Sender(setup)) as sender:
        watcher = Metered(Watcher(), sender)
        yield watcher
        assert watcher.finish() is None


def rounds(prepared: PreparedTarget, load: Workload, endpoint: str, count: int) -> None:
    kept: dict[str, list[Found]] = {"unwatched": [], "counted": [], "exported": []}
    for number in range(count):
        for name in list(kept)[number % 3 :] + list(kept)[: number % 3]:
            if name == "exported":
                with exporting(prepared, endpoint) as watcher:
                    kept[name].append(loaded(prepared, load, watcher))
            else:
                watcher = Counting() if name == "counted" else Watcher()
                kept[name].append(loaded(prepared, load, watcher))
    for at, what in enumerate(Found._fields):
        print(f"  {what}")
        usual = [one[at] for one in kept["unwatched"]]
        for name, those in kept.items():
            ratios = [one[at] / base for one, base in zip(those, usual, strict=True)]
            print(f"    {name:<10}{median(one[at] for one in those):12,.1f}{_ratio(ratios)}")


def _ratio(ratios: list[float]) -> str:
    if len(ratios) < 2 or not stdev(ratios):
        return ""
    half = critical_t(len(ratios) - 1) * stdev(ratios) / len(ratios) ** 0.5
    return f"   × {mean(ratios):.3f} ± {half:.3f}"


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:1])
    with spawned("rest") as port:
        os.sched_setaffinity(0, cores)
        with Receiver("127.0.0.1:0") as receiver:
            os.sched_setaffinity(0, cores[1:2] or cores)
            prepared = rest.prepare(
                Plan(Payloads(PAYLOAD), Targets(rest_url=f"http://127.0.0.1:{port}"))
            )
            closed = Workload(requests=None, duration_s=SECONDS, concurrency=16, warmup=2_000)
            most_rps = loaded(prepared, closed, Watcher()).rps
            print(f"closed loop, c = {closed.concurrency}, {count} rounds of {SECONDS:g} s")
            rounds(prepared, closed, receiver.grpc_address, count)
            rate = Segment(SHARE * most_rps, SHARE * most_rps, float("inf"))
            paced = Workload(
                requests=None, duration_s=SECONDS, concurrency=64, rate=(rate,), warmup=2_000
            )
            print(f"open loop, {rate.from_rps:,.0f}/s, {count} rounds of {SECONDS:g} s")
            rounds(prepared, paced, receiver.grpc_address, count)


if __name__ == "__main__":
    main()

"""What is known before of real sockets: queues, held replies, stalls, and being on time."""

import time
from collections.abc import Iterator
from itertools import islice
from math import inf

import numpy as np

from benchmarks.long.check import Check
from tests.pitfalls.fifo import (
    PAYLOAD,
    Stalling,
    fifo_server,
    lindley_s,
    measured,
    pollaczek_khinchine_s,
)
from tracebench.load.engine.pacing import arrivals_ns
from tracebench.load.measuring.measure import measure
from tracebench.load.peers.null_server import spawned
from tracebench.load.prepare.targets import prepare
from tracebench.load.progress import Watcher
from tracebench.model.plan import Payloads, Plan, Segment, Targets, Workload
from tracebench.model.record.requests import SENT

SERVICE_MS = 10.0
SECONDS = 100.0


def near(name: str, found: float, expected: float, within: float) -> Check:
    holds = abs(found - expected) <= within
    return Check(name, f"{found:.3g} ms", f"{expected:.3g} ± {within:.2g} ms", holds)


def queues() -> Iterator[Check]:
    """Poisson arrivals at one worker of fixed service time: Lindley, and Pollaczek-Khinchine."""
    for utilisation, within in ((0.5, 1.0), (0.8, 5.0)):
        rate = utilisation * 1e3 / SERVICE_MS
        count = int(rate * SECONDS)
        drawn = islice(arrivals_ns((Segment(rate, rate, inf),), "poisson", 1), count)
        exact_ms = 1e3 * float(lindley_s([at / 1e9 for at in drawn], SERVICE_MS / 1e3).mean())
        law_ms = 1e3 * pollaczek_khinchine_s(utilisation, SERVICE_MS / 1e3)
        with fifo_server(SERVICE_MS) as url:
            found = measured(url, rate=rate, arrival="poisson", seed=1, requests=count)
        wait_ms = found.components["end_to_end"].mean_ms - SERVICE_MS
        of = f"Poisson arrivals, ρ = {utilisation:g}: mean queue"
        yield near(f"{of}, the law's", wait_ms, law_ms, within)
        yield near(f"{of}, of the very same arrivals", wait_ms, exact_ms, 0.3 + exact_ms / 10)
    with fifo_server(SERVICE_MS) as url:
        found = measured(url, rate=50, requests=500)
    wait_ms = found.components["end_to_end"].p50_ms - SERVICE_MS
    yield near("constant arrivals, ρ = 0.5: median queue", wait_ms, 0.0, 0.5)


def omission() -> Iterator[Check]:
    """100/s for 10 s on 10 connections of 5 ms; all replies are held for the sixth second."""
    with fifo_server(5, 10, 5, 6) as url:
        found = measured(url, rate=100, duration_s=10.0, concurrency=10).components
    for name, statistic, expected, within in (
        ("end_to_end", "p95_ms", 500.0, 50.0),  # the backlog takes some 40 ms to drain
        ("end_to_end", "p99_ms", 900.0, 50.0),
        ("service_time", "p95_ms", 5.0, 1.0),
    ):
        what = f"replies held for a second: {statistic[:3]} of {name}"
        yield near(what, getattr(found[name], statistic), expected, within)


def stalls() -> Iterator[Check]:
    """The client's loop is blocked for 20 ms in every 200."""
    with fifo_server(5, 10) as url:
        smooth = measured(url, duration_s=5.0, concurrency=4)
        stalled = measured(
            url, duration_s=5.0, concurrency=4, watcher=Stalling(lambda: time.sleep(0.02))
        )
    for name in ("network", "server_processing"):
        before, after = smooth.components[name].p50_ms, stalled.components[name].p50_ms
        yield near(f"a stalled client: median {name}", after, before, 0.1)
    valid = "invalid" if not stalled.verdict.valid else "valid"
    yield Check("a stalled client: the verdict", valid, "invalid", valid == "invalid")


def punctuality() -> Iterator[Check]:
    """How late requests leave, at 1,000/s."""
    with spawned("rest") as port:
        plan = Plan(
            Payloads(PAYLOAD),
            Targets(rest_url=f"http://127.0.0.1:{port}/"),
            load=Workload(
                requests=None, duration_s=10.0, rate=(Segment(1_000, 1_000, inf),), concurrency=256
            ),
        )
        load = measure(prepare(plan)["rest"], plan.load, Watcher())
    late_ms = load.requests.whole(lambda rows: rows[SENT]) / 1e6
    p99_ms = float(np.percentile(late_ms, 99))
    yield Check("1,000/s: p99 of the dispatch lag", f"{p99_ms:.3f} ms", "≤ 0.2 ms", p99_ms <= 0.2)

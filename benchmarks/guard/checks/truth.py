"""How far `network` is from what it is: a server of known work, behind a way of known length."""

from functools import partial

from benchmarks.guard.arithmetic import MoreByAtMost
from benchmarks.guard.check import Bench, Check, Topic
from benchmarks.guard.sides import Side

WORK_MS, WAY_MS = 5.0, 2.0
MORE_US = 60.0
REQUESTS = {1: 120, 10: 800}


def measure(protocol: str, concurrency: int, side: Side, bench: Bench) -> tuple[float]:
    count = REQUESTS[concurrency]
    target, _ = side.tracebench(
        *("--data", str(bench.body), bench.exact[protocol], "--requests", str(count)),
        *("--concurrency", str(concurrency), "--warmup", "20"),
    )
    return (abs(target["components"]["network"]["p50_ms"] - WAY_MS) * 1e3,)


def topic(protocol: str, name: str, concurrency: int) -> Topic:
    how = f"p50 of {REQUESTS[concurrency]} requests against {WAY_MS:g} ms by construction"
    bound = MoreByAtMost(MORE_US, 0.03, of=WAY_MS * 1e3)
    checks = (Check(f"{name} network error, c = {concurrency}", "µs", bound, how),)
    return Topic(checks, partial(measure, protocol, concurrency))


TOPICS = tuple(
    topic(protocol, name, concurrency)
    for protocol, name in (("rest", "REST"), ("grpc", "gRPC"))
    for concurrency in REQUESTS
)

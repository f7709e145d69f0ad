"""How fast the engine is, and what its window costs, against a server that answers at once."""

from functools import partial

from benchmarks.guard.arithmetic import AtLeast, AtMost
from benchmarks.guard.check import Bench, Check, Topic
from benchmarks.guard.sides import Side

SECONDS, CONCURRENCY, WARMUP = 4, 10, 500


def measure(protocol: str, side: Side, bench: Bench) -> tuple[float, float]:
    target, _ = side.tracebench(
        *("--data", str(bench.body), bench.fast[protocol], "--duration", str(SECONDS)),
        *("--concurrency", str(CONCURRENCY), "--warmup", str(WARMUP)),
    )
    count = target["requests"]["started"]
    return target["throughput_rps"], target["client_cpu_s"] / count * 1e6


def topic(protocol: str, name: str) -> Topic:
    how = f"both at once for {SECONDS} s, 8 KiB, c = {CONCURRENCY}, timings in every reply"
    checks = (
        Check(f"{name} throughput", "req/s", AtLeast(0.96), how),
        Check(f"{name} CPU in the window", "µs/req", AtMost(1.05), "of the same runs"),
    )
    return Topic(checks, partial(measure, protocol), blocks=2, at_once=True)


TOPICS = (topic("rest", "REST"), topic("grpc", "gRPC"))

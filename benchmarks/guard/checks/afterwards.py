"""What a run costs when its window is over: CPU of the whole process, and its peak memory."""

from functools import partial

from benchmarks.guard.arithmetic import AtMost
from benchmarks.guard.check import Bench, Check, Topic
from benchmarks.guard.sides import Side

REQUESTS = 30_000


def measure(protocol: str, side: Side, bench: Bench) -> tuple[float, float]:
    options = ("--data", str(bench.body), bench.fast[protocol], "--concurrency", "10")
    one, least = side.tracebench(*options, "--requests", "1")
    many, spent = side.tracebench(*options, "--requests", str(REQUESTS))
    outside_s = spent.cpu_s - many["client_cpu_s"] - (least.cpu_s - one["client_cpu_s"])
    return outside_s / REQUESTS * 1e6, spent.peak_bytes / 2**20


def topic(protocol: str, name: str) -> Topic:
    how = f"{REQUESTS:,} requests with timings in the replies, minus the window and a run of 1"
    checks = (
        Check(f"{name} CPU after the window", "µs/req", AtMost(1.05), how),
        Check(f"{name} peak memory", "MiB", AtMost(1.05), "ru_maxrss of the same run"),
    )
    return Topic(checks, partial(measure, protocol))


TOPICS = (topic("rest", "REST"), topic("grpc", "gRPC"))

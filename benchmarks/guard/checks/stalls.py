"""How long the tool itself holds requests up, over a million of them: `--long`."""

from benchmarks.guard.arithmetic import MedianAtMost
from benchmarks.guard.check import Bench, Check, Topic
from benchmarks.guard.sides import Side

REQUESTS = 1_000_000


def measure(side: Side, bench: Bench) -> tuple[float, float]:
    target, _ = side.tracebench(
        *("--data", str(bench.body), bench.fast["rest"], "--requests", str(REQUESTS)),
        *("--concurrency", "10", "--warmup", "1000"),
    )
    client = target["components"]["client"]
    return client["p999_ms"] * 1e3, client["max_ms"] * 1e3


CHECKS = (
    Check("REST client p99.9", "µs", MedianAtMost(1.1), f"{REQUESTS:,} requests, c = 10"),
    Check("REST longest stall", "µs", MedianAtMost(1.1), "largest `client` of the same run"),
)
TOPICS = (Topic(CHECKS, measure),)

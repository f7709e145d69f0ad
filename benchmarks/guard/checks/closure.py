"""Does every request of a run add up, to 1 ns?"""

import json
from functools import partial

from benchmarks.guard.arithmetic import Never
from benchmarks.guard.check import Bench, Check, Topic
from benchmarks.guard.sides import Side

REQUESTS = 200


def measure(protocol: str, side: Side, bench: Bench) -> tuple[float]:
    archive, result = side.folder / "traces.jsonl", side.folder / "result.json"
    side.tracebench(
        *("--data", str(bench.body), bench.fast[protocol], "--requests", str(REQUESTS)),
        *("--concurrency", "10", "--output-traces", str(archive)),
    )
    module = ("-m", "benchmarks.guard.inside.closure")
    found = json.loads(side.output(*module, str(archive), str(result)))
    archive.unlink()
    return (found["off"] + REQUESTS - found["requests"],)


def topic(protocol: str, name: str) -> Topic:
    how = f"of {REQUESTS}, archived and analysed one by one"
    checks = (Check(f"{name} requests not closed to 1 ns", "", Never(), how),)
    return Topic(checks, partial(measure, protocol), every=5)


TOPICS = (topic("rest", "REST"), topic("grpc", "gRPC"))

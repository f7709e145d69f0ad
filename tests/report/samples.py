"""Results as runs really give them: computed by the analysis from made-up exchanges."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tests.load.streams.exact_streams import (
    DONE,
    HEAD,
    LAST_CHUNK,
    Streamed,
    chat,
    chunk,
    event,
    streams,
    tokens,
)
from tests.records import decomposed, effect, measured
from tracebench.analysis.difference.client_cost import client_cost
from tracebench.analysis.difference.comparison import compare
from tracebench.analysis.findings.client.near_floor import beside_floor, describe_floor
from tracebench.analysis.summary.summary import summarise
from tracebench.analysis.verdict import advised
from tracebench.model.measurement import Block
from tracebench.model.record.exchange import Exchange, Outcome, Reply, Stamp, Timing, Undecomposed
from tracebench.model.results.result import Gauge, Result, TargetResult, TcpInfo

MS = 1_000_000
PARTS_MS = {"preprocessing": 4.0, "inference": 11.0, "postprocessing": 0.5}


def exchange(number: int, total_ms: float, outcome: Outcome, reason: str = "") -> Exchange:
    start = 1_000 * MS + number * 50 * MS
    done = start + round(total_ms * MS)
    ok = outcome is Outcome.SUCCEEDED
    return Exchange(
        trace_id=f"{number + 1:032x}",
        span_id=f"{number + 1:016x}",
        scheduled_ns=start,
        connect_ns=0,
        ready_ns=start,
        sent_ns=start + 20_000,
        first_byte_ns=done - 90_000 if ok else 0,
        arrived_ns=done - 40_000 if ok else 0,
        done_ns=done,
        write_lag_ns=0,
        outcome=outcome,
        stamp=Stamp.KERNEL if ok else Stamp.USER,
        reply=Reply("200" if ok else "", {}, b""),
        reason=reason,
    )


def target(
    count: int = 200,
    *,
    failed: int = 0,
    reason: str = "HTTP 503",
    silent: bool = False,
    scale: Callable[[int], float] = lambda number: 17.0 + number % 7,
    address: str = "http://127.0.0.1:5000/predict",
    own_ms: Mapping[str, float] | None = None,
) -> TargetResult:
    good = [exchange(n, scale(n), Outcome.SUCCEEDED) for n in range(count - failed)]
    bad = [exchange(count - n, 3.0, Outcome.FAILED, reason) for n in range(failed)]
    parts = {name: round(ms * MS) for name, ms in PARTS_MS.items()}
    own = {name: round(ms * MS) for name, ms in (own_ms or {}).items()}
    total = sum(parts.values()) + sum(own.values()) + MS // 5
    timing = Timing(total, {**parts, **own}, "mirror")
    timings = [Undecomposed.NO_TIMING if silent else timing for _ in good]
    load = measured(
        exchanges=(*good, *bad),
        duration_s=count * 0.05,
        cpu_s=0.4,
        tcp=TcpInfo(0.012, 0.031, 0, 4),
    )
    return summarise(address, load, decomposed([*good, *bad], timings + [timing] * failed))


def result(**targets: TargetResult) -> Result:
    (a, b) = (*targets, "")[:2]
    plan: dict[str, Any] = {"requests": 200, "duration_s": None, "concurrency": 4}
    environment = {"python": "3.11.7", "cpus": 2}
    return Result(
        tool={"name": "tracebench", "version": "0.1.0"},
        environment=environment,
        plan=plan,
        started_at="2026-11-22T12:00:00+00:00",
        targets=advised(targets, plan, environment),
        comparison=compare(a, targets[a], b, targets[b]) if b else None,
    )


def both() -> Result:
    grpc = target(scale=lambda number: 16.5 + number % 5, address="127.0.0.1:50051")
    return result(rest=target(), grpc=grpc)


def influenced() -> Result:
    """With all that tells of the tool's own influence."""
    quick = [exchange(n, 0.5, Outcome.SUCCEEDED) for n in range(200)]
    floor = describe_floor(measured(quick, duration_s=0.1, cpu_s=0.1, tcp=None), in_the_clear=True)
    engine = [Block(np.full(40, 17 * MS), {}, 0.7)] * 10
    slower = [Block(np.full(40, (18 + n % 2) * MS), {"HTTP 503": 1}, 0.8) for n in range(10)]
    costs = {"requests": client_cost(engine, slower), "httpx": client_cost([], [])}
    tracing = effect(
        [exchange(n, 19 + n % 5, Outcome.SUCCEEDED) for n in range(100)],
        [exchange(n, 17 + n % 5, Outcome.SUCCEEDED) for n in range(90)],
    )
    beside = beside_floor(target(), floor)
    return result(rest=replace(beside, clients=costs, observer_effect=tracing))


OWN_MS = {"tokenize": 3.0, "a-step-with-a-name-that-fills-every-line-of-the-table-on-its-own": 0.3}


def own_parts() -> Result:
    """Two targets with parts by names of the author's own, one of them in both."""

    def slow(number: int) -> float:
        return 21.0 + number % 7

    grpc = target(own_ms={"tokenize": 2.0}, scale=slow)
    return result(rest=target(own_ms=OWN_MS, scale=slow), grpc=grpc)


def streamed() -> Result:
    """Two targets whose replies stream; one tells how long prefill and decoding took."""
    timings = {"prompt_ms": 30.0, "predicted_n": 64, "predicted_ms": 600.0}
    last = event({"choices": [{"delta": {}, "finish_reason": "length"}], "timings": timings})
    told = Streamed(streams(chat(tokens(end=last + DONE))), requests=40, slots=4)
    silent = Streamed(streams(chat(tokens(32))), requests=12)
    return result(rest=told.target, grpc=silent.target)


def buffered() -> Result:
    """A proxy holds all tokens back until the last."""
    everything = b"".join(data for _, data in tokens())
    parts = [(680.0, HEAD), (680.0, chunk(everything) + LAST_CHUNK)]
    return result(rest=Streamed(streams(parts), requests=8).target)


def gauged() -> Result:
    """Two targets, of which one tells of itself: a count, a share, and one by its own name."""
    times = tuple(float(at_s) for at_s in range(8))
    running = tuple(float(number % 3) for number in range(8))
    share = tuple(number / 100 for number in range(8))
    gauges = {
        "requests_running": Gauge("vllm:num_requests_running", times, running, 0, 1, 2),
        "kv_cache_usage": Gauge("vllm:kv_cache_usage_perc", times, share, 0, 0.035, 0.07),
        'tokens_total{engine="0"}': Gauge("tokens_total", (0.5,), (123456.0,), 1, 123456.0, 1e9),
    }
    return result(rest=replace(target(), gauges=gauges), grpc=target())


ALL = {
    "gauges": gauged(),
    "streams": streamed(),
    "buffered streams": buffered(),
    "own parts": own_parts(),
    "influenced": influenced(),
    "both": both(),
    "one": result(rest=target()),
    "silent": result(rest=target(silent=True)),
    "single request": result(rest=target(1)),
    "all failed": result(rest=target(20, failed=20)),
    "half failed": result(rest=target(200, failed=100, reason="连接被拒绝 " * 30)),
    "tiny": result(rest=target(scale=lambda _n: 15.8)),
    "huge": result(rest=target(scale=lambda n: 1e6 + n * 1e5)),
    "long address": result(rest=target(address="http://" + "model-server." * 12 + "example/x")),
}

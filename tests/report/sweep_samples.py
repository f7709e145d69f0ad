"""Sweeps as they are really found: scaled by the analysis, of servers whose times are known."""

from dataclasses import replace

from tests.analysis.sweeps import Times, closed, cores, pool, target
from tests.report.samples import result, streamed
from tracebench.analysis.scaling.scale import scale
from tracebench.model.results.result import Gauge, TargetResult
from tracebench.model.results.stream_result import Goodput
from tracebench.model.results.sweep import LoadKind, Step, Sweep

Targets = dict[float, TargetResult]


def sweep(kind: LoadKind, **targets: Targets) -> Sweep:
    loads = sorted({load for of_one in targets.values() for load in of_one})
    steps = [
        Step(load, result(**{name: one[load] for name, one in targets.items() if load in one}))
        for load in loads
    ]
    return Sweep(
        kind=kind,
        steps=tuple(steps),
        ended="throughput stopped growing",
        interrupted=False,
        valid=True,
        scaling={name: scale(kind, one) for name, one in targets.items()},
    )


def crowded(load: int) -> Times:
    """Every component there is."""
    return {
        "client": 0.02 * load,
        "network": 0.3 + 0.2 * load,
        "queue": 0.01 + 9.0 * max(0, load - 2),
        "preprocessing": 1.2 + 0.1 * load,
        "inference": 8.0 + 0.5 * min(load, 2),
        "postprocessing": 0.3 + 0.02 * load,
        "server_other": 0.5 + 0.05 * load,
    }


def of_streams() -> Sweep:
    """Streams, gauges and limits at two loads, the same at both."""
    one = streamed().targets["rest"]
    running = Gauge("running", (1.0, 2.0), (3.0, 5.0), 3.0, 4.0, 5.0)
    used = Gauge("used", (1.0, 2.0), (0.2, 0.4), 0.2, 0.3, 0.4)
    gauges = {"requests_running": running, "kv_cache_usage": used}
    met = Goodput(0.9, 12.0, {"ttft": 60.0, "tpot": 15.0}, (0.8, 0.95))
    target_of = replace(one, gauges=gauges, goodput=met)
    made = sweep("concurrency", rest={1: target_of, 2: target_of})
    return replace(made, slo="ttft < 60ms, tpot < 15ms")


OF_STREAMS = of_streams()
ALL = {
    "streams": OF_STREAMS,
    "workers": sweep("concurrency", rest=closed(pool(4, waits_in="network"))),
    "both": sweep("concurrency", rest=closed(crowded), grpc=closed(cores(2))),
    "one step": sweep("concurrency", rest=closed(cores(2), (1,))),
    "many steps": sweep("concurrency", rest=closed(crowded, tuple(range(1, 20)))),
    "grpc broke off": sweep(
        "concurrency", rest=closed(cores(2)), grpc=closed(pool(1, waits_in="queue"), (1, 2))
    ),
    "rates": sweep(
        "rate",
        rest={
            rate: target({"queue": rate, "inference": 40.0}, min(rate, 25.0))
            for rate in (2.5, 10, 20, 40)
        },
    ),
    "silent": sweep(
        "concurrency",
        rest={
            load: replace(one, components=dict(one.components), share={})
            for load, one in closed(cores(2)).items()
        },
    ),
    "invalid": sweep(
        "concurrency",
        rest={
            load: target(cores(1)(load), 100.0, invalid="errors" if load > 2 else "")
            for load in (1, 2, 4)
        },
    ),
}

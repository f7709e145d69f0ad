"""What the tool itself is worth: its floor, what libraries cost, and what our middleware does.

The first table sends to the null server, so that nothing but the client is seen: 24 KB bodies, one
second for each library, in ten blocks by turns with the engine. The second draws for each request
whether to ask for tracing, of an app that does nothing and of the example server.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from tracebench.benchmark import run
from tracebench.example import picture as coffee
from tracebench.example.serve import spawned as example
from tracebench.load.peers import CLIENTS
from tracebench.load.peers.null_server import HOST, spawned
from tracebench.model.plan import Influence, Payload, Payloads, Plan, Targets, Workload
from tracebench.model.results.result import TargetResult

PAYLOAD = Payload(bytes(24_000), "application/octet-stream", "zeros", "data")
DURATION_S, OBSERVED_S = 1.0, 10.0


def main() -> None:
    libraries()
    print("\ntracing costs at the median, 95 %, of requests")
    with observed_app() as url:
        observe("an app that does nothing", Plan(Payloads(PAYLOAD), Targets(rest_url=url)))
    with example() as server:
        picture = Payload(coffee(), "image/png", "coffee.png", "image")
        both = Plan(
            Payloads(picture), Targets(rest_url=server.rest_url, grpc_server=server.grpc_server)
        )
        observe("the example server", both)


def observe(what: str, plan: Plan) -> None:
    asking = replace(
        plan,
        load=replace(plan.load, requests=None, duration_s=OBSERVED_S, warmup=50),
        influence=Influence(observer_effect=True),
    )
    for name, target in run(asking).targets.items():
        if (effect := target.observer_effect) is not None and effect.p50_ms.ci95 is not None:
            low, high = effect.p50_ms.ci95
            print(
                f"{effect.p50_ms.delta:>+13.3f} ms ({low:+.3f} … {high:+.3f}) of "
                f"{effect.p50_ms.a:.3f} ms   {what}, {name}, {effect.traced:,} and "
                f"{effect.untraced:,} requests"
            )


@contextmanager
def observed_app() -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.observed_app"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        yield f"http://{HOST}:{int(process.stdout.readline())}"  # type: ignore[union-attr] # a pipe
        process.terminate()


def libraries() -> None:
    print("\ntarget   c   p50 of the engine   requests/s   library     costs (mean), 95 %   p50")
    with spawned("rest") as rest, spawned("grpc") as grpc:
        for concurrency in (1, 8):
            plan = Plan(
                Payloads(PAYLOAD),
                Targets(rest_url=f"http://{HOST}:{rest}", grpc_server=f"{HOST}:{grpc}"),
                load=Workload(requests=None, duration_s=DURATION_S, concurrency=concurrency),
                influence=Influence(clients=CLIENTS),
            )
            for name, target in run(plan).targets.items():
                show(name, concurrency, target)


def show(name: str, concurrency: int, target: TargetResult) -> None:
    print(
        f"{name:<6}{concurrency:>4}{target.components['end_to_end'].p50_ms:>17.3f} ms"
        f"{target.throughput_rps:>13,.0f}"
    )
    for library, client in target.clients.items():
        mean, p50 = client.cost_ms["mean_ms"], client.cost_ms["p50_ms"]
        low, high = mean.ci95 or (float("nan"), float("nan"))
        print(
            f"{client.throughput_rps:>43,.0f}   {library:<9}{mean.delta:>+8.3f} ms "
            f"({low:+.3f} … {high:+.3f}){p50.delta:>+9.3f} ms"
        )


if __name__ == "__main__":
    main()

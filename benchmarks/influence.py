"""What the tool itself is worth: its floor, and what client libraries cost against its engine.

Everything is sent to the null server, so that nothing but the client is seen: 24 KB bodies, one
second for each library, in ten blocks by turns with the engine.
"""

from tracebench.benchmark import run
from tracebench.load.clients.catalogue import LIBRARIES
from tracebench.load.null_server.serve import HOST, spawned
from tracebench.model.plan import Payload, Plan
from tracebench.model.result import TargetResult

PAYLOAD = Payload(bytes(24_000), "application/octet-stream", "zeros", "data")
DURATION_S = 1.0


def main() -> None:
    print("\ntarget   c   p50 of the engine   requests/s   library     costs (mean), 95 %   p50")
    with spawned("rest") as rest, spawned("grpc") as grpc:
        for concurrency in (1, 8):
            plan = Plan(
                PAYLOAD,
                rest_url=f"http://{HOST}:{rest}",
                grpc_server=f"{HOST}:{grpc}",
                requests=None,
                duration_s=DURATION_S,
                concurrency=concurrency,
                clients=tuple(LIBRARIES),
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

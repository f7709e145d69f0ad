"""The tool's own influence on the numbers, a line each."""

from collections.abc import Iterator

from tracebench.model.result import ClientCost, Floor, TargetResult
from tracebench.report.numbers import milliseconds, signed


def lines(target: TargetResult) -> Iterator[str]:
    """What was measured of it."""
    if target.floor is not None:
        yield _floor(target.floor)
    for name, client in target.clients.items():
        yield f"by {name}: {_client(client)}"


def _floor(floor: Floor) -> str:
    medians = {"end_to_end": floor.end_to_end, "network": floor.network, "client": floor.client}
    told = ", ".join(f"{name} {milliseconds(one.p50_ms)}" for name, one in medians.items())
    clear = "; in the clear" if floor.in_the_clear else ""
    return f"floor (a server that does nothing), p50: {told}; {floor.throughput_rps:,.0f}/s{clear}"


def _client(client: ClientCost) -> str:
    errors = "".join(f"; {one.count:,} × {one.reason}" for one in client.errors)
    if not client.cost_ms:
        return f"nothing was measured{errors}"
    mean, p50, p95 = (client.cost_ms[name] for name in ("mean_ms", "p50_ms", "p95_ms"))
    interval = ""
    if mean.ci95 is not None:
        interval = f" (95 % interval {' … '.join(map(signed, mean.ci95))})"
    return (
        f"{signed(mean.delta)} ms a request{interval} beside the engine's "
        f"{milliseconds(mean.a)}; p50 {signed(p50.delta)}, p95 {signed(p95.delta)}; "
        f"{client.throughput_rps:,.0f}/s{errors}"
    )

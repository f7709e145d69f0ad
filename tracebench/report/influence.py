"""The tool's own influence on the numbers, a line each."""

from collections.abc import Iterator

from tracebench.model.result import ClientCost, Difference, Floor, ObserverEffect, TargetResult
from tracebench.report.numbers import milliseconds, signed


def lines(target: TargetResult) -> Iterator[str]:
    """What was measured of it."""
    if target.floor is not None:
        yield _floor(target.floor)
    if target.observer_effect is not None:
        yield _observer_effect(target.observer_effect)
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
    return (
        f"{_interval(mean)} beside the engine's {milliseconds(mean.a)}; "
        f"p50 {signed(p50.delta)}, p95 {signed(p95.delta)}; {client.throughput_rps:,.0f}/s{errors}"
    )


def _observer_effect(effect: ObserverEffect) -> str:
    interval = effect.mean_ms.ci95
    nothing = " nothing that shows:" if interval and interval[0] <= 0 <= interval[1] else ""
    return (
        f"tracing costs{nothing} {_interval(effect.mean_ms)}; p50 {signed(effect.p50_ms.delta)}, "
        f"p95 {signed(effect.p95_ms.delta)}; {effect.traced:,} requests asked for it, "
        f"{effect.untraced:,} did not"
    )


def _interval(mean: Difference) -> str:
    interval = ""
    if mean.ci95 is not None:
        interval = f" (95 % interval {' … '.join(map(signed, mean.ci95))})"
    return f"{signed(mean.delta)} ms a request{interval}"

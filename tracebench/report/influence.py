"""The tool's own influence on the numbers, a line each."""

from collections.abc import Iterator

from tracebench.analysis.numbers import milliseconds, signed
from tracebench.model.result import ClientCost, Difference, Floor, ObserverEffect, TargetResult


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
        f"{_interval(mean)} a request beside the engine's {milliseconds(mean.a)}; "
        f"p50 {signed(p50.delta)}, p95 {signed(p95.delta)}; {client.throughput_rps:,.0f}/s{errors}"
    )


def _observer_effect(effect: ObserverEffect) -> str:
    costs = (effect.p50_ms, effect.mean_ms)
    shown = any(one.ci95 and not one.ci95[0] <= 0 <= one.ci95[1] for one in costs)
    return (
        f"tracing costs{'' if shown else ' nothing that shows:'} {_interval(effect.p50_ms)} at the "
        f"median, {_interval(effect.mean_ms)} in the mean; {effect.traced:,} requests asked for "
        f"it, {effect.untraced:,} did not"
    )


def _interval(cost: Difference) -> str:
    interval = ""
    if cost.ci95 is not None:
        interval = f" (95 % interval {' … '.join(map(signed, cost.ci95))})"
    return f"{signed(cost.delta)} ms{interval}"

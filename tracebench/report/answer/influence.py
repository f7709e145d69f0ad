"""The tool's own influence on the numbers, one line each."""

from collections.abc import Iterator

from tracebench.analysis.numbers import counted, milliseconds, rounded, signed
from tracebench.model.results.result import (
    ClientCost,
    Difference,
    Floor,
    ObserverEffect,
    TargetResult,
)


def influence_lines(target: TargetResult, *, brief: bool) -> Iterator[str]:
    """Yield the measurements of the tool's own influence.

    Args:
        target: the result of the target.
        brief: use short lines, of at most 78 columns unless names are unusually long.
    """
    if target.floor is not None:
        yield _floor_in_short(target.floor) if brief else _floor(target.floor)
    if target.observer_effect is not None:
        effect = target.observer_effect
        yield _tracing_in_short(effect) if brief else _observer_effect(effect)
    for name, client in target.clients.items():
        yield f"by {name}: {_client_in_short(client) if brief else _client(client)}"


def _floor_in_short(floor: Floor) -> str:
    median, network = (milliseconds(one.p50_ms) for one in (floor.end_to_end, floor.network))
    clear = ", in the clear" if floor.in_the_clear else ""
    return f"a server that does nothing: p50 {median} ms, of it network {network}{clear}"


def _floor(floor: Floor) -> str:
    medians = {"end_to_end": floor.end_to_end, "network": floor.network, "client": floor.client}
    told = ", ".join(f"{name} {milliseconds(one.p50_ms)}" for name, one in medians.items())
    clear = "; in the clear" if floor.in_the_clear else ""
    return f"floor (a server that does nothing), p50: {told}; {floor.throughput_rps:,.0f}/s{clear}"


def _client_in_short(client: ClientCost) -> str:
    failed = sum(one.count for one in client.errors)
    errors = f"; {failed:,} failed (-v)" if failed else ""
    if not client.cost_ms:
        return f"nothing was measured{errors}"
    return f"{_interval(client.cost_ms['mean_ms'], '')} a request{errors}"


def _client(client: ClientCost) -> str:
    errors = "".join(f"; {one.count:,} × {one.reason}" for one in client.errors)
    if not client.cost_ms:
        return f"nothing was measured{errors}"
    mean, p50, p95 = (client.cost_ms[name] for name in ("mean_ms", "p50_ms", "p95_ms"))
    return (
        f"{_interval(mean)} per request on top of the engine's {milliseconds(mean.a)}; "
        f"p50 {signed(p50.delta)}, p95 {signed(p95.delta)}; {rounded(client.throughput_rps)}/s"
        f"{errors}"
    )


def _costs(effect: ObserverEffect) -> str:
    costs = (effect.p50_ms, effect.mean_ms)
    shown = any(one.ci95 and not one.ci95[0] <= 0 <= one.ci95[1] for one in costs)
    return f"tracing costs{'' if shown else ' nothing measurable:'}"


def _tracing_in_short(effect: ObserverEffect) -> str:
    return f"{_costs(effect)} {_interval(effect.p50_ms, '')} at the median"


def _observer_effect(effect: ObserverEffect) -> str:
    return (
        f"{_costs(effect)} {_interval(effect.p50_ms)} at the median, {_interval(effect.mean_ms)} "
        f"in the mean; {counted(effect.traced, 'request')} asked for it, {effect.untraced:,} did "
        "not"
    )


def _interval(cost: Difference, of: str = "95 % interval ") -> str:
    interval = ""
    if cost.ci95 is not None:
        interval = f" ({of}{' … '.join(map(signed, cost.ci95))})"
    return f"{signed(cost.delta)} ms{interval}"

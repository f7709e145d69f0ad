"""The result as a terminal table: at most 80 columns, plain if colours are not wanted."""

from collections.abc import Iterable, Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from server_middleware.vocabulary import (
    SERVER_PARTS,
    SERVER_PROCESSING,
)
from tracebench.analysis.closure.own_components import share_of
from tracebench.analysis.interpretation import interpret, interpret_tail, was_interrupted
from tracebench.analysis.numbers import milliseconds, signed
from tracebench.model.components import (
    BACKLOG,
    CONNECT,
    END_TO_END,
    LEAVES,
    SERVER_AND_NETWORK,
)
from tracebench.model.result import (
    SHOWN,
    ClientCost,
    Difference,
    Floor,
    ObserverEffect,
    Result,
    Statistics,
    TargetResult,
)
from tracebench.report.difference_table import difference_block
from tracebench.report.stream_table import stream_block
from tracebench.report.terminal import WIDTH, finding_lines, indented, printed, shortened

# The tool's own influence on the numbers, one line each.


def influence_lines(target: TargetResult) -> Iterator[str]:
    """What was measured of the tool's own influence."""
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
        f"{_interval(mean)} per request on top of the engine's {milliseconds(mean.a)}; "
        f"p50 {signed(p50.delta)}, p95 {signed(p95.delta)}; {client.throughput_rps:,.0f}/s{errors}"
    )


def _observer_effect(effect: ObserverEffect) -> str:
    costs = (effect.p50_ms, effect.mean_ms)
    shown = any(one.ci95 and not one.ci95[0] <= 0 <= one.ci95[1] for one in costs)
    return (
        f"tracing costs{'' if shown else ' nothing measurable:'} {_interval(effect.p50_ms)} at the "
        f"median, {_interval(effect.mean_ms)} in the mean; {effect.traced:,} requests asked for "
        f"it, {effect.untraced:,} did not"
    )


def _interval(cost: Difference) -> str:
    interval = ""
    if cost.ci95 is not None:
        interval = f" (95 % interval {' … '.join(map(signed, cost.ci95))})"
    return f"{signed(cost.delta)} ms{interval}"


# The result as a terminal table: at most 80 columns, plain if colours are not wanted.

_BAR = max(0, 50 - 10 * len(SHOWN))
"""Width of the longest bar: what the numbers leave of a line."""
_MOST_ERRORS = 20
"""How many reasons are printed; the verdict must stay in sight."""
_OF_ALL = (
    "latency of all: every success and every time-out; the rows above it leave out time-outs and "
    "what was not decomposed"
)
_QUIET = (BACKLOG, CONNECT)
"""Rows that are omitted if zero."""


def render(result: Result, *, width: int = WIDTH, color: bool = False) -> str:
    """The whole result as text.

    Args:
        result: what was found.
        width: the maximum line length, except for links.
        color: whether to use terminal codes for colours and weight.
    """
    return printed(_parts(result), width, color=color)


def _parts(result: Result) -> Iterator[RenderableType | str]:
    for name, target in result.targets.items():
        yield _target(name, target, result)
        yield from _links(target)
    if result.comparison is not None:
        yield difference_block(result.comparison)


def _target(name: str, target: TargetResult, result: Result) -> RenderableType:
    return Group(
        Text(f"{name}  {target.address}", style="bold", overflow="ellipsis", no_wrap=True),
        *(indented(Text(line)) for line in _facts(target)),
        "",
        *_table(target),
        *_sentences(target, result),
        *([] if target.stream is None else ["", *stream_block(target.stream)]),
        *(indented(Text(line)) for line in influence_lines(target)),
        "",
        *_errors(target),
        *_verdict(target),
        "",
    )


def _facts(target: TargetResult) -> Iterable[str]:
    counts = target.requests
    ended = {
        "failed": counts.failed,
        "timed out": counts.timed_out,
        "cancelled": counts.cancelled,
    }
    bad = "".join(f", {count:,} {how}" for how, count in ended.items() if count)
    yield (
        f"{counts.succeeded:,} of {counts.started:,} requests succeeded{bad}; "
        f"{target.throughput_rps:,.1f}/s for {target.duration_s:.1f} s"
    )
    if target.warmup is not None:
        before = "" if target.warmup.cut_s is None else f" ({target.warmup.cut_s:.1f} s)"
        yield f"warm-up left out: {target.warmup.cut:,} requests{before}"
    sources = [
        f"{count:,} by {source}"
        for source, count in target.server_timing_source.items()
        if count and source != "none"
    ]
    facts = [f"decomposed: {', '.join(sources) or 'none'}"]
    if target.tcp is not None:
        facts.append(f"TCP round trip {milliseconds(target.tcp.min_rtt_ms)} ms")
        facts.append(f"{target.tcp.connections:,} connections")
    yield " · ".join(facts)


def _table(target: TargetResult) -> Iterable[RenderableType]:
    if not target.components:
        return
    table = Table(box=None, padding=(0, 1), pad_edge=True)
    table.add_column("ms", no_wrap=True, min_width=len(SERVER_AND_NETWORK))
    for name in SHOWN:
        table.add_column(name.removesuffix("_ms"), justify="right", min_width=8)
    table.add_column("share", justify="right", min_width=6, no_wrap=True)
    table.add_column("", no_wrap=True, overflow="crop")
    within = _within(target)
    for name in _rows(target):
        total = name in (SERVER_PROCESSING, END_TO_END)
        style = "dim" if name in within else "bold" if total else None
        table.add_row(*_cells(name, target), style=style)
    whole = target.latency
    more = whole is not None and whole.count != target.components[END_TO_END].count
    if whole is not None and more:
        values = (_value(whole, key) for key in SHOWN)
        table.add_row("latency of all", *values, style="bold")
    yield table
    if more:
        yield indented(Text(_OF_ALL, style="dim"))
    if any(target.components[name].unsupported for name in _rows(target)):
        yield indented(Text("~ too few samples for this percentile", style="dim"))
    yield ""


def _rows(target: TargetResult) -> list[str]:
    """Components in the order of a request's life, sums below their parts."""
    outside = [name for name in LEAVES if name not in SERVER_PARTS]
    server = [one for name in SERVER_PARTS for one in (name, *target.parts_of.get(name, ()))]
    order = (*outside, SERVER_AND_NETWORK, *server, SERVER_PROCESSING, END_TO_END)
    known = [name for name in order if name in target.components]
    return [name for name in known if name not in _QUIET or target.components[name].max_ms > 0]


def _within(target: TargetResult) -> set[str]:
    """The names that are part of another row."""
    return {name for parts in target.parts_of.values() for name in parts}


def _cells(name: str, target: TargetResult) -> list[str]:
    values = [_value(target.components[name], key) for key in SHOWN]
    if name in _within(target):  # included in the share of the whole
        return [f"    {shortened(name)}", *values, f"({share_of(target.components, name):.1%})", ""]
    share = target.share.get(name)
    return [
        f"  {name}" if name in SERVER_PARTS else name,
        *values,
        "" if share is None else f"{share:.1%}",
        "" if share is None else "█" * round(share * _BAR),
    ]


def _value(statistics: Statistics, key: str) -> str:
    """The statistic as text; empty if the result is older than the statistic."""
    mark, value = "~" if key in statistics.unsupported else "", getattr(statistics, key)
    return "" if value is None else mark + milliseconds(value)


def _sentences(target: TargetResult, result: Result) -> Iterable[RenderableType]:
    """The sentences of the summary, in bold only if they can be trusted."""
    style = "bold" if target.verdict.valid and not was_interrupted(target) else "none"
    first = interpret(target, result.plan, result.environment)
    for sentence in filter(None, (first, interpret_tail(target))):
        yield indented(Text(f"{sentence[:1].upper()}{sentence[1:]}.", style=style))


def _links(target: TargetResult) -> Iterable[str]:
    """Links to the exemplars, of which the last is the slowest."""
    linked = [one for one in target.exemplars if one.url is not None]
    if target.search_url is not None:
        yield f"  traces: {target.search_url}"
    for one in linked[-1:]:
        which = "slowest" if one.percentile == 100 else f"p{one.percentile:g}"
        yield f"  {which}, {milliseconds(one.end_to_end_ms)} ms: {one.url}"
    if linked or target.search_url is not None:
        yield ""


def _errors(target: TargetResult) -> Iterable[RenderableType]:
    for error in target.errors[:_MOST_ERRORS]:
        example = f": {error.example}" if error.example else ""
        yield indented(Text(f"{error.count:,} × {error.reason}{example}", style="red"))
    if more := target.errors[_MOST_ERRORS:]:
        count = sum(error.count for error in more)
        more_text = f"{count:,} × {len(more):,} more reasons: see --output-json"
        yield indented(Text(more_text, style="red"))
    if target.errors:
        yield ""


def _verdict(target: TargetResult) -> Iterable[RenderableType]:
    word, style = _judgement(target)
    yield indented(Text(f"Verdict: {word}", style=style))
    for finding in target.verdict.findings:
        yield finding_lines(finding)


def _judgement(target: TargetResult) -> tuple[str, str]:
    """The verdict in a few words, and how they are printed."""
    cut_short = was_interrupted(target)
    at = "" if target.interrupted_at is None else f" at {target.interrupted_at:.0%}"
    if not target.verdict.valid:
        more = f" (interrupted{at})" if cut_short else ""
        return f"NOT VALID: do not trust these numbers{more}", "bold red"
    if cut_short:
        return f"interrupted{at}; valid for what was measured", "bold yellow"
    return "valid", "bold green"

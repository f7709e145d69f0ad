"""Panels of a sweep over streams: tokens, first tokens, goodput, and the server's own gauges."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from matplotlib.axes import Axes

from tracebench.analysis.numbers import rounded
from tracebench.model.objectives import Limit
from tracebench.model.results.result import TargetResult
from tracebench.model.results.statistics import Statistics
from tracebench.model.results.stream_result import StreamResult
from tracebench.model.results.sweep import LoadKind
from tracebench.report.figures.figure_style import COMPONENTS, INVALID, logarithmic
from tracebench.report.figures.load_axes import MET, loads_axis
from tracebench.report.figures.panels.gauge_panels import is_share

Targets = Mapping[float, TargetResult]
Panel = Callable[[Axes], None]
_TOKENS: Final = "#0072b2"
_P50, _P95, _OTHER = ("o-", "#444444"), ("s--", "#e69f00"), ("^:", COMPONENTS["connect"].color)
_LOOKS: Final = (_P50, _P95, _OTHER, ("D-.", "#56b4e9"))


def panels_of(targets: Targets, limits: Sequence[Limit]) -> list[tuple[Panel, bool]]:
    """The panels to draw, and whether loads are along the bottom of each; none without streams."""
    streams = {load: one.stream for load, one in targets.items() if one.stream is not None}
    panels: list[tuple[Panel, bool]] = []
    if any(one.ttft is not None for one in streams.values()):
        panels += [
            (partial(_tokens, streams=streams), True),
            (partial(_against_first, streams=streams, limits=limits), False),
            (partial(_first, streams=streams, limits=limits), True),
            (partial(_gaps, streams=streams, limits=limits), True),
        ]
    if streams and any(one.goodput is not None for one in targets.values()):
        panels.append((partial(_goodput, targets=targets), True))
    for shares, title in ((False, "gauges"), (True, "gauges that are shares")):
        if _gauges_of(targets, shares=shares):
            name = f"The server's {title}: median"
            panels.append((partial(_gauges, targets=targets, shares=shares, title=name), True))
    return panels


def draw_panels(
    places: Iterable[Axes], panels: Sequence[tuple[Panel, bool]], kind: LoadKind, loads: list[float]
) -> None:
    """Draw each panel in a place, and hide the places that are left over."""
    places = list(places)
    for axes, (draw, has_loads) in zip(places, panels, strict=False):
        draw(axes)
        if has_loads:
            loads_axis(axes, kind, loads)
    for axes in places[len(panels) :]:
        axes.set_visible(False)


def _tokens(axes: Axes, streams: Mapping[float, StreamResult]) -> None:
    axes.set_title("Output tokens per second")
    axes.set_ylabel("tokens/s")
    known = _rates(streams)
    axes.plot([load for load, _ in known], [rate for _, rate in known], "o-", color=_TOKENS)
    axes.set_ylim(bottom=0)


def _rates(streams: Mapping[float, StreamResult]) -> list[tuple[float, float]]:
    return [
        (load, one.output_tokens_per_s)
        for load, one in streams.items()
        if one.output_tokens_per_s is not None
    ]


def _against_first(
    axes: Axes, streams: Mapping[float, StreamResult], limits: Sequence[Limit]
) -> None:
    """What more throughput costs: each point is a load, named beside it."""
    axes.set_title("Tokens per second against the first token (p95), by load")
    axes.set_xlabel("ttft, ms")
    axes.set_ylabel("tokens/s")
    known = [
        (load, ttft.p95_ms, rate)
        for load, rate in _rates(streams)
        if (ttft := streams[load].ttft) is not None
    ]
    axes.plot([at for _, at, _ in known], [rate for *_, rate in known], "o-", color=_TOKENS)
    for load, at, rate in known:
        axes.annotate(
            f"{load:g}", (at, rate), xytext=(4, -11), textcoords="offset points", fontsize=9
        )
    for limit in _of("ttft", limits):
        axes.axvline(limit.most_ms, color=MET, linewidth=1.2, label=f"< {limit.most_ms:g} ms")
        axes.legend(frameon=False, loc="lower right")
    axes.set_ylim(bottom=0)
    axes.grid(visible=True, color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)


def _first(axes: Axes, streams: Mapping[float, StreamResult], limits: Sequence[Limit]) -> None:
    axes.set_title("Time to the first token")
    ttft = {load: one.ttft for load, one in streams.items()}
    lines = (("p50", ttft, "p50_ms", _P50), ("p95", ttft, "p95_ms", _P95))
    _percentiles(axes, lines, _of("ttft", limits))


def _gaps(axes: Axes, streams: Mapping[float, StreamResult], limits: Sequence[Limit]) -> None:
    axes.set_title("Between tokens")
    tpot = {load: one.tpot for load, one in streams.items()}
    itl = {load: one.itl for load, one in streams.items()}
    lines = (("tpot p50", tpot, "p50_ms", _P50), ("tpot p95", tpot, "p95_ms", _P95))
    _percentiles(axes, (*lines, ("itl p95", itl, "p95_ms", _OTHER)), _of("tpot", limits))


def _of(metric: str, limits: Sequence[Limit]) -> list[Limit]:
    return [one for one in limits if one.metric == metric]


def _percentiles(
    axes: Axes,
    lines: Iterable[tuple[str, Mapping[float, Statistics | None], str, tuple[str, str]]],
    limits: Sequence[Limit],
) -> None:
    axes.set_ylabel("ms")
    for label, statistics, name, (line, color) in lines:
        known = [(load, getattr(one, name)) for load, one in statistics.items() if one is not None]
        if known:
            axes.plot(*zip(*known, strict=True), line, color=color, label=label)
    for limit in limits:
        label = f"{limit.metric} < {limit.most_ms:g} ms"
        axes.axhline(limit.most_ms, color=MET, linewidth=1.2, label=label)
    if axes.lines:
        logarithmic(axes.yaxis)
        axes.legend(frameon=False)


def _goodput(axes: Axes, targets: Targets) -> None:
    """The share that meets every limit, with its interval, and the rate of those that do."""
    axes.set_title("Goodput: requests that meet every limit")
    axes.set_ylabel("%")
    known = {load: one.goodput for load, one in targets.items() if one.goodput is not None}
    axes.plot([*known], [100 * one.share for one in known.values()], "o-", color=MET)
    for load, one in known.items():
        if one.ci95 is not None:
            low, high = one.ci95
            axes.plot([load, load], [100 * low, 100 * high], color=MET, linewidth=3, alpha=0.4)
        told = f"{rounded(one.rps)}/s"
        place = (load, 100 * one.share)
        axes.annotate(told, place, xytext=(4, 5), textcoords="offset points", fontsize=8)
    for bound in {one.bound for r in targets.values() for one in r.objectives if one.is_share}:
        axes.axhline(100 * bound, color=INVALID, linewidth=1, label=f"asked for: {bound:.4g}")
        axes.legend(frameon=False, loc="lower left")
    axes.set_ylim(0, 112)


def _gauges_of(targets: Targets, *, shares: bool) -> dict[str, dict[float, float]]:
    """Gauge → load → its median."""
    found: dict[str, dict[float, float]] = {}
    for load, target in targets.items():
        for name, gauge in target.gauges.items():
            if is_share(name, gauge) == shares:
                found.setdefault(name, {})[load] = gauge.median
    return found


def _gauges(axes: Axes, targets: Targets, *, shares: bool, title: str) -> None:
    axes.set_title(title)
    axes.set_ylabel("%" if shares else "")
    for place, (name, values) in enumerate(_gauges_of(targets, shares=shares).items()):
        line, color = _LOOKS[place % len(_LOOKS)]
        heights = [(100 if shares else 1) * one for one in values.values()]
        axes.plot([*values], heights, line, color=color, label=name.replace("_", " "))
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)

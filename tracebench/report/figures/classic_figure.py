"""The classic figure: component times, mean and p95, percentages, cumulative distribution."""

from collections.abc import Iterator, Mapping, Sequence
from math import nan
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tracebench.analysis.numbers import counted, milliseconds, percent
from tracebench.model.components import END_TO_END
from tracebench.model.results.result import Result, TargetResult
from tracebench.model.results.statistics import Statistics
from tracebench.report.figures.figure_style import (
    INVALID,
    SIZE_IN,
    empty,
    logarithmic,
    look_of_target,
    plainly,
)
from tracebench.report.figures.panels.component_panels import layers
from tracebench.report.figures.panels.gauge_panels import (
    counts_over_time,
    gauges_in,
    shares_over_time,
)
from tracebench.report.figures.panels.stream_panels import first_token, gaps, streams_in
from tracebench.report.several import Several, targets_of, together

_LABELLED = 0.04
"""Segments below this share of the axis have no label."""
_MARKS = (0.5, 0.95, 0.99)

Targets = Mapping[str, TargetResult]


@plainly
def make(found: Result | Several[Result]) -> Figure:
    """The figure: component times, latency, shares, distribution."""
    several = together(found)
    targets = {one.title: one.target for one in targets_of(several)}
    streams, gauged = streams_in(targets), gauges_in(targets)
    rows = 2 + bool(streams) + bool(gauged)
    width, height = SIZE_IN
    figure = Figure(figsize=(width, height * rows / 2), layout="constrained")
    panels = figure.subplots(rows, 2)
    (times, latency), (shares, curves) = panels[:2]
    if streams:
        first_token(panels[2][0], streams)
        gaps(panels[2][1], streams)
    if gauged:
        counts_over_time(panels[-1][0], gauged)
        shares_over_time(panels[-1][1], gauged)
    _stack(times, targets, share=False)
    _latency(latency, targets)
    _stack(shares, targets, share=True)
    _curves(curves, targets)
    figure.suptitle("\n".join(_title(several)), fontsize=11)
    labelled = dict[str, Any]()
    for axes in (times, *panels[2 : 2 + bool(streams), :1].flat):
        handles, labels = axes.get_legend_handles_labels()
        labelled = dict(zip(labels, handles, strict=True)) | labelled
    if labelled:
        figure.legend(
            labelled.values(),
            labelled.keys(),
            loc="outside lower center",
            ncols=7,
            columnspacing=1.4,
            frameon=False,
        )
    invalid = [name for name, target in targets.items() if not target.verdict.valid]
    if invalid:
        text = f"NOT VALID: {', '.join(invalid)}"
        figure.text(
            0.5, 0.5, text, color=INVALID, alpha=0.35, fontsize=44, ha="center", rotation=20
        )
    return figure


def _title(several: Several[Result]) -> Iterator[str]:
    for name, result in several.results.items():
        targets = "   ".join(f"{one}: {target.address}" for one, target in result.targets.items())
        cut_short = "".join(
            f"; {one} interrupted at {percent(target.interrupted_at)}"
            for one, target in result.targets.items()
            if target.interrupted_at is not None
        )
        yield f"{name}   {targets}".strip()
        yield f"{_amount(result.plan)} a target, {_pace(result.plan)}{cut_short}"


def _amount(plan: Mapping[str, Any]) -> str:
    if plan.get("requests"):
        return counted(plan["requests"], "request")
    return f"{plan['duration_s']:g} s" if plan.get("duration_s") else "the whole schedule"


def _pace(plan: Mapping[str, Any]) -> str:
    """The load: the rates of an open loop, or the concurrency of a closed one."""
    if plan.get("rate"):
        rates = dict.fromkeys(one[end] for one in plan["rate"] for end in ("from_rps", "to_rps"))
        return f"{' … '.join(f'{rate:g}' for rate in rates)}/s ({plan.get('arrival')})"
    if plan.get("schedule_s"):
        return "sent as scheduled"
    return f"concurrency {plan.get('concurrency')}"


def _stack(axes: Axes, targets: Targets, *, share: bool) -> None:
    """Stacked leaf components: mean ms, or percent of the mean."""
    axes.set_title("Share of mean latency" if share else "Where the time goes: mean")
    axes.set_ylabel("%" if share else "ms")
    known = {name: target for name, target in targets.items() if target.share}
    if not known:
        return empty(axes, "no request succeeded")
    places = range(len(known))
    scales = [100.0 if share else one.components[END_TO_END].mean_ms for one in known.values()]
    bottoms = [0.0] * len(known)
    for label, look, shares in layers(list(known.values())):
        heights = [part * scale for part, scale in zip(shares, scales, strict=True)]
        axes.bar(
            places,
            heights,
            0.55,
            bottom=bottoms,
            label=label,
            color=look.color,
            hatch=look.hatch,
            edgecolor="white",
            linewidth=0.8,
        )
        _label(axes, heights, bottoms, max(scales), share=share)
        bottoms = [low + height for low, height in zip(bottoms, heights, strict=True)]
    axes.set_xticks(list(places), list(known))
    axes.set_xlim(-0.6, len(known) - 0.4)


def _label(
    axes: Axes, heights: Sequence[float], bottoms: Sequence[float], top: float, *, share: bool
) -> None:
    for place, (height, low) in enumerate(zip(heights, bottoms, strict=True)):
        if height > _LABELLED * top:
            text = f"{height:.1f} %" if share else f"{milliseconds(height)} ms"
            box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5}
            axes.text(place, low + height / 2, text, ha="center", va="center", fontsize=9, bbox=box)


def _latency(axes: Axes, targets: Targets) -> None:
    """Mean and 95th percentile, with confidence intervals if the samples allow them."""
    timed_out = any(one.requests.timed_out for one in targets.values())
    axes.set_title(
        "Latency of successes and time-outs" if timed_out else "Latency of all successes"
    )
    axes.set_ylabel("ms")
    known = [(name, one.latency) for name, one in targets.items() if one.latency is not None]
    if not known:
        return empty(axes, "no request succeeded")
    width = 0.8 / len(known)
    for number, (name, latency) in enumerate(known):
        look = look_of_target(number)
        places = [place + (number - (len(known) - 1) / 2) * width for place in range(2)]
        values = [latency.mean_ms, latency.p95_ms]
        bars = axes.bar(
            places,
            values,
            width * 0.92,
            label=name,
            color=look.color,
            hatch=look.hatch,
            edgecolor="white",
            yerr=_whiskers(latency),
            capsize=4,
        )
        marks = ["", "~" if "p95_ms" in latency.unsupported else ""]
        labels = [f"{mark}{milliseconds(value)}" for mark, value in zip(marks, values, strict=True)]
        axes.bar_label(bars, labels, padding=3, fontsize=9)
    axes.set_xticks([0, 1], ["mean", "p95"])
    axes.margins(y=0.15 if len(known) == 1 else 0.3)
    if len(known) > 1:
        axes.legend(frameon=False, loc="upper left")  # the taller bars are on the right


def _whiskers(latency: Statistics) -> list[list[float]]:
    below, above = [], []
    for name in ("mean_ms", "p95_ms"):
        value = getattr(latency, name)
        low, high = latency.ci95.get(name, (nan, nan))  # no cap without an interval
        below.append(value - low)
        above.append(high - value)
    return [below, above]


def _curves(axes: Axes, targets: Targets) -> None:
    """The latency distribution of each target, with the usual percentiles marked."""
    axes.set_title("Latency distribution")
    axes.set_xlabel("ms")
    axes.set_ylabel("% of requests below")
    known = [(name, one.cdf) for name, one in targets.items() if one.cdf is not None]
    if not known:
        return empty(axes, "no request succeeded")
    for number, (name, curve) in enumerate(known):
        color = look_of_target(number).color
        percent = [100 * quantile for quantile in curve.quantile]
        line = look_of_target(number).line
        axes.step(curve.ms, percent, line, where="post", color=color, label=name, linewidth=1.8)
    for mark in _MARKS:
        axes.axhline(100 * mark, color="#999999", linewidth=0.6, linestyle=":")
        axes.annotate(
            f"p{100 * mark:.0f}",
            (1.005, 100 * mark),
            xycoords=("axes fraction", "data"),
            fontsize=8,
            va="center",
        )
    widest = max(curve.ms[-1] / max(curve.ms[len(curve.ms) // 2], 1e-9) for _, curve in known)
    if widest > 20:
        logarithmic(axes.xaxis)
    axes.set_ylim(0, 101)
    if len(known) > 1:
        axes.legend(frameon=False, loc="lower right")

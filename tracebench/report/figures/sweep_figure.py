"""A sweep as a figure: throughput and its knee, latency, and each component's growth."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from math import log10

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patheffects import Normal, Stroke

from tracebench.analysis.numbers import rounded
from tracebench.analysis.objectives.limits import LATENCY, objectives_of
from tracebench.analysis.scaling.scalability_law import predict
from tracebench.model.components import END_TO_END
from tracebench.model.objectives import Limit
from tracebench.model.results.result import TargetResult
from tracebench.model.results.sweep import LoadKind, Point, Scaling, Sweep
from tracebench.report.answer.where import where
from tracebench.report.figures.figure_style import (
    COMPONENTS,
    DARK,
    INVALID,
    SIZE_IN,
    logarithmic,
    plainly,
)
from tracebench.report.figures.load_axes import MET, loads_axis
from tracebench.report.figures.panels.sweep_panels import draw_panels, panels_of
from tracebench.report.several import Several, title, together
from tracebench.report.tables.sweep_table import shown

_AXIS = {"concurrency": "requests in flight (concurrency)", "rate": "requests per second asked for"}
_PERCENTILES = {
    "p50_ms": ("o-", "#444444"),
    "p95_ms": ("s--", "#e69f00"),
    "p99_ms": ("^:", "#d55e00"),
}
_GREY = "#777777"
_ABREAST = 2
"""Targets side by side."""
_MARKERS = "osv^DPX*"
_OUTLINE = [Stroke(linewidth=3.2, foreground="#333333"), Normal()]
"""Outline of lines, whose colours are meant for areas and would be faint on white."""
_TEXT_APART = 0.055


@plainly
def make(found: Sweep | Several[Sweep]) -> Figure:
    """The figure: four panels for each target, more of streams; at most two targets abreast."""
    drawn = [
        (name, sweep, target)
        for name, sweep in together(found).results.items()
        for target in sweep.scaling
    ]
    columns, rows = min(len(drawn), _ABREAST), -(-len(drawn) // _ABREAST)
    width_in, height_in = SIZE_IN
    heights = [_rows(panels_of(_targets(sweep, name), _limits(sweep))) for _, sweep, name in drawn]
    higher = [max(heights[at : at + columns]) for at in range(0, len(heights), columns)]
    size_in = width_in * max(1.0, 0.8 * columns), height_in * sum(higher) / 2
    figure = Figure(figsize=size_in, layout="constrained")
    parts = figure.subfigures(
        rows, columns, squeeze=False, wspace=0.04, hspace=0.04, height_ratios=higher
    )
    for part, one in zip(parts.flat, drawn, strict=False):
        _target(part, *one)
    return figure


def _targets(sweep: Sweep, name: str) -> dict[float, TargetResult]:
    """Load → the result of a target."""
    return {s.load: s.result.targets[name] for s in sweep.steps if name in s.result.targets}


def _limits(sweep: Sweep) -> list[Limit]:
    asked = objectives_of(sweep.slo, 0.5) if sweep.slo else ()
    return [limit for one in asked for limit in one.limits]


def _rows(more: Sequence[object]) -> int:
    """How many rows of two panels a target has, four of which it always has."""
    return 2 + (len(more) + 1) // 2


def _target(part: SubFigure, run: str, sweep: Sweep, name: str) -> None:
    scaling, kind = sweep.scaling[name], sweep.kind
    targets, limits = _targets(sweep, name), _limits(sweep)
    address = next(iter(targets.values())).address
    called = title(run or sweep.label, name, len(sweep.scaling))
    more = panels_of(targets, limits)
    (throughput, latency), (stack, growth), *others = part.subplots(_rows(more), 2)
    points = scaling.points
    _throughput(throughput, kind, scaling)
    _latency(latency, targets)
    _objective(latency, scaling, limits)
    _stack(stack, points)
    _growth(growth, points)
    for axes in (throughput, latency, stack, growth):
        loads_axis(axes, kind, [point.load for point in points])
    draw_panels([axes for pair in others for axes in pair], more, kind, [*targets])
    doubt = "" if sweep.valid else "NOT VALID: some loads have no numbers to trust\n"
    color = DARK if sweep.valid else INVALID
    told = f"{doubt}{_headline(scaling)}\n{called}: {address}\n{where([sweep.steps[0].result])}"
    part.suptitle(told, fontsize=11.5, color=color)
    handles, labels = stack.get_legend_handles_labels()
    if handles:
        part.legend(handles, labels, loc="outside lower center", ncols=len(handles), frameon=False)


def _headline(scaling: Scaling) -> str:
    head = scaling.sentence.partition(";")[0].partition(":")[0]
    return head[:1].upper() + head[1:]


def _throughput(axes: Axes, kind: LoadKind, scaling: Scaling) -> None:
    axes.set_title("Throughput")
    axes.set_ylabel("requests per second")
    loads = [point.load for point in scaling.points]
    rates = [point.throughput_rps for point in scaling.points]
    top = max(rates) * 1.25 or 1.0
    fine = np.geomspace(loads[0], loads[-1], 200)
    if scaling.knee is not None and scaling.capacity_rps is not None:
        ideal = fine * scaling.capacity_rps / scaling.knee
        axes.plot(fine, ideal, ":", color=_GREY, label="without waiting")
        axes.axhline(scaling.capacity_rps, color=_GREY, linestyle="--", label="capacity")
        knee = f"knee: {rounded(scaling.knee)}"
        axes.axvline(scaling.knee, color=INVALID, linewidth=1.2, label=knee)
    if scaling.law is not None and scaling.law.fits:
        curve = [predict(scaling.law, load) for load in fine]
        axes.plot(
            fine, curve, "-", color="#56b4e9", linewidth=4, alpha=0.5, label="scalability law"
        )
    axes.plot(loads, rates, "o-", color="#0072b2", label="measured")
    for point in scaling.points:
        if not point.valid:
            axes.plot(point.load, point.throughput_rps, "X", color=INVALID, markersize=11)
    axes.set_ylim(0, top)
    axes.legend(loc="lower right", framealpha=0.9, edgecolor="none")


def _latency(axes: Axes, targets: Mapping[float, TargetResult]) -> None:
    axes.set_title("Latency of successes and time-outs")
    axes.set_ylabel("ms")
    known = [(load, one.latency) for load, one in targets.items() if one.latency is not None]
    for name, (line, color) in _PERCENTILES.items():
        values = [getattr(latency, name) for _, latency in known]
        label = name.removesuffix("_ms")
        axes.plot([load for load, _ in known], values, line, color=color, label=label)
    if known:
        logarithmic(axes.yaxis)
        axes.legend(frameon=False)


def _objective(axes: Axes, scaling: Scaling, limits: Sequence[Limit]) -> None:
    """Mark the latency limits, and the last load that meets all objectives."""
    for limit in limits:
        if limit.metric in (LATENCY, END_TO_END):
            axes.axhline(limit.most_ms, color=MET, linewidth=1.2, label=f"< {limit.most_ms:g} ms")
    if scaling.highest_met is not None:
        label = f"met up to {rounded(scaling.highest_met)}"
        axes.axvline(scaling.highest_met, color=MET, linestyle="--", linewidth=1.2, label=label)
    if limits and axes.lines:
        axes.legend(frameon=False)


def _stack(axes: Axes, points: Sequence[Point]) -> None:
    axes.set_title("Where the time goes: mean")
    axes.set_ylabel("ms")
    known = [point for point in points if point.mean_ms]
    bottom = np.zeros(len(known))
    for name in shown(points):
        height = np.array([point.mean_ms.get(name, 0.0) for point in known])
        look = COMPONENTS[name]
        axes.fill_between(
            [point.load for point in known],
            bottom,
            bottom + height,
            label=name.replace("_", " "),
            facecolor=look.color,
            hatch=look.hatch,
            edgecolor="white",
            linewidth=0.8,
        )
        axes.plot([point.load for point in known], bottom + height, color="#333333", linewidth=0.6)
        bottom += height
    axes.set_ylim(0, None)


def _growth(axes: Axes, points: Sequence[Point]) -> None:
    """Each component on its own, so that growth hidden in the stack is visible."""
    axes.set_title("Growth of each component: mean")
    axes.set_ylabel("ms")
    ends = []
    for name, marker in zip(shown(points), cycle(_MARKERS)):
        known = [(p.load, p.mean_ms[name]) for p in points if p.mean_ms.get(name, 0.0) > 0]
        loads, means_ms = zip(*known, strict=True)
        color = COMPONENTS[name].color
        axes.plot(loads, means_ms, marker=marker, color=color, linewidth=2, path_effects=_OUTLINE)
        ends.append((name, means_ms[-1]))
    if ends:
        logarithmic(axes.yaxis)
        _name_lines(axes, ends)


def _name_lines(axes: Axes, ends: Sequence[tuple[str, float]]) -> None:
    """Label lines at their ends, at least a line of text apart, so that no legend is needed."""
    low, high = (log10(limit) for limit in axes.get_ylim())
    below = -1.0
    for name, end in sorted(ends, key=lambda one: one[1]):
        place = max((log10(end) - low) / (high - low), below + _TEXT_APART)
        axes.annotate(
            name.replace("_", " "),
            (1.02, place),
            xycoords="axes fraction",
            fontsize=9,
            va="center",
            annotation_clip=False,
        )
        below = place

"""A comparison of saved runs as a figure: differences with intervals, and by percentile."""

from collections.abc import Sequence
from textwrap import fill
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from tracebench.analysis.difference.answer import Line, lines, matters
from tracebench.analysis.numbers import rounded
from tracebench.model.components import END_TO_END, LATENCY, SERVICE_TIME
from tracebench.model.results.comparison import Differences, RunComparison, Shift, Side
from tracebench.report.figures.figure_style import COMPONENTS, SIZE_IN, SOFT, plainly
from tracebench.report.several import Several, title, together
from tracebench.report.tables.terminal import shortened

_STATISTICS: Final = {"mean_ms": ("D", 0.24), "p50_ms": ("o", 0.0), "p95_ms": ("s", -0.24)}
"""Statistic → its marker, and its vertical offset from the component's line."""
_MARK_PT: Final = 5
_LEAST_SHARE: Final = 0.005
"""Components with a smaller share of the latency are omitted unless they differ."""
_PLAIN: Final = "#444444"
_LINE: Final = 130
"""Longest line of a title, in characters."""
_SHOWN: Final = {"slower": "#d55e00", "faster": "#009e73"}


@plainly
def make(found: RunComparison | Several[RunComparison]) -> Figure:
    """The figure: a row of two panels for each target."""
    drawn = [
        (title(name, target, len(one.differences)), one, target)
        for name, one in together(found).results.items()
        for target in one.differences
    ]
    width_in, height_in = SIZE_IN
    figure = Figure(figsize=(width_in, height_in * 0.62 * len(drawn)), layout="constrained")
    parts = figure.subfigures(len(drawn), 1, squeeze=False)[:, 0]
    for part, one in zip(parts, drawn, strict=True):
        _target(part, *one)
    return figure


def _target(part: SubFigure, called: str, found: RunComparison, target: str) -> None:
    differences = found.differences[target]
    left, right = part.subplots(1, 2)
    _components(left, _rows(differences), differences)
    if target in found.shift:
        _shift(right, found.shift[target])
    else:
        right.set_axis_off()
    sides = "   ".join(f"{side.label}: {_files(side.files)}" for side in (found.a, found.b))
    unknown = "   (run-to-run variance unknown)" if found.run_to_run == "unknown" else ""
    sentence = found.sentences[target]
    part.suptitle(f"{fill(sentence, _LINE)}\n{called}   {sides}{unknown}", fontsize=11)
    part.supxlabel(_where(found.a, found.b), x=0.012, ha="left", fontsize=8.5, color=SOFT)


def _where(a: Side, b: Side) -> str:
    """When and where both sides were measured; said once if it is the same."""
    if a.where == b.where:
        return a.where
    return "\n".join(f"{side.label}: {side.where}" for side in (a, b) if side.where)


def _files(files: Sequence[str]) -> str:
    return shortened(" ".join(file.rpartition("/")[2] for file in files), 40)


def _rows(differences: Differences) -> list[Line]:
    """The lines to draw, from top to bottom."""
    whole = differences[END_TO_END]["mean_ms"]
    least = _LEAST_SHARE * max(whole.a, whole.b)
    large = {
        name
        for name, one in differences.items()
        if max(one["mean_ms"].a, one["mean_ms"].b) >= least and name != SERVICE_TIME
    }
    every = [
        one
        for one in lines(differences)
        if one.statistic in _STATISTICS and one.difference.ci95 is not None
    ]
    shown = {one.component for one in every if one.is_shown and matters(one, differences)}
    return [one for one in every if one.component in large | shown - {SERVICE_TIME}]


def _components(axes: Axes, rows: Sequence[Line], differences: Differences) -> None:
    names = [*dict.fromkeys(one.component for one in rows)]
    for component, statistic, one in rows:
        mark, beside = _STATISTICS[statistic]
        height = len(names) - 1 - names.index(component) + beside
        color = _SHOWN.get(one.verdict or "", _PLAIN)
        assert one.ci95 is not None  # `_rows` omits lines without an interval
        axes.plot(one.ci95, (height, height), color=color, linewidth=1.8, zorder=2)
        filled = color if one.verdict in _SHOWN else "white"
        axes.plot(
            one.delta,
            height,
            mark,
            color=color,
            markersize=_MARK_PT,
            markerfacecolor=filled,
            zorder=3,
        )
    axes.axvline(0, color="#999999", linewidth=1, zorder=1)
    axes.set_yticks(range(len(names)), [shortened(_told(one), 22) for one in reversed(names)])
    for tick, name in zip(axes.get_yticklabels(), reversed(names), strict=True):
        tick.set_fontweight("bold" if name in (END_TO_END, LATENCY) else "normal")
    axes.set_xlabel("B − A, ms, with 95 % intervals")
    for statistic, (mark, _) in _STATISTICS.items():
        name = statistic.removesuffix("_ms")
        axes.plot(
            [], [], mark, color=_PLAIN, markersize=_MARK_PT, markerfacecolor="white", label=name
        )
    for word, color in _SHOWN.items():
        axes.plot([], [], "o", color=color, markersize=_MARK_PT, label=word)
    axes.legend(frameon=False, fontsize=9, ncols=5, loc="lower center", bbox_to_anchor=(0.5, 1))
    axes.margins(y=0.04)
    axes.grid(axis="x", color="#eeeeee", zorder=0)


def _told(component: str) -> str:
    return component.removeprefix("stream.") if component not in COMPONENTS else component


def _shift(axes: Axes, shift: Shift) -> None:
    deltas = [b - a for a, b in zip(shift.a_ms, shift.b_ms, strict=True)]
    axes.plot(shift.percentile, deltas, color=_PLAIN, linewidth=1.6)
    axes.axhline(0, color="#999999", linewidth=1)
    axes.set_xlabel("percentile of end_to_end, all runs of a side together")
    axes.set_ylabel("B − A, ms")
    for percentile, mark in ((50.0, "o"), (95.0, "s"), (99.0, "^")):
        at = shift.percentile.index(percentile)
        told = f"p{percentile:g}  {rounded(shift.a_ms[at])} → {rounded(shift.b_ms[at])}"
        axes.plot(percentile, deltas[at], mark, color=_PLAIN, markersize=_MARK_PT, label=told)
    axes.legend(frameon=False, fontsize=9, loc="best")
    axes.grid(color="#eeeeee")

"""The server's own gauges, as two panels: counts, and shares such as the KV cache's use."""

from collections.abc import Mapping
from typing import Final

from matplotlib.axes import Axes

from tracebench.model.results.result import Gauge, TargetResult
from tracebench.report.figures.figure_style import heading, look_of_target
from tracebench.report.tables.terminal import shortened

_LINES: Final = ("-", "--", ":", "-.")
_LONGEST: Final = 32
_SHARES: Final = ("usage", "ratio", "perc", "fraction", "utilization")
"""Suffixes of metric names that denote fractions from 0 to 1."""

Gauges = Mapping[str, Mapping[str, Gauge]]


def gauges_in(targets: Mapping[str, TargetResult]) -> Gauges:
    """Target → its gauges, without targets that have none."""
    return {name: target.gauges for name, target in targets.items() if target.gauges}


def counts_over_time(axes: Axes, told: Gauges) -> None:
    """Draw the gauges that are not shares."""
    heading(axes, "The server's gauges over time")
    _draw(axes, told, shares=False)


def shares_over_time(axes: Axes, told: Gauges) -> None:
    """Draw the gauges that are shares, in percent."""
    heading(axes, "The server's gauges over time: shares")
    axes.set_ylabel("%")
    _draw(axes, told, shares=True)


def _draw(axes: Axes, told: Gauges, *, shares: bool) -> None:
    axes.set_xlabel("s")
    factor, drawn = 100.0 if shares else 1.0, False
    for number, (target, gauges) in enumerate(told.items()):
        color = look_of_target(number).color
        fitting = [(name, one) for name, one in gauges.items() if is_share(name, one) == shares]
        for place, (name, gauge) in enumerate(fitting):
            label = shortened(name, _LONGEST)
            if len(told) > 1:
                label = f"{target}: {label}"
            values = [factor * value for value in gauge.value]
            line = _LINES[place % len(_LINES)]
            axes.plot(gauge.t_s, values, line, color=color, label=label, marker=".", markersize=3)
            drawn = True
    if not drawn:
        axes.text(0.5, 0.5, "none", ha="center", va="center", transform=axes.transAxes)
        axes.set_xticks([])
        axes.set_yticks([])
        return
    axes.margins(y=0.25)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=8, loc="upper right", ncols=2)


def is_share(name: str, gauge: Gauge) -> bool:
    """Whether a gauge is a fraction from 0 to 1, by its name and its values."""
    return name.partition("{")[0].endswith(_SHARES) and gauge.min >= 0 and gauge.max <= 1

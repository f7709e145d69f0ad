"""The axis that the panels of a sweep share: loads along the bottom."""

from collections.abc import Sequence
from math import log10
from typing import Final

from matplotlib.axes import Axes

from tracebench.model.results.sweep import LoadKind

_AXIS = {"concurrency": "requests in flight (concurrency)", "rate": "requests per second asked for"}
MET: Final = "#009e73"
"""Colour of objectives that are met."""


def loads_axis(axes: Axes, kind: LoadKind, loads: Sequence[float]) -> None:
    """The loads as ticks, evenly spaced if they were doubled."""
    axes.set_xlabel(_AXIS[kind])
    if loads[-1] > 4 * loads[0]:
        axes.set_xscale("log", base=2)
    named = _apart(loads, logarithmic=loads[-1] > 4 * loads[0])
    axes.set_xticks(named, [f"{load:g}" for load in named], minor=False)
    axes.minorticks_off()
    axes.grid(visible=True, color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)


_TICKS_APART = 0.085


def _apart(loads: Sequence[float], *, logarithmic: bool) -> list[float]:
    """The loads, without those whose tick labels would overlap."""
    places = [log10(load) if logarithmic else load for load in loads]
    least = _TICKS_APART * (places[-1] - places[0])
    kept = [(loads[-1], places[-1])]
    for load, place in zip(loads[-2::-1], places[-2::-1], strict=True):
        if kept[-1][1] - place >= least:
            kept.append((load, place))
    return [load for load, _ in reversed(kept)]

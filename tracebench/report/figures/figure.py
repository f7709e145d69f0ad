"""The figure of a run, or of several: four panels that each say something else, under a header."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from tracebench.model.results.result import Result
from tracebench.model.results.stream_result import StreamResult
from tracebench.report.figures import header
from tracebench.report.figures.figure_style import INVALID, SIZE_IN, plainly
from tracebench.report.figures.panels.component_panels import components
from tracebench.report.figures.panels.gauge_panels import (
    counts_over_time,
    gauges_in,
    shares_over_time,
)
from tracebench.report.figures.panels.latency_panels import distribution, over_time
from tracebench.report.figures.panels.stream_panels import first_token, gaps, streams_in
from tracebench.report.figures.panels.tail_panels import tails
from tracebench.report.figures.panels.turn_panels import (
    first_token_by_turn,
    tokens_by_turn,
    turns_in,
)
from tracebench.report.several import Several, Shown, targets_of, together
from tracebench.report.tables.terminal import cropped
from tracebench.report.units import Unit

_ROW_IN = SIZE_IN[1] / 2
_A_TARGET_IN = 0.3
"""How much higher the first row gets with each target beyond the fourth."""
_ROOMY = 4


@plainly
def make(found: Result | Several[Result]) -> Figure:
    """The figure: components, latency over time, distribution, tail; then streams and gauges."""
    several = together(found)
    shown = list(targets_of(several))
    told = header.lines(several)
    above_in = header.height_in(told)
    extra = _extra(shown)
    row_in = _ROW_IN + _A_TARGET_IN * max(len(shown) - _ROOMY, 0)
    heights = [above_in, row_in, *[_ROW_IN] * (1 + len(extra) // 2)]
    figure = Figure(figsize=(SIZE_IN[0], sum(heights)), layout="constrained")
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)
    top, *rows = parts[:, 0]
    header.draw(top, told, above_in)
    panels = [part for row in rows for part in row.subfigures(1, 2, wspace=0.03)]
    unit = _unit(shown)
    components(panels[0], shown, unit)
    over_time(panels[1], shown, unit)
    distribution(panels[2], shown, unit)
    tails(panels[3], shown, unit)
    for part, draw_extra in zip(panels[4:], extra, strict=True):
        draw_extra(part.subplots())
    _mark_invalid(panels, shown)
    return figure


def _unit(shown: Sequence[Shown]) -> Unit:
    known = [one.target.latency.mean_ms for one in shown if one.target.latency is not None]
    return Unit.fit_for(max(known, default=1.0))


def _extra(shown: Sequence[Shown]) -> list[Callable[[Axes], None]]:
    """Two more panels each for streams, conversations, and the server's gauges."""
    targets = {one.title: one.target for one in shown}
    streams, gauged = streams_in(targets), gauges_in(targets)
    turns = turns_in(streams)
    found = list[Callable[[Axes], None]]()
    if streams:
        found += [partial(_first_token, streams=streams), partial(gaps, known=streams)]
    if turns:
        found += [partial(first_token_by_turn, known=turns), partial(tokens_by_turn, known=turns)]
    if gauged:
        found += [partial(counts_over_time, told=gauged), partial(shares_over_time, told=gauged)]
    return found


def _first_token(axes: Axes, streams: Mapping[str, StreamResult]) -> None:
    first_token(axes, streams)
    axes.legend(frameon=False, fontsize=9, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.12))


def _mark_invalid(panels: Sequence[SubFigure], shown: Sequence[Shown]) -> None:
    """Say in each panel which targets have numbers not to be trusted: panels may be cut out."""
    invalid = [one.title for one in shown if not one.target.verdict.valid]
    if invalid:
        named = f": {cropped(', '.join(invalid), 36)}" if len(shown) > 1 else ""
        for part in panels:
            part.text(
                0.99,
                0.985,
                f"NOT VALID{named}",
                ha="right",
                va="top",
                color=INVALID,
                fontsize=10,
                fontweight="bold",
            )

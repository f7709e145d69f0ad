"""The figure of any result: a run, a sweep, a search, a comparison, or several of one kind."""

from typing import Any

from matplotlib.figure import Figure

from tracebench.model.results.comparison import Reported, RunComparison
from tracebench.model.results.sweep import Sweep
from tracebench.report.figures import classic_figure, compare_figure, figure, sweep_figure
from tracebench.report.figures.figure_style import save
from tracebench.report.several import Several, together
from tracebench.report.tables.search_table import as_drawn


def draw(found: Reported | Several[Any], path: str, *, classic: bool = False) -> None:
    """Draw to a file: PNG, SVG or PDF, by its suffix; see `make`.

    Raises:
        OSError: it cannot be written.
    """
    save(make(found, classic=classic), path)


def make(found: Reported | Several[Any], *, classic: bool = False) -> Figure:
    """The figure.

    Args:
        found: a result, or several of one kind.
        classic: of runs: draw component times, mean and p95, percentages, and the cumulative
            distribution.
    """
    shown = as_drawn(found)
    kind = next(iter(together(shown).results.values()))
    if isinstance(kind, RunComparison):
        return compare_figure.make(shown)
    if isinstance(kind, Sweep):
        return sweep_figure.make(shown)
    return classic_figure.make(shown) if classic else figure.make(shown)

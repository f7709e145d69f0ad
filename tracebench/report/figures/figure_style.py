"""How figures look, and the files that they are saved in."""

import warnings
from collections.abc import Callable, Iterable
from functools import wraps
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, ParamSpec

from server_middleware.vocabulary import (
    INFERENCE,
    POSTPROCESSING,
    PREPROCESSING,
    QUEUE,
    SERVER_OTHER,
)
from tracebench.analysis.numbers import rounded
from tracebench.model.components import BACKLOG, BODY, CLIENT, CONNECT, NETWORK, SERVER_AND_NETWORK
from tracebench.system.output_files import replaced

if TYPE_CHECKING:  # importing matplotlib takes a second; others only need the colours
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# One colour and one hatch for each component, everywhere.
#
# The colours are Okabe and Ito's (2008), which colour-blind people can distinguish; hatches
# distinguish neighbours in greyscale.


class Look(NamedTuple):
    """How a component is drawn."""

    color: str
    hatch: str


class TargetLook(NamedTuple):
    """How a target is drawn; any two differ in more than their colour."""

    color: str
    hatch: str
    marker: str
    line: str


COMPONENTS: Final = {
    BACKLOG: Look("#000000", ""),
    CONNECT: Look("#cc79a7", "\\\\"),
    CLIENT: Look("#999999", ""),
    NETWORK: Look("#56b4e9", "//"),
    BODY: Look("#b3e0f7", "--"),
    QUEUE: Look("#f0e442", "xx"),
    PREPROCESSING: Look("#e69f00", ""),
    INFERENCE: Look("#0072b2", ""),
    POSTPROCESSING: Look("#009e73", "\\\\"),
    SERVER_OTHER: Look("#dddddd", ".."),
    SERVER_AND_NETWORK: Look("#56b4e9", "//"),
}
OWN: Final = (
    Look("#bbbbbb", "//"),
    Look("#bbbbbb", "\\\\"),
    Look("#cccccc", "xx"),
    Look("#cccccc", "--"),
)
"""Custom-named parts, the largest first; smaller ones stay in `server_other`."""
TARGETS: Final = (
    TargetLook("#1c1c1c", "", "o", "-"),
    TargetLook("#c4568d", "//", "s", "--"),
    TargetLook("#123f82", "\\\\", "^", "-."),
    TargetLook("#6b5d00", "xx", "D", ":"),
)
INVALID: Final = "#c4320a"
DARK: Final = "#333333"
SOFT: Final = "#5f6670"
SIZE_IN: Final = (12.0, 8.5)
"""Four panels."""


_WIDE: Final = 20.0


def look_of_target(number: int) -> TargetLook:
    """The look of the target at this place; the fifth looks like the first."""
    return TARGETS[number % len(TARGETS)]


# Axes.


def heading(axes: "Axes", text: str) -> None:
    """Title a panel at its left."""
    axes.set_title(text, loc="left", fontsize=11.5, fontweight="bold")


def empty(axes: "Axes", text: str) -> None:
    """Say in a panel why nothing is drawn."""
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, color=SOFT)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color("#cccccc")


def logarithmic(axis: "Axis", most: int = 9) -> None:
    """A logarithmic axis with at most so many plain numbers, all powers of ten if it spans much."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter  # not for the page

    low, high = axis.get_view_interval()
    axes = axis.axes
    (axes.set_xscale if axis is axes.xaxis else axes.set_yscale)("log")
    decades = high / low if low > 0 else 1e9
    subs = (1.0, 2.0, 5.0) if decades < 300 else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs, numticks=most))
    axis.set_major_formatter(FuncFormatter(lambda value, _place: rounded(value, 2)))
    axis.set_minor_formatter(NullFormatter())


def is_wide(values: Iterable[float]) -> bool:
    """Whether a linear axis would squeeze most of the values into a line."""
    known = sorted(value for value in values if value > 0)
    if not known:
        return False
    middle = known[len(known) // 2]
    return known[-1] > _WIDE * middle or middle > _WIDE * known[0]


# Texts.

_CJK: Final = ("Noto Sans CJK SC", "WenQuanYi Zen Hei", "PingFang SC", "Microsoft YaHei")
"""Fonts for characters that matplotlib's own lacks, where one is installed."""

Arguments = ParamSpec("Arguments")


def plainly(make: "Callable[Arguments, Figure]") -> "Callable[Arguments, Figure]":
    """Make a figure in which `$` is a character, and no text a formula."""

    @wraps(make)
    def made(*args: Arguments.args, **kwargs: Arguments.kwargs) -> "Figure":
        from matplotlib import rc_context  # not for the page
        from matplotlib.font_manager import get_font_names  # as above

        installed = set(get_font_names())
        families = ["DejaVu Sans", *(name for name in _CJK if name in installed)]
        settings = {
            "text.parse_math": False,
            "font.family": families,
            "hatch.linewidth": 0.8,
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
        with rc_context(settings):  # type: ignore[arg-type] # its stubs list no such names
            return make(*args, **kwargs)

    return made


# A figure as a file: PNG, SVG or PDF, by its suffix.

_DPI: Final = 130


def save(figure: "Figure", path: str) -> None:
    """Draw in memory, then write: PDF needs seeking, which pipes do not support.

    Raises:
        OSError: it cannot be written.
    """
    drawn = BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+", UserWarning)  # no font has them all
        figure.savefig(drawn, format=Path(path).suffix[1:].lower(), dpi=_DPI)
    with replaced(path) as file:
        file.write(drawn.getbuffer())

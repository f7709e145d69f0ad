"""A panel about components: the shares of the mean, and each component by itself."""

from collections.abc import Iterator, Sequence
from math import inf
from typing import Final, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.patches import Rectangle

from server_middleware.vocabulary import INFERENCE, SERVER_OTHER
from tracebench.analysis.closure.own_components import share_of
from tracebench.analysis.numbers import percent, whole_percent
from tracebench.model.components import END_TO_END
from tracebench.model.results.result import TargetResult
from tracebench.report.figures.figure_style import (
    COMPONENTS,
    DARK,
    OWN,
    SOFT,
    Look,
    empty,
    heading,
    logarithmic,
    look_of_target,
)
from tracebench.report.several import Shown
from tracebench.report.tables.terminal import cropped, shortened
from tracebench.report.units import Unit

# Where the time goes: shares as a bar, then each component by itself.

_LABELLED: Final = 0.06
"""Segments below this share of the bar have no label: the rows below have all."""
_STRIP_IN, _ROW_IN = 0.34, 0.3
_FEWEST_ROWS: Final = 6
_ASIDE: Final = 0.6
"""The axis begins at this multiple of the least mean."""
_MOST_COLUMNS, _WITH_SHARES = 4, 1
"""Most targets with a column of means, and with one of shares, too."""
_ALL_IN, _MEAN_IN, _SHARES_IN = 3.6, 0.6, 1.05
_NAME, _HEAD = 16, 7
"""Longest name beside a bar, and above a column; markers stand for longer ones."""
_SUM: Final = Look("#ffffff", "")


class _Row(NamedTuple):
    """A component in the panel."""

    component: str
    label: str
    look: Look
    is_leaf: bool


def components(part: SubFigure, shown: Sequence[Shown], unit: Unit) -> None:
    """Draw the shares of the mean as a bar a target, and below it each component's statistics.

    The rows have a logarithmic axis, so that small components are as legible as large ones.
    """
    known = [(number, one) for number, one in enumerate(shown) if one.target.share]
    named = len(shown) > 1
    if not known:
        axes = part.subplots()
        heading(axes, "Where the time goes")
        return empty(axes, "no request succeeded")
    rows = _rows([one.target for _, one in known])
    heights = [_STRIP_IN * len(known), _ROW_IN * max(len(rows), _FEWEST_ROWS) + 0.4]
    told = known if len(known) <= _MOST_COLUMNS else []
    column_in = _SHARES_IN if len(told) <= _WITH_SHARES else _MEAN_IN
    widths_in = [_ALL_IN, len(told) * column_in + 0.01]
    grid = part.add_gridspec(2, 2, height_ratios=heights, width_ratios=widths_in, wspace=0.0)
    strip, below = part.add_subplot(grid[0, 0]), part.add_subplot(grid[1, 0])
    heading(strip, "Where the time goes")
    _shares(strip, [one for _, one in known], named)
    _dots(below, known, rows, unit, named)
    _columns(part.add_subplot(grid[1, 1], sharey=below), told, rows, unit, named)


def layers(targets: Sequence[TargetResult]) -> Iterator[tuple[str, Look, list[float]]]:
    """Yield leaf components, `server_other` after its largest parts: label, look, shares."""
    for component, look in COMPONENTS.items():
        shares = [target.share.get(component, 0.0) for target in targets]
        if component == SERVER_OTHER:
            for name, own_look in zip(_largest_own(targets), OWN, strict=False):
                own = [_share_of_own(name, target) for target in targets]
                shares = [max(rest - part, 0.0) for rest, part in zip(shares, own, strict=True)]
                yield shortened(name), own_look, own
        if any(shares):
            yield component.replace("_", " "), look, shares


def _largest_own(targets: Sequence[TargetResult]) -> list[str]:
    """The custom-named parts that take any time, largest first."""
    names = dict.fromkeys(name for one in targets for name in one.parts_of.get(SERVER_OTHER, ()))
    sums = {name: sum(_share_of_own(name, one) for one in targets) for name in names}
    return sorted((name for name in names if sums[name]), key=lambda name: -sums[name])


def _share_of_own(name: str, target: TargetResult) -> float:
    known = name in target.parts_of.get(SERVER_OTHER, ())
    return share_of(target.components, name) if known else 0.0


def _rows(targets: Sequence[TargetResult]) -> list[_Row]:
    """The components that take any time, each followed by its parts, and their sum."""
    found = list[_Row]()
    for name, look in COMPONENTS.items():
        parts = _largest_own(targets)[: len(OWN)] if name == SERVER_OTHER else []
        if name == INFERENCE:
            parts = [*dict.fromkeys(p for one in targets for p in one.parts_of.get(name, ()))]
        looks = OWN if name == SERVER_OTHER else (look, look)
        found.append(_Row(name, name, look, True))
        found += [
            _Row(one, f"{shortened(one, _NAME)} ·", own, False)
            for one, own in zip(parts, looks, strict=False)
        ]
    found.append(_Row(END_TO_END, END_TO_END, _SUM, False))
    return [row for row in found if any(_mean_ms(one, row.component) > 0 for one in targets)]


def _mean_ms(target: TargetResult, component: str) -> float:
    found = target.components.get(component)
    return 0.0 if found is None else found.mean_ms


def _shares(axes: Axes, known: Sequence[Shown], named: bool) -> None:
    """A bar of 100 % for each target."""
    left = [0.0] * len(known)
    for _, look, shares in layers([one.target for one in known]):
        widths = [100 * share for share in shares]
        axes.barh(
            range(len(known)),
            widths,
            0.72,
            left,
            color=look.color,
            hatch=look.hatch,
            edgecolor="white",
            linewidth=0.8,
        )
        for place, (width, begin) in enumerate(zip(widths, left, strict=True)):
            if width > 100 * _LABELLED:
                box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.82, "pad": 1.0}
                middle = begin + width / 2
                axes.text(
                    middle, place, percent(width / 100), ha="center", va="center", size=8, bbox=box
                )
        left = [begin + width for begin, width in zip(left, widths, strict=True)]
    names = [cropped(one.title, _NAME) for one in known]
    axes.set_yticks(range(len(known)), names if named else [""])
    axes.set_xlim(0, 100)
    axes.set_ylim(len(known) - 0.5, -0.5)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _dots(
    axes: Axes, known: Sequence[tuple[int, Shown]], rows: Sequence[_Row], unit: Unit, named: bool
) -> None:
    """Mean with its interval, and p95, of each component and target."""
    apart = 0.72 / len(known)
    for at, (number, one) in enumerate(known):
        for place, row in enumerate(rows):
            height = place + (at - (len(known) - 1) / 2) * apart
            _dot(axes, height, one.target, row, unit, number if named else None)
    least = min(_mean_ms(one.target, row.component) or inf for _, one in known for row in rows)
    axes.set_xlim(left=_ASIDE * least * unit.per_ms)  # intervals may begin at 0
    logarithmic(axes.xaxis, most=6)
    _labels(axes, rows)
    note = "mean with its 95 % interval; | p95 (dotted: too few samples)"
    axes.set_xlabel(f"{unit.name}: {note}", fontsize=9)
    axes.grid(axis="x", color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)


def _dot(
    axes: Axes, height: float, target: TargetResult, row: _Row, unit: Unit, number: int | None
) -> None:
    found = target.components.get(row.component)
    if found is None or found.mean_ms <= 0:
        return
    look = look_of_target(number or 0)
    color = DARK if number is None else look.color
    mean, p95 = found.mean_ms * unit.per_ms, found.p95_ms * unit.per_ms
    if p95 > 0:
        line = ":" if "p95_ms" in found.unsupported else "-"
        axes.plot((mean, p95), (height, height), line, color=color, linewidth=1)
        axes.plot(p95, height, "|", color=color, markersize=7)
    if (interval := found.ci95.get("mean_ms")) is not None:
        ends = [max(end * unit.per_ms, mean / 1e3) for end in interval]
        axes.plot(ends, (height, height), color=color, linewidth=4, solid_capstyle="butt")
    axes.plot(
        mean,
        height,
        look.marker,
        color=row.look.color if number is None else color,
        markeredgecolor=DARK if number is None else "white",
        markersize=7.5 if number is None else 5.5,
    )


def _labels(axes: Axes, rows: Sequence[_Row]) -> None:
    """Names with colours at the left, and a line above the sum."""
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0, pad=15)
    for place, (row, tick) in enumerate(zip(rows, axes.get_yticklabels(), strict=True)):
        tick.set_fontweight("bold" if row.component == END_TO_END else "normal")
        tick.set_color(DARK if row.is_leaf or row.component == END_TO_END else SOFT)
        if row.component != END_TO_END:
            swatch = Rectangle(
                (-0.045, place - 0.26),
                0.03,
                0.52,
                transform=axes.get_yaxis_transform(),
                facecolor=row.look.color,
                hatch=row.look.hatch,
                edgecolor="white" if row.look.hatch else row.look.color,
                clip_on=False,
            )
            swatch.set_in_layout(False)
            axes.add_patch(swatch)
    if rows[-1].component == END_TO_END:
        axes.axhline(len(rows) - 1.5, color=SOFT, linewidth=0.8)


def _columns(
    axes: Axes, told: Sequence[tuple[int, Shown]], rows: Sequence[_Row], unit: Unit, named: bool
) -> None:
    """The means as numbers beside the rows, with shares where there is room for them."""
    axes.set_axis_off()
    width = 1 / max(len(told), 1)
    with_shares = len(told) <= _WITH_SHARES
    by_marker = named and any(len(one.title) > _HEAD for _, one in told)
    for at, (number, one) in enumerate(told):
        right = width * (at + (0.6 if with_shares else 1.0))
        color = look_of_target(number).color if named else DARK
        if by_marker:
            marker, where = look_of_target(number).marker, axes.get_yaxis_transform()
            x = right - 0.25 * width
            axes.plot(x, -0.78, marker, color=color, ms=5, transform=where, clip_on=False)
        else:
            head = one.title if named else f"mean, {unit.name}"
            _number(axes, right, -0.78, head, color)
        for place, row in enumerate(rows):
            if row.component in one.target.components:
                _number(axes, right, place, unit.text(_mean_ms(one.target, row.component)), color)
            share = _share(one.target, row)
            if with_shares and share is not None:
                _number(axes, right + 0.38 * width, place, whole_percent(share), SOFT)


def _number(axes: Axes, x: float, y: float, text: str, color: str) -> None:
    where = axes.get_yaxis_transform()
    axes.text(x, y, text, transform=where, ha="right", va="center", fontsize=8.5, color=color)


def _share(target: TargetResult, row: _Row) -> float | None:
    if row.component not in target.components or row.component == END_TO_END:
        return None
    if row.is_leaf:
        return target.share.get(row.component, 0.0)
    return share_of(target.components, row.component)

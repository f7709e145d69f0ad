"""A panel about the tail: what the slowest requests spend their extra time on."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.patheffects import Normal, Stroke

from tracebench.analysis.numbers import counted, percent
from tracebench.model.components import SERVER_AND_NETWORK
from tracebench.model.results.result import Exemplar
from tracebench.report.figures.figure_style import (
    COMPONENTS,
    DARK,
    empty,
    heading,
    look_of_target,
)
from tracebench.report.several import Shown
from tracebench.report.units import Unit

_TAILS: Final = {"slowest_1_percent": "slowest 1 %", "slowest_5_percent": "slowest 5 %"}
_OUTLINE: Final = (Stroke(linewidth=3, foreground="white"), Normal())
"""Outline of intervals, which lie partly on bars."""
_MOST_BARS: Final = 7
_FEWEST_ROWS: Final = 3
"""Room for this many, so that a single bar is no block."""
_LEAST_BAR: Final = 0.01
"""Components with a smaller share of every target's excess are left out."""
_LEAVES: Final = frozenset(COMPONENTS)


class _Excess(NamedTuple):
    """How much longer slow requests of a target take than usual ones."""

    number: int
    """Place of the target among all."""
    title: str
    parts_ms: Mapping[str, float]
    ci95_ms: Mapping[str, tuple[float, float]]
    usual_ms: float
    slow_ms: float
    of: str
    """The slow requests, in words."""

    @property
    def whole_ms(self) -> float:
        """How much longer in all."""
        return self.slow_ms - self.usual_ms


def tails(part: SubFigure, shown: Sequence[Shown], unit: Unit) -> None:
    """Draw what the slowest requests spend their extra time on, component by component.

    Where too few requests were made for the slowest 5 %, the slowest request is compared with the
    median one, and marked as a single request.
    """
    axes = part.subplots()
    found = [one for n, each in enumerate(shown) if (one := _tail(n, each)) is not None]
    single = not found
    if single:
        found = [one for n, each in enumerate(shown) if (one := _slowest(n, each)) is not None]
    heading(axes, "Tail against median")
    names = _told(found)
    if not names:
        return empty(axes, "too few requests to tell" if not found else "nothing: all take as long")
    _bars(axes, found, names, len(shown), unit, single=single)
    told = [f"{one.title}: " * (len(shown) > 1) + _in_words(one, unit) for one in found]
    left = [each.title for n, each in enumerate(shown) if n not in {one.number for one in found}]
    told += [f"{', '.join(left)}: too few requests"] if left else []
    what = f"{unit.name} longer{', single requests' * single}"
    axes.set_xlabel("\n".join([what, *told]), fontsize=8.5)


def _in_words(one: _Excess, unit: Unit) -> str:
    return f"median {unit.text(one.usual_ms)}, {one.of} {unit.text(one.slow_ms)} {unit.name}"


def _tail(number: int, shown: Shown) -> _Excess | None:
    name = next((name for name in _TAILS if name in shown.target.tail), None)
    if name is None:
        return None
    tail = shown.target.tail[name]
    bounds = {
        component: (part.ci95[0] * tail.excess_ms, part.ci95[1] * tail.excess_ms)
        for component, part in tail.components.items()
        if part.ci95 is not None
    }
    parts_ms = {component: part.excess_ms for component, part in tail.components.items()}
    of = f"{_TAILS[name]} ({counted(tail.count, 'request')})"
    return _Excess(number, shown.title, parts_ms, bounds, tail.usual_ms, tail.slowest_ms, of)


def _slowest(number: int, shown: Shown) -> _Excess | None:
    by_rank = {one.percentile: one for one in shown.target.exemplars}
    usual, slow = by_rank.get(50.0), by_rank.get(100.0)
    if usual is None or slow is None or usual.trace_id == slow.trace_id:
        return None
    of_usual, of_slow = _leaves(usual), _leaves(slow)
    if not of_usual or (SERVER_AND_NETWORK in of_usual) != (SERVER_AND_NETWORK in of_slow):
        return None
    names = dict.fromkeys((*of_usual, *of_slow))
    parts_ms = {name: of_slow.get(name, 0.0) - of_usual.get(name, 0.0) for name in names}
    ends = usual.end_to_end_ms, slow.end_to_end_ms
    return _Excess(number, shown.title, parts_ms, {}, *ends, "slowest (one request each)")


def _leaves(one: Exemplar) -> dict[str, float]:
    return {name: ms for name, ms in one.components.items() if name in _LEAVES}


def _bars(
    axes: Axes,
    found: Sequence[_Excess],
    names: Sequence[str],
    count: int,
    unit: Unit,
    *,
    single: bool,
) -> None:
    thick = 0.8 / len(found)
    for at, one in enumerate(found):
        for place, name in enumerate(names):
            if not one.parts_ms.get(name):
                continue
            height = place + (at - (len(found) - 1) / 2) * thick
            look = look_of_target(one.number) if count > 1 else COMPONENTS[name]
            value = one.parts_ms[name] * unit.per_ms
            axes.barh(
                height,
                value,
                thick * 0.9,
                color="white" if single else look.color,
                hatch=look.hatch,
                edgecolor=look.color if single else "white",
                linewidth=1.4 if single else 0.8,
            )
            _value(axes, height, one, name, unit, small=len(found) > 2)
    axes.axvline(0, color=DARK, linewidth=0.8)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(max(len(names), _FEWEST_ROWS) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.3)
    axes.grid(axis="x", color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)


def _value(axes: Axes, height: float, one: _Excess, name: str, unit: Unit, *, small: bool) -> None:
    """The interval of a bar, and what it says beside it."""
    value_ms, ends_ms = one.parts_ms[name], one.ci95_ms.get(name)
    if ends_ms is not None:
        ends = [end * unit.per_ms for end in ends_ms]
        axes.plot(
            ends, (height, height), color=DARK, linewidth=1.2, marker="|", path_effects=_OUTLINE
        )
    share = f", {percent(value_ms / one.whole_ms)}" if one.whole_ms > 0 else ""
    beyond = max(0.0, value_ms, *(ends_ms or ())) * unit.per_ms
    axes.annotate(
        f"{unit.signed(value_ms)}{share}",
        (beyond, height),
        xytext=(5, 0),
        textcoords="offset points",
        va="center",
        fontsize=7 if small else 8.5,
        color=DARK,
    )


def _told(found: Sequence[_Excess]) -> list[str]:
    """The components to draw, the largest excess first."""
    most = dict[str, float]()
    for one in found:
        whole = max(abs(one.whole_ms), *map(abs, one.parts_ms.values()), 1e-12)
        for name, ms in one.parts_ms.items():
            most[name] = max(most.get(name, 0.0), abs(ms) / whole)
    named = [name for name in most if most[name] >= _LEAST_BAR]
    largest = sorted(named, key=lambda name: -most[name])[:_MOST_BARS]
    signed = {name: max(one.parts_ms.get(name, 0.0) for one in found) for name in largest}
    return sorted(largest, key=lambda name: -signed[name])

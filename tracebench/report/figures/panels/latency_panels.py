"""Two panels about the whole latency: over time, and by percentile with intervals."""

from collections.abc import Iterable, Iterator, Sequence
from math import log10, nan
from typing import Final, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from tracebench.model.results.blocks import Timeline
from tracebench.model.results.result import Curve, TargetResult
from tracebench.model.results.statistics import PERMILLE, Statistics
from tracebench.report.figures.figure_style import (
    DARK,
    INVALID,
    SOFT,
    TargetLook,
    empty,
    heading,
    is_wide,
    logarithmic,
    look_of_target,
)
from tracebench.report.several import Shown
from tracebench.report.tables.terminal import cropped
from tracebench.report.units import Unit

# Over time.

_FEW: Final = 60
"""Buckets up to this number are marked by points as well."""
_TITLE: Final = 40
_MEANING: Final = "median, p95 (dashed), least to greatest (shaded)"


class _TimeUnit(NamedTuple):
    name: str
    per_s: float


def over_time(part: SubFigure, shown: Sequence[Shown], unit: Unit) -> None:
    """Draw a strip for each target: median, p95, and the range from least to greatest latency."""
    known = [
        (number, one.title, one.target, one.target.timeline)
        for number, one in enumerate(shown)
        if one.target.timeline is not None
    ]
    if not known:
        axes = part.subplots()
        heading(axes, "Latency over time")
        none = any(one.target.latency is not None for one in shown)
        why = "this result has none: an older tracebench wrote it" if none else "no success"
        return empty(axes, why)
    strips = part.subplots(len(known), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    heading(strips[0], "Latency over time")
    clock = _clock(max(_end_s(timeline) for *_, timeline in known))
    for axes, (number, title, target, timeline) in zip(strips, known, strict=True):
        look = look_of_target(number)
        _strip(axes, timeline, look, unit, clock)
        _warmup_and_stalls(axes, target, timeline, clock)
        _errors(axes, timeline, clock)
        if len(shown) > 1:
            _inside(axes, cropped(title, _TITLE), look)
    values = [one for *_, t in known for one in (*t.min_ms, *t.p50_ms, *t.max_ms) if one]
    above = 0.3 if len(shown) > 1 else 0.06
    if is_wide(value * unit.per_ms for value in values):
        logarithmic(strips[0].yaxis, most=9 if len(known) == 1 else 4)
        low, high = strips[0].get_ylim()
        strips[0].set_ylim(low, high * (high / low) ** above)
    else:
        strips[0].set_ylim(0, (1 + above) * max(values, default=1.0) * unit.per_ms)
    strips[len(strips) // 2].set_ylabel(unit.name)
    strips[-1].set_xlabel(f"{clock.name}: {_MEANING}", fontsize=9)


def _end_s(timeline: Timeline) -> float:
    return timeline.start_s[-1] + timeline.bucket_s


def _clock(whole_s: float) -> _TimeUnit:
    if whole_s > 600:
        return _TimeUnit("minutes", 1 / 60)
    if whole_s < 1e-3:
        return _TimeUnit("µs", 1e6)
    return _TimeUnit("ms", 1e3) if whole_s < 1 else _TimeUnit("s", 1.0)


def _strip(axes: Axes, timeline: Timeline, look: TargetLook, unit: Unit, clock: _TimeUnit) -> None:
    at = [(start + timeline.bucket_s / 2) * clock.per_s for start in timeline.start_s]
    least, p50, p95, greatest = (
        [nan if ms is None else ms * unit.per_ms for ms in values]
        for values in (timeline.min_ms, timeline.p50_ms, timeline.p95_ms, timeline.max_ms)
    )
    axes.fill_between(at, least, greatest, color=look.color, alpha=0.18, linewidth=0)
    axes.vlines(at, least, greatest, color=look.color, alpha=0.18, linewidth=1)
    axes.plot(at, p95, "--", color=look.color, linewidth=0.9)
    sparse = len(at) < _FEW or not all(timeline.count)
    marker = "." if sparse else ""
    axes.plot(at, p50, color=look.color, linewidth=1.7, marker=marker, markersize=3.5)
    axes.margins(x=0.01, y=0.1)
    axes.grid(color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)


def _warmup_and_stalls(
    axes: Axes, target: TargetResult, timeline: Timeline, clock: _TimeUnit
) -> None:
    first = timeline.start_s[0] * clock.per_s
    if target.warmup is not None and first < 0:
        axes.axvspan(first, 0, color="#8c959f", alpha=0.3, linewidth=0)
        _above(axes, first, "warm-up", SOFT)
    for place, (begin, end) in enumerate(timeline.stalls_s):
        axes.axvspan(
            begin * clock.per_s,
            end * clock.per_s,
            facecolor=INVALID,
            alpha=0.22,
            hatch="//",
            edgecolor="white",
            linewidth=0,
        )
        if not place:
            several = len(timeline.stalls_s) > 1
            _above(axes, begin * clock.per_s, "stalls" if several else "stall", INVALID)


def _above(axes: Axes, x: float, text: str, color: str) -> None:
    axes.annotate(
        text,
        (x, 1),
        xycoords=axes.get_xaxis_transform(),
        xytext=(3, -10),
        textcoords="offset points",
        fontsize=8,
        color=color,
    )


def _errors(axes: Axes, timeline: Timeline, clock: _TimeUnit) -> None:
    """Mark the buckets in which requests failed or timed out, at the bottom."""
    at = [
        (start + timeline.bucket_s / 2) * clock.per_s
        for start, errors in zip(timeline.start_s, timeline.errors, strict=True)
        if errors
    ]
    if at:
        low = [0.03] * len(at)
        where = axes.get_xaxis_transform()
        axes.plot(at, low, "x", color=INVALID, markersize=5, transform=where, clip_on=False)
        _inside(axes, "× errors", None, right=True)


def _inside(axes: Axes, text: str, look: TargetLook | None, *, right: bool = False) -> None:
    axes.text(
        0.99 if right else 0.01,
        0.95,
        text,
        transform=axes.transAxes,
        ha="right" if right else "left",
        va="top",
        fontsize=9,
        fontweight="normal" if look is None else "bold",
        color=INVALID if look is None else look.color,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
    )


# The distribution.

_RANKS: Final = {name: rank / 1000 for name, rank in PERMILLE.items()}
_TICKS: Final = (0.0, *_RANKS.values(), 0.9999, 0.99999)
_IN_TABLE: Final = ("p50_ms", "p95_ms", "p99_ms")
_MOST_TOLD: Final = 6
_LINE: Final = 0.062
"""Height of a line of the table, as a fraction of the panel's."""


def distribution(part: SubFigure, shown: Sequence[Shown], unit: Unit) -> None:
    """Draw latency by percentile, where each step to the right is ten times rarer.

    Percentiles have their 95 % intervals; what too few samples support is hollow and thin.
    """
    axes = part.subplots()
    known = [
        (number, one.title, one.target.cdf, one.target.latency)
        for number, one in enumerate(shown)
        if one.target.cdf is not None and one.target.latency is not None
    ]
    timed_out = any(one.target.requests.timed_out for one in shown)
    heading(axes, f"Latency by percentile{', time-outs included' if timed_out else ''}")
    if not known:
        return empty(axes, "no request succeeded")
    for number, _, curve, latency in known:
        aside = 0.012 * (number - (len(shown) - 1) / 2)
        _curve(axes, curve, latency, look_of_target(number), unit)
        _percentiles(axes, latency, look_of_target(number), unit, aside)
    _rarity_axis(axes, max(_rarest(latency) for *_, latency in known))
    values = [ms for _, _, curve, _ in known for ms in curve.ms]
    told = [(n, title, latency) for n, title, _, latency in known[:_MOST_TOLD]]
    _latency_axis(axes, unit, values, 0.05 + _LINE * (len(told) + 1))
    _table(axes, told, unit, names=len(shown) > 1)


def rarity(share: float) -> float:
    """The place of a quantile: 0 at p0, 1 at p90, 2 at p99."""
    return -log10(1 - share)


def _rarest(latency: Statistics) -> float:
    """The place of the greatest of all values."""
    return log10(2 * latency.count)


def _supported(latency: Statistics) -> float:
    """The highest quantile that the samples support; 0 if they support none."""
    return max((_RANKS[name] for name in latency.ci95 if name in _RANKS), default=0.0)


def _curve(axes: Axes, curve: Curve, latency: Statistics, look: TargetLook, unit: Unit) -> None:
    places = [rarity(q) if q < 1 else _rarest(latency) for q in curve.quantile]
    values = [ms * unit.per_ms for ms in curve.ms]
    least = _supported(latency)
    sure = sum(quantile <= least for quantile in curve.quantile)
    axes.plot(places[:sure], values[:sure], look.line, color=look.color, linewidth=1.9)
    rest = max(sure - 1, 0)
    axes.plot(places[rest:], values[rest:], look.line, color=look.color, linewidth=0.8, alpha=0.75)


def _percentiles(
    axes: Axes, latency: Statistics, look: TargetLook, unit: Unit, aside: float
) -> None:
    for name, share in _RANKS.items():
        place = rarity(share) + aside
        if place > _rarest(latency):
            continue
        interval = latency.ci95.get(name)
        if interval is not None:
            ends = [end * unit.per_ms for end in interval]
            axes.plot((place, place), ends, color=look.color, linewidth=1.4)
            axes.plot((place, place), ends, "_", color=look.color, markersize=7)
        axes.plot(
            place,
            getattr(latency, name) * unit.per_ms,
            look.marker,
            color=look.color,
            markerfacecolor="white" if interval is None else look.color,
            markersize=5.5,
        )


def _rarity_axis(axes: Axes, rarest: float) -> None:
    ticks = [share for share in _TICKS if rarity(share) <= rarest]
    axes.set_xticks([rarity(one) for one in ticks], [f"p{100 * one:.6g}" for one in ticks])
    axes.set_xlim(-0.03 * rarest, 1.03 * rarest)
    note = "whiskers: 95 % intervals; hollow: too few samples"
    axes.set_xlabel(f"percentile, each step ten times rarer; {note}", fontsize=9)
    axes.grid(color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)


def _latency_axis(axes: Axes, unit: Unit, values_ms: Sequence[float], for_table: float) -> None:
    """Leave the upper part of the panel to the table."""
    axes.set_ylabel(unit.name)
    positive = [value * unit.per_ms for value in values_ms if value > 0]
    low, high = min(positive, default=0.0), max(positive, default=1.0)
    if is_wide(positive):
        logarithmic(axes.yaxis)
        axes.set_ylim(low / 1.2, high * (high / low) ** (for_table / (1 - for_table)) * 1.1)
    else:
        span = max(high - low, 0.2 * high) or 1.0
        axes.set_ylim(max(low - 0.08 * span, 0), low + 1.06 * span / (1 - for_table))


def _table(
    axes: Axes, told: Iterable[tuple[int, str, Statistics]], unit: Unit, *, names: bool
) -> None:
    """The percentiles as numbers; hollow ones, which too few samples support, have a ~."""
    begins = 0.36 if names else 0.02
    lines = [("", SOFT, [name.removesuffix("_ms") for name in _IN_TABLE], "", "normal")]
    for number, title, latency in told:
        look = look_of_target(number)
        color = look.color if names else DARK
        values = [*_values(latency, unit)]
        lines.append((cropped(title, 24) if names else "", color, values, look.marker, "bold"))
    for place, (title, color, values, marker, weight) in enumerate(lines):
        height = 0.985 - _LINE * place
        if marker and names:
            axes.plot(0.015, height - 0.022, marker, color=color, transform=axes.transAxes, ms=5)
        _cell(axes, 0.03, height, title, color, weight, "left")
        for column, value in enumerate(values):
            _cell(axes, begins + 0.19 * (column + 1), height, value, color, "normal", "right")


def _values(latency: Statistics, unit: Unit) -> Iterator[str]:
    for name in _IN_TABLE:
        mark = "~" if name in latency.unsupported else ""
        yield f"{mark}{unit.text(getattr(latency, name))}"


def _cell(axes: Axes, x: float, y: float, text: str, color: str, weight: str, align: str) -> None:
    axes.text(
        x,
        y,
        text,
        transform=axes.transAxes,
        ha=align,
        va="top",
        fontsize=8.5,
        color=color,
        fontweight=weight,
    )

"""The figure of runs: its header and panels hold what the results say, whatever these are."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure, FigureBase, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from tests.report.samples import ALL, both, own_parts, result, streamed, target
from tools.color_vision import SIMULATED, distance
from tracebench.model.errors import UsageError
from tracebench.model.results.result import Result, TargetResult
from tracebench.report.figures import header
from tracebench.report.figures.figure import make
from tracebench.report.figures.figure_style import TARGETS
from tracebench.report.figures.panels.component_panels import components
from tracebench.report.figures.panels.latency_panels import distribution, over_time, rarity
from tracebench.report.figures.panels.tail_panels import tails
from tracebench.report.figures.result_figure import draw
from tracebench.report.several import Several, Shown, names_of, targets_of, together
from tracebench.report.units import Unit

Panel = Callable[[SubFigure, Sequence[Shown], Unit], None]


@pytest.mark.parametrize("shown", ALL.values(), ids=ALL)
def test_every_result_can_be_drawn(shown: Result) -> None:
    made = make(shown)
    made.draw_without_rendering()  # warns where panels have no room, and warnings are errors
    assert len(made.subfigs) >= 3


@pytest.mark.parametrize(
    ("suffix", "start"), [("svg", b"<?xml"), ("pdf", b"%PDF"), ("PNG", b"\x89PNG")]
)
def test_formats(suffix: str, start: bytes, tmp_path: Path) -> None:
    file = tmp_path / f"x.{suffix}"
    draw(result(rest=target()), str(file))
    assert file.read_bytes().startswith(start)


def said(found: Result | Several[Result]) -> list[str]:
    """The texts of the header."""
    return [piece.text for line in header.lines(together(found)) for piece in line]


def panel(draw_panel: Panel, found: Result | Several[Result]) -> list[Axes]:
    """The axes of one panel."""
    part = Figure().subfigures(1, 1, squeeze=False)[0, 0]
    draw_panel(part, list(targets_of(together(found))), Unit("ms", 1.0))
    axes: list[Axes] = part.axes
    return axes


def texts(part: FigureBase | Axes) -> list[str]:
    found = part.findobj(lambda one: isinstance(one, Text))
    return [one.get_text() for one in found if isinstance(one, Text) and one.get_text()]


def marked(axes: Axes, marker: str) -> list[Line2D]:
    return [line for line in axes.lines if line.get_marker() == marker]


def at(line: Line2D) -> float:
    return float(np.asarray(line.get_xdata())[0])


def four() -> Result:
    return result(
        rest=target(),
        grpc=target(scale=lambda number: 16.5 + number % 5),
        rest2=target(400, failed=40),
        grpc2=target(silent=True),
    )


# The header.


def test_the_header_says_what_was_found_and_how_it_was_measured() -> None:
    shown = replace(result(rest=target()), label="nightly", environment={"platform": "Linux-6.1"})
    told = said(shown)
    assert told[0] == "nightly"
    assert told[1].startswith("Inference is ")
    assert "USABLE FOR mean, p50, p95" in told
    line = next(one for one in told if "http://127.0.0.1:5000/predict" in one)
    assert "200 ok · 20/s · 10 s · conc 4" in line
    assert told[-1] == "2026-11-22 12:00 UTC · Linux-6.1 · tracebench 0.1.0"


def test_of_two_targets_the_difference_comes_first() -> None:
    told = said(both())
    assert told[0].startswith("grpc is ")
    assert told[0].endswith(" faster than rest at the median.")
    assert told[1].startswith("Difference at the median: -")
    assert {"rest", "grpc"} <= set(told)


def panels(found: Result) -> list[SubFigure]:
    return [one for row in make(found).subfigs[1:] for one in row.subfigs]


def test_numbers_that_are_not_valid_are_said_not_to_be_in_every_panel() -> None:
    shown = result(rest=target(20, failed=20), grpc=target())
    assert any(one.startswith("NOT VALID: do not trust") for one in said(shown))
    assert ["NOT VALID: rest" in texts(one) for one in panels(shown)] == [True] * 4
    assert not any("NOT VALID" in text for one in panels(both()) for text in texts(one))


def test_a_target_without_successes_does_not_take_the_look_of_another() -> None:
    shown = result(rest=target(20, failed=20), grpc=target())
    strip, rows, numbers = panel(components, shown)
    assert [label.get_text() for label in strip.get_yticklabels()] == ["grpc"]
    assert marked(rows, TARGETS[1].marker)
    assert not marked(rows, TARGETS[0].marker)
    assert "grpc" in texts(numbers)


def test_a_label_is_no_formula(tmp_path: Path) -> None:
    shown = replace(result(rest=target()), label=r"$\frac{a}$ _b_ 连接")
    assert said(shown)[0] == shown.label
    draw(shown, str(tmp_path / "x.svg"))


# Components.


def test_each_component_has_a_row_with_its_mean_however_small() -> None:
    one = target()
    strip, rows, numbers = panel(components, result(rest=one))
    bars = [bar for bar in strip.patches if isinstance(bar, Rectangle)]
    assert sum(bar.get_width() for bar in bars) == pytest.approx(100)
    names = [label.get_text() for label in rows.get_yticklabels()]
    assert names[-1] == "end_to_end"
    means = [one.components[name].mean_ms for name in names]
    assert min(means) < 0.1 < 10 < max(means)
    assert [at(line) for line in marked(rows, "o")] == pytest.approx(means)
    assert rows.get_xscale() == "log"
    assert f"{one.components['client'].mean_ms:.3f}" in texts(numbers)
    assert [at(line) for line in marked(rows, "|")] == pytest.approx(
        [one.components[name].p95_ms for name in names]
    )
    intervals = [np.asarray(line.get_xdata()) for line in rows.lines if line.get_linewidth() == 4]
    known = [ci["mean_ms"] for name in names if (ci := one.components[name].ci95)]
    assert np.ravel(intervals).tolist() == pytest.approx(np.ravel(known).tolist())


def test_own_parts_follow_the_rest_that_they_belong_to() -> None:
    _, rows, _ = panel(components, own_parts())
    names = [label.get_text() for label in rows.get_yticklabels()]
    assert names[-4:] == ["server_other", "tokenize ·", "a-step-w…its-own ·", "end_to_end"]


def test_four_targets_have_a_bar_a_column_and_a_marker_each() -> None:
    strip, rows, numbers = panel(components, four())
    assert [label.get_text() for label in strip.get_yticklabels()] == [
        "rest",
        "grpc",
        "rest2",
        "grpc2",
    ]
    for look in TARGETS:
        assert marked(rows, look.marker)
    assert {"rest", "grpc", "rest2", "grpc2"} <= set(texts(numbers))


# Over time.


def test_latency_over_time_has_a_strip_for_each_target() -> None:
    shown = both()
    strips = panel(over_time, shown)
    assert len(strips) == 2
    for axes, one in zip(strips, shown.targets.values(), strict=True):
        assert one.timeline is not None
        p95, p50 = axes.lines[:2]
        assert np.asarray(p50.get_ydata()).tolist() == list(one.timeline.p50_ms)
        assert p95.get_linestyle() == "--"
    assert strips[0].get_ylim() == strips[1].get_ylim()


def timed(one: TargetResult, **changes: object) -> Result:
    assert one.timeline is not None
    return result(rest=replace(one, timeline=replace(one.timeline, **changes)))  # type: ignore[arg-type]


def test_stalls_and_errors_over_time_are_marked() -> None:
    one = target(200, failed=20)
    assert one.timeline is not None
    (axes,) = panel(over_time, timed(one, stalls_s=((2.0, 3.0), (5.0, 5.5))))
    spans = [p.get_extents() for p in axes.patches]
    assert len(spans) == 2
    assert "stalls" in texts(axes)
    assert "× errors" in texts(axes)
    (marks,) = marked(axes, "x")
    assert len(np.asarray(marks.get_xdata())) == sum(map(bool, one.timeline.errors))


def test_an_older_result_says_that_it_has_no_times() -> None:
    (axes,) = panel(over_time, result(rest=replace(target(), timeline=None)))
    assert "this result has none: an older tracebench wrote it" in texts(axes)


# Distribution.


def test_percentiles_have_intervals_and_are_hollow_without() -> None:
    one = target()
    assert one.latency is not None
    (axes,) = panel(distribution, result(rest=one))
    hollow = {round(at(m), 9): m.get_markerfacecolor() == "white" for m in marked(axes, "o")}
    ranks = {"p50_ms": 0.5, "p90_ms": 0.9, "p95_ms": 0.95, "p99_ms": 0.99}
    assert hollow == {
        round(rarity(share), 9): name in one.latency.unsupported for name, share in ranks.items()
    }
    whiskers = [line for line in axes.lines if line.get_marker() == "_"]
    ends = [tuple(np.asarray(line.get_ydata())) for line in whiskers]
    assert ends == [one.latency.ci95[name] for name in ranks if name in one.latency.ci95]
    assert "p99.9" not in [label.get_text() for label in axes.get_xticklabels()], "of 200 requests"
    told = texts(axes)
    assert f"~{one.latency.p99_ms:.2f}" in told
    assert f"{one.latency.p50_ms:.2f}" in told


def test_a_curve_thins_out_where_samples_support_no_percentile() -> None:
    (axes,) = panel(distribution, result(rest=target()))
    sure, rest = axes.lines[:2]
    assert sure.get_linewidth() > rest.get_linewidth()
    assert np.asarray(sure.get_xdata())[-1] == np.asarray(rest.get_xdata())[0]
    assert np.asarray(sure.get_xdata())[-1] <= rarity(0.95) + 1e-9


# The tail.


def test_the_tail_is_divided_among_components() -> None:
    def slow(number: int) -> float:
        return 17.0 + number % 7 + (60.0 if number % 50 == 0 else 0.0)

    one = target(3_000, scale=slow)
    (axes,) = panel(tails, result(rest=one))
    tail = one.tail["slowest_1_percent"]
    bars = [bar for bar in axes.patches if isinstance(bar, Rectangle)]
    assert bars[0].get_width() == pytest.approx(max(p.excess_ms for p in tail.components.values()))
    assert axes.get_yticklabels()[0].get_text() == "network"
    assert f"slowest 1 % (30 requests) {tail.slowest_ms:.2f} ms" in axes.get_xlabel()


def test_without_a_tail_the_slowest_request_stands_beside_the_median_one() -> None:
    one = target()
    (axes,) = panel(tails, result(rest=one))
    usual, slow = (e for e in one.exemplars if e.percentile in (50, 100))
    bars = [bar for bar in axes.patches if isinstance(bar, Rectangle)]
    assert sum(bar.get_width() for bar in bars) == pytest.approx(
        slow.end_to_end_ms - usual.end_to_end_ms, rel=0.02
    )
    assert "slowest (one request each)" in axes.get_xlabel()
    assert axes.get_xlabel().startswith("ms longer, single requests\n")


def test_a_single_request_has_no_tail() -> None:
    (axes,) = panel(tails, result(rest=target(1)))
    assert "too few requests to tell" in texts(axes)


# Streams, units, several runs, colours.


def test_streams_have_two_more_panels() -> None:
    first, gaps = (one.axes[0] for one in panels(streamed())[4:])
    widths = [bar.get_width() for bar in first.patches if isinstance(bar, Rectangle)]
    assert sum(widths) == pytest.approx(2 * 50.2)
    assert [np.unique(np.asarray(line.get_ydata())).tolist() for line in gaps.lines] == [[10], [10]]


@pytest.mark.parametrize(
    ("one", "unit"),
    [
        (target(silent=True, scale=lambda number: 0.065 + number % 7 / 1e3), "µs"),
        (target(scale=lambda number: 50_000.0 + number % 7), "s"),
    ],
)
def test_all_panels_have_a_unit_that_fits(one: TargetResult, unit: str) -> None:
    parts, _, curves, tail = panels(result(rest=one))
    assert parts.axes[1].get_xlabel().startswith(f"{unit}: ")
    assert curves.axes[0].get_ylabel() == unit
    assert f"{unit} longer" in tail.axes[0].get_xlabel()


def test_several_runs_share_a_picture_under_their_names() -> None:
    found = Several({"before": result(rest=target()), "after": both()})
    titles = ["before", "after: rest", "after: grpc"]
    assert said(found)[0] == " · ".join(titles)
    strip, *_ = panel(components, found)
    assert [one.get_text() for one in strip.get_yticklabels()] == titles
    assert len(panel(over_time, found)) == 3


@pytest.mark.parametrize(
    ("files", "labels", "names"),
    [
        (["x/a.json", "b.json"], ["", ""], ["a", "b"]),
        (["a.json", "b.json"], ["old", ""], ["old", "b"]),
        (["x/a.json", "y/a.json"], ["", ""], ["x/a.json", "y/a.json"]),
        (["a.json", "b.json"], ["b", ""], ["a.json", "b.json"]),
    ],
)
def test_results_go_by_their_label_or_file(
    files: list[str], labels: list[str], names: list[str]
) -> None:
    assert names_of(files, labels) == names


def test_a_result_given_twice_is_refused() -> None:
    with pytest.raises(UsageError, match=r"a\.json is given twice"):
        names_of(["a.json", "a.json"], ["", ""])


def _pairs() -> Iterator[tuple[str, str]]:
    for one, other in combinations(TARGETS, 2):
        yield one.color, other.color


@pytest.mark.parametrize("how", ["", *SIMULATED])
def test_targets_differ_for_colour_blind_people_and_in_grey(how: str) -> None:
    least = 10 if how == "grey" else 20
    assert min(distance(*pair, how) for pair in _pairs()) > least
    assert min(distance(look.color, "#ffffff", how) for look in TARGETS) > 40
    assert len({(look.marker, look.line, look.hatch) for look in TARGETS}) == len(TARGETS)


def test_ranges_are_shaded() -> None:
    (axes,) = panel(over_time, result(rest=target()))
    assert any(isinstance(one, PolyCollection) for one in axes.collections)

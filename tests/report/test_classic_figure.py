"""The classic figure's panels hold what the result says."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from tests.report.samples import ALL, both, buffered, own_parts, result, streamed, target
from tracebench.model.components import LEAVES
from tracebench.report.figures.classic_figure import make
from tracebench.report.figures.figure_style import COMPONENTS
from tracebench.report.figures.result_figure import draw
from tracebench.report.several import Several


@pytest.mark.parametrize("name", ["half failed", "huge", "gauges"])
def test_results_of_all_sorts_can_be_drawn(name: str, tmp_path: Path) -> None:
    file = tmp_path / "x.png"
    draw(ALL[name], str(file), classic=True)
    assert file.read_bytes().startswith(b"\x89PNG")


def tops(axes: Axes) -> list[float]:
    """Where each bar ends."""
    return [bar.get_y() + bar.get_height() for bar in axes.patches if isinstance(bar, Rectangle)]


def test_the_panels() -> None:
    shown = both()
    times, latency, shares, curves = make(shown).axes
    assert [axes.get_ylabel() for axes in (times, latency, shares)] == ["ms", "ms", "%"]
    assert curves.get_xlabel() == "ms"
    assert max(tops(shares)) == pytest.approx(100)
    end_to_end_ms = [one.components["end_to_end"].mean_ms for one in shown.targets.values()]
    assert max(tops(times)) == pytest.approx(max(end_to_end_ms))
    means = [one.latency.mean_ms for one in shown.targets.values() if one.latency]
    assert tops(latency)[::2] == pytest.approx(means)
    assert [line.get_label() for line in curves.lines[:2]] == ["rest", "grpc"]


def test_the_largest_own_parts_are_drawn_as_parts_of_the_rest() -> None:
    shown = own_parts()
    times, _, shares, _ = make(shown).axes
    _, labels = times.get_legend_handles_labels()
    assert labels[-3:] == ["tokenize", "a-step-w…its-own", "server other"]
    end_to_end_ms = [one.components["end_to_end"].mean_ms for one in shown.targets.values()]
    assert max(tops(times)) == pytest.approx(max(end_to_end_ms))
    assert max(tops(shares)) == pytest.approx(100)


def test_an_invalid_result_is_stamped() -> None:
    texts = [text.get_text() for text in make(result(rest=target(20, failed=20))).texts]
    assert "NOT VALID: rest" in texts
    assert not any("NOT VALID" in text.get_text() for text in make(both()).texts)


def test_every_component_has_a_look() -> None:
    assert set(LEAVES) <= set(COMPONENTS)
    looks = [look for name, look in COMPONENTS.items() if name != "server_and_network"]
    assert len(set(looks)) == len(looks)


def test_several_runs_are_named() -> None:
    several = Several({"before": result(rest=target()), "after": both()})
    _, _, _, curves = make(several).axes
    assert [line.get_label() for line in curves.lines[:3]] == [
        "before",
        "after: rest",
        "after: grpc",
    ]


def test_panels_for_streams() -> None:
    first, gaps = make(streamed()).axes[4:]
    widths = [bar.get_width() for bar in first.patches if isinstance(bar, Rectangle)]
    assert sum(widths) == pytest.approx(2 * 50.2)
    assert gaps.get_ylabel() == "ms"
    assert [np.unique(line.get_ydata()).tolist() for line in gaps.lines] == [[10], [10]]


def test_no_gaps_to_draw() -> None:
    _, gaps = make(buffered()).axes[4:]
    assert [text.get_text() for text in gaps.texts] == ["no gaps to tell of"]

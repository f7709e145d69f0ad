"""The picture of a sweep holds what the sweep says, whatever it is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.report.sweep_samples import ALL, OF_STREAMS
from tracebench.model.results.sweep import Sweep
from tracebench.report.figures.result_figure import draw
from tracebench.report.figures.sweep_figure import make


@pytest.mark.parametrize("shown", ALL.values(), ids=ALL)
def test_every_sweep_can_be_drawn(shown: Sweep, tmp_path: Path) -> None:
    file = tmp_path / "x.png"
    draw(shown, str(file))
    assert file.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("suffix", "start"), [("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_formats(suffix: str, start: bytes, tmp_path: Path) -> None:
    file = tmp_path / f"x.{suffix}"
    draw(ALL["workers"], str(file))
    assert file.read_bytes().startswith(start)


def test_the_panels() -> None:
    shown = ALL["workers"]
    throughput, latency, stack, growth = make(shown).axes
    lines = {line.get_label(): line for line in throughput.lines}
    points = shown.scaling["rest"].points
    assert np.asarray(lines["measured"].get_ydata()).tolist() == [
        one.throughput_rps for one in points
    ]
    assert [line.get_label() for line in latency.lines] == ["p50", "p95", "p99"]
    tops = [line.get_ydata() for line in stack.lines]
    assert np.asarray(tops[-1]).tolist() == pytest.approx(
        [sum(one.mean_ms.values()) for one in points]
    )
    named = {text.get_text() for text in growth.texts}
    assert named == {"network", "inference"}
    assert np.asarray(lines["knee: 4"].get_xdata()).tolist() == pytest.approx([4, 4], rel=0.02)


def test_each_target_has_its_panels_and_its_sentence() -> None:
    figure = make(ALL["both"])
    assert len(figure.axes) == 8
    titles = [part.get_suptitle() for part in figure.subfigs]
    assert all("saturates first" in title for title in titles)
    assert ["rest" in title for title in titles] == [True, False]


def test_an_objective_is_a_line() -> None:
    shown = ALL["workers"]
    scaling = replace(shown.scaling["rest"], highest_met=4.0)
    held = replace(shown, slo="p99 < 25ms, inference < 3ms", scaling={"rest": scaling})
    lines = {line.get_label(): line for line in make(held).axes[1].lines}
    assert np.asarray(lines["< 25 ms"].get_ydata()).tolist() == [25, 25]
    assert np.asarray(lines["met up to 4"].get_xdata()).tolist() == [4, 4]
    assert "< 3 ms" not in lines, "that is no latency"


def test_numbers_of_loads_do_not_overlap() -> None:
    axes = make(ALL["many steps"]).axes[0]
    named = [label.get_text() for label in axes.get_xticklabels()]
    assert named[0] == "1"
    assert named[-1] == "19"
    assert len(named) < 19


def test_streams_and_gauges_have_panels_of_their_own() -> None:
    figure = make(OF_STREAMS)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    titles = [axes.get_title() for axes in shown]
    assert titles[4:] == [
        "Output tokens per second",
        "Tokens per second against the first token (p95), by load",
        "Time to the first token",
        "Between tokens",
        "Goodput: requests that meet every limit",
        "The server's gauges: median",
        "The server's gauges that are shares: median",
    ]
    tokens, against, first, gaps, goodput, counts, shares = shown[4:]
    stream = OF_STREAMS.steps[0].result.targets["rest"].stream
    assert stream is not None
    assert stream.ttft is not None
    assert np.asarray(tokens.lines[0].get_ydata()).tolist() == [stream.output_tokens_per_s] * 2
    assert [text.get_text() for text in against.texts] == ["1", "2"]
    limits = {line.get_label(): line for line in (*first.lines, *gaps.lines, *against.lines)}
    assert np.asarray(limits["ttft < 60 ms"].get_ydata()).tolist() == [60, 60]
    assert np.asarray(limits["tpot < 15 ms"].get_ydata()).tolist() == [15, 15]
    assert np.asarray(limits["< 60 ms"].get_xdata()).tolist() == [60, 60]
    assert np.asarray(limits["p50"].get_ydata()).tolist() == [stream.ttft.p50_ms] * 2
    assert np.asarray(goodput.lines[0].get_ydata()).tolist() == [90, 90]
    assert np.asarray(counts.lines[0].get_ydata()).tolist() == [4, 4]
    assert np.asarray(shares.lines[0].get_ydata()).tolist() == [30, 30]


def test_a_sweep_without_streams_has_four_panels() -> None:
    assert len(make(ALL["workers"]).axes) == 4

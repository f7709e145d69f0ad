"""The server's own gauges, in the table and in the figure."""

import numpy as np
import pytest

from tests.report.samples import both, gauged, streamed
from tracebench.report.answer.gauge_lines import gauge_lines
from tracebench.report.answer.table import render
from tracebench.report.figures.figure import make


def test_a_line_each() -> None:
    with_gauges, without = gauged().targets.values()
    assert list(gauge_lines(with_gauges)) == [
        "the server's gauges, once a second (least · median · most):",
        "  requests_running 0 · 1 · 2",
        "  kv_cache_usage 0 · 0.035 · 0.07",
        '  tokens_total{engine="0"} 1 · 123,000 · 1,000,000,000',
    ]
    assert not list(gauge_lines(without))
    assert "requests_running 0 · 1 · 2" in render(gauged())
    assert "gauges" not in render(both())


def test_two_panels_over_time() -> None:
    counts, shares = (panel.axes[0] for panel in make(gauged()).subfigs[-1].subfigs)
    assert [line.get_label() for line in counts.lines] == [
        "requests_running",
        'tokens_total{engine="0"}',
    ]
    (share,) = shares.lines
    assert share.get_label() == "kv_cache_usage"
    assert np.asarray(share.get_ydata()).tolist() == pytest.approx(list(range(8))), "in percent"
    assert shares.get_ylabel() == "%"


def test_no_panels_without() -> None:
    assert len(make(both()).subfigs) == 3, "the header, and two rows"
    assert len(make(streamed()).subfigs) == 4

"""The page in a real browser: headless Chromium, driven by playwright-core, judged by axe-core."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.live.environments import folder
from tests.report.pages import EVIL, hostile
from tests.report.samples import both, result, streamed, target
from tests.report.sweep_samples import ALL as SWEEPS
from tests.report.test_page import PAGES as SEVERAL
from tests.report.test_page import Found, compared, several
from tracebench.report.files.result_file import loads_any
from tracebench.report.page.page import write

pytestmark = pytest.mark.live

PAGES: dict[str, Callable[[], Found]] = {
    "two targets": both,
    "one target": lambda: result(rest=target()),
    "four targets": lambda: result(
        rest=target(),
        grpc=target(scale=lambda number: 16.5 + number % 5),
        rest2=target(400, failed=40),
        grpc2=target(silent=True),
    ),
    "streams": streamed,
    "5 µs": lambda: result(rest=target(silent=True, scale=lambda number: 0.15 + number % 7 / 1e3)),
    "50 s": lambda: result(rest=target(scale=lambda number: 50_000.0 + number % 7)),
    "a single request": lambda: result(rest=target(1)),
    "nothing succeeded": lambda: result(rest=target(20, failed=20)),
    "sweep": lambda: SWEEPS["both"],
    "sweep that is not valid": lambda: SWEEPS["invalid"],
    "comparison": compared,
    "hostile": hostile,
    "several runs": several,
    "several sweeps": lambda: SEVERAL["several sweeps"],
    "several comparisons": lambda: SEVERAL["several comparisons"],
}


@pytest.fixture(scope="module")
def browse(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Any]]:
    """Opens one of the pages, and tells what the browser found; each is opened once."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    modules = folder("browser") / "node_modules"
    if chromium is None or shutil.which("node") is None:
        pytest.skip("no chromium and node: install the packages `chromium` and `nodejs`")
    if not modules.exists():
        pytest.skip("no playwright-core: install it by `python -m tests.live.environments`")

    @cache
    def opened(name: str) -> dict[str, Any]:
        page = tmp_path_factory.mktemp("page") / "page.html"
        write(PAGES[name](), str(page))
        done = subprocess.run(
            ["node", str(Path(__file__).parent / "browser.cjs"), str(page), "-"],
            env={**os.environ, "CHROMIUM": chromium, "NODE_PATH": str(modules)},
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    return opened


Browse = Callable[[str], dict[str, Any]]


@pytest.mark.parametrize("name", PAGES)
def test_the_page_works(name: str, browse: Browse) -> None:
    told = browse(name)
    assert told["console"] == []
    assert told["requests"] == []
    assert told["axe"] == {"light": [], "dark": []}
    assert told["sideways"] <= 0
    assert told["theme"] == "dark"
    assert told["hijacked"] is None
    assert told["paperBytes"] > 10_000


@pytest.mark.parametrize("name", PAGES)
def test_its_figures_can_be_hovered_zoomed_and_read(name: str, browse: Browse) -> None:
    for chart in browse(name)["charts"]:
        if chart["drawn"] is None:
            continue
        assert chart["rows"] >= 1
        assert chart["readout"]
        if chart["rows"] > 3:
            assert chart["hover"], chart
            assert (chart["zoomed"], chart["reset"], chart["keyZoomed"]) == (
                "true",
                "false",
                "true",
            )


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("two targets", ["percentiles", "cdf", *["timeline", "load"] * 2]),
        ("streams", ["percentiles", "cdf", *["timeline", "load"] * 2, "gaps"]),
        ("sweep", ["sweep-throughput", "sweep-latency"]),
        ("comparison", ["shift"]),
        ("nothing succeeded", []),
        ("several runs", ["percentiles", "cdf", *["timeline", "load"] * 5, "gaps"]),
        ("several sweeps", ["sweep-throughput", "sweep-latency"]),
        ("several comparisons", ["shift", "shift"]),
    ],
)
def test_every_figure_is_drawn(name: str, kinds: list[str], browse: Browse) -> None:
    assert [one["kind"] for one in browse(name)["charts"] if one["drawn"]] == kinds


def test_a_stranger_can_only_show_text(browse: Browse) -> None:
    told = browse("hostile")
    assert told["hijacked"] is None
    assert EVIL in told["text"]


def test_the_data_can_be_downloaded(browse: Browse) -> None:
    found, downloads = both(), browse("two targets")["downloads"]
    assert loads_any(downloads["json"]) == found
    lines = downloads["csv"].splitlines()
    assert lines[0] == "load,target,component,statistic,value_ms,low_ms,high_ms"
    mean = found.targets["rest"].components["inference"].mean_ms
    assert any(line.startswith(f",rest,inference,mean,{mean:g},") for line in lines)

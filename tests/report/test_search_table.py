"""The table of a search: the answer first, and what is known of each load."""

from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.report.search_samples import ALL
from tracebench.cli.search import exit_status
from tracebench.model.results.search import Search
from tracebench.report.figures.result_figure import draw
from tracebench.report.figures.sweep_figure import make
from tracebench.report.files.result_file import dumps, loads_any
from tracebench.report.tables.search_table import as_sweep, render


@pytest.mark.parametrize("shown", ALL.values(), ids=ALL)
@pytest.mark.parametrize("width", [80, 100])
def test_it_fits(shown: Search, width: int) -> None:
    text = render(shown, width=width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert "\033" not in text
    assert "…" in text, "intervals"


@pytest.mark.parametrize(
    ("name", "said", "status"),
    [
        ("found", "20/s (Poisson arrivals) is the highest load shown to meet p99 < 50ms: 99.9", 0),
        ("found everywhere", "none above was tried", 0),
        ("open above", "20 is undecided", 0),
        ("none", "No load meets p99 < 50ms: even 10/s (Poisson arrivals) misses it", 1),
        ("undecided", "No load is shown to meet p99 < 50ms; 20 misses it: allow more time", 3),
    ],
)
def test_the_answer(name: str, said: str, status: int) -> None:
    text = " ".join(render(ALL[name]).split())
    assert said in text
    assert exit_status(ALL[name]) == status


def test_each_load_has_its_row() -> None:
    rows = [line.split() for line in render(ALL["found"]).splitlines()]
    (row,) = (one for one in rows if one[:1] == ["40"])
    assert row[1:3] == ["20", "4,000"]
    assert row[-5:] == ["99.35", "(98.95", "…", "99.65)", "?"]
    assert [one[-1] for one in rows if one[:1] in (["10"], ["20"], ["40"], ["80"])] == [
        "yes",
        "yes",
        "?",
        "NO",
    ]


@pytest.mark.parametrize("shown", ALL.values(), ids=ALL)
def test_it_survives_the_file(shown: Search) -> None:
    again = loads_any(dumps(shown))
    assert again == shown
    assert isinstance(again, Search)
    assert render(again) == render(shown)
    assert dumps(shown).startswith('{\n  "schema": "tracebench.search/1",')


@pytest.mark.parametrize("shown", ALL.values(), ids=ALL)
def test_it_can_be_drawn(shown: Search, tmp_path: Path) -> None:
    file = tmp_path / "x.png"
    draw(as_sweep(shown), str(file))
    assert file.read_bytes().startswith(b"\x89PNG")
    latency = make(as_sweep(shown)).axes[1]
    assert "< 50 ms" in [line.get_label() for line in latency.lines]

"""The table of a sweep: at most 80 columns, and every number that matters in it."""

import pytest
from rich.cells import cell_len

from tests.report.sweep_samples import ALL
from tracebench.model.sweep import Sweep
from tracebench.report.sweep_table import render


@pytest.mark.parametrize("shown", ALL.values(), ids=ALL)
@pytest.mark.parametrize("width", [80, 100])
def test_it_fits(shown: Sweep, width: int) -> None:
    text = render(shown, width=width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert "\033" not in text
    assert "…" not in text


def rows(text: str, load: str) -> list[list[str]]:
    """The rows of a load, one from each of the tables."""
    return [line.split() for line in text.splitlines() if line.split()[:1] == [load]]


def test_the_numbers() -> None:
    text = render(ALL["workers"], detail="all")
    loads, times, in_flight = rows(text, "8")
    assert loads[:5] == ["8", "400.0", "100", "%", "20.00"]
    assert times == ["8", "10.1", "9.9"]
    assert in_flight == ["8", "4.04", "3.96", "8"]
    assert "The server's pool of workers (or cores) saturates first, at 400/s" in text
    assert "Knee at 4 in flight" in text
    assert "Universal Scalability Law: does not fit" in text
    assert "ended: throughput stopped growing" in text


def test_a_step_that_is_not_valid_is_marked() -> None:
    text = render(ALL["invalid"])
    assert "not valid" in " ".join(rows(text, "4")[0])
    assert "not valid" not in " ".join(rows(text, "2")[0])
    assert "! not valid: 1 of 3 steps (4): see --output-json" in text
    assert "[steps_not_valid]" in render(ALL["invalid"], detail="all")


def test_the_answer_has_no_more_than_a_person_reads() -> None:
    text = render(ALL["workers"])
    loads, times = rows(text, "8")
    assert (loads[1], times[1]) == ("400.0", "10.1")
    assert "Law" not in text
    assert text.index("saturates first") < text.index("done/s")


def test_the_table_alone() -> None:
    text = render(ALL["workers"], detail="table")
    assert text.split()[:3] == ["in", "flight", "done/s"]
    assert "saturates" not in text
    named = render(ALL["both"], detail="table").splitlines()
    assert [line for line in named if line.startswith(("rest", "grpc"))] == [
        "rest  http://x",
        "grpc  http://x",
    ]


def test_colours_only_where_wanted() -> None:
    assert "\033[" in render(ALL["both"], color=True)

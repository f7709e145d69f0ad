"""The table of a sweep: at most 80 columns, and every number that matters in it."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from rich.cells import cell_len

from tests.report.sweep_samples import ALL
from tracebench.analysis.scaling.scale import scale
from tracebench.model.results.result import Finding, Verdict
from tracebench.model.results.sweep import Sweep
from tracebench.report.tables.sweep_table import render


@pytest.mark.parametrize("shown", ALL.values(), ids=ALL)
@pytest.mark.parametrize("width", [80, 100])
def test_it_fits(shown: Sweep, width: int) -> None:
    text = render(shown, width=width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert "\033" not in text
    assert "…" not in text


def test_all_headings_are_whole_at_80_columns() -> None:
    """Also where some requests failed, an objective is judged, and findings have letters."""
    sweep = doubted(ALL["workers"], {2: (Finding("errors", "warning", "many", "fix it"),)})
    step = sweep.steps[0]
    target = step.result.targets["rest"]
    failing = replace(target, requests=replace(target.requests, failed=1_000))
    result = replace(step.result, targets={"rest": failing})
    sweep = replace(sweep, steps=(replace(step, result=result), *sweep.steps[1:]))
    scaling = {
        name: replace(one, points=tuple(replace(point, meets="met") for point in one.points))
        for name, one in sweep.scaling.items()
    }
    text = render(replace(sweep, scaling=scaling), width=80)
    (heading,) = (line for line in text.splitlines() if "done/s" in line)
    assert heading.split()[-5:] == ["our", "CPU", "failed", "meets", "see"]


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
    assert rows(text, "4")[0][-1] == "!a"
    assert "a" not in " ".join(rows(text, "2")[0])
    assert "  a errors: so it is" in text
    assert "! the numbers of this step are not valid for that reason" in text
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


def test_each_step_s_grave_findings_stand_in_its_row() -> None:
    doubts = {
        2: (Finding("cpu_shared", "warning", "they share it", "do not"),),
        4: (
            Finding("errors", "invalid", "many failed", "fix it"),
            Finding("cpu_shared", "warning", "they share more of it", "do not"),
            Finding("floor_unknown", "info", "so what", ""),
        ),
    }
    text = render(doubted(ALL["workers"], doubts))
    assert rows(text, "2")[0][-1] == "b"
    assert rows(text, "4")[0][-2:] == ["!a", "b"]
    assert rows(text, "8")[0][-1] not in ("a", "b")
    assert "  a errors: many failed" in text
    assert "  b cpu_shared: they share more of it" in text
    assert "floor_unknown" not in text


def doubted(sweep: Sweep, doubts: Mapping[int, tuple[Finding, ...]]) -> Sweep:
    """A sweep whose steps have these findings."""
    steps = []
    for step in sweep.steps:
        findings = doubts.get(int(step.load), ())
        (one,) = step.result.targets.values()
        verdict = Verdict(all(f.severity != "invalid" for f in findings), findings)
        targets = {"rest": replace(one, verdict=verdict)}
        steps.append(replace(step, result=replace(step.result, targets=targets)))
    known = {step.load: step.result.targets["rest"] for step in steps}
    return replace(sweep, steps=tuple(steps), scaling={"rest": scale(sweep.kind, known)})


def test_colours_only_where_wanted() -> None:
    assert "\033[" in render(ALL["both"], color=True)

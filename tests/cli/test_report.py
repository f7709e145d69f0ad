"""`report` shows saved results of every kind again, alone and together."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.report.pages import Page
from tests.report.samples import both, result, target
from tests.report.search_samples import ALL as SEARCHES
from tests.report.sweep_samples import ALL as SWEEPS
from tests.report.test_page import compared
from tracebench.cli import cli
from tracebench.model.errors import UsageError
from tracebench.report.answer import table
from tracebench.report.files import result_file
from tracebench.report.tables import compare_table

RUNS = {
    "old": result(rest=target()),
    "new": replace(both(), label="with <b>$batching$</b>"),
    "bad": result(rest=target(200, failed=100)),
}
KINDS: dict[str, Any] = {
    "run": RUNS["old"],
    "sweep": SWEEPS["workers"],
    "rates": SWEEPS["rates"],
    "search": next(iter(SEARCHES.values())),
    "comparison": compared(),
}


def report(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["report", *arguments], standalone_mode=False)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file for each result; tests write elsewhere."""
    folder = tmp_path_factory.mktemp("saved")
    for name, one in (RUNS | KINDS).items():
        result_file.write(one, str(folder / f"{name}.json"))
    return folder


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "rates"])
def test_every_kind_has_a_plot_a_page_and_markdown(kind: str, saved: Path, tmp_path: Path) -> None:
    plot, page, markdown = (tmp_path / name for name in ("p.svg", "p.html", "a.md"))
    done = report(
        str(saved / f"{kind}.json"),
        *("--output-plot", str(plot), "--output-html", str(page), "--output-markdown"),
        str(markdown),
    )
    assert done.exception is None, done.exception
    assert plot.read_bytes().startswith(b"<?xml")
    schema = Page.of(page.read_text()).data["schema"]
    assert schema == KINDS[kind].schema.replace("search", "sweep"), "a page shows a search's loads"
    assert done.stdout
    assert len(markdown.read_text()) > 200


def test_a_comparison_is_told_as_it_was(saved: Path) -> None:
    done = report(str(saved / "comparison.json"))
    assert done.stdout == compare_table.render(compared()) + "\n"
    assert done.return_value == 0


def test_several_runs_stand_side_by_side_and_then_tell_their_answers(saved: Path) -> None:
    files = [str(saved / f"{name}.json") for name in RUNS]
    done = report(*files)
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["ms", "ok", "/s", "p50", "p95", "p99", "mostly"]
    assert [line[2:24].rstrip() for line in lines[1:5]] == [
        "old",
        "with <b>$ba…</b>: rest",
        "with <b>$ba…</b>: grpc",
        "✗ bad",
    ]
    assert max(map(len, lines)) <= 80
    assert "NOT VALID" in lines[5]
    assert "── with <b>$batching$</b> ──" in lines
    assert table.render(RUNS["old"]) in done.stdout
    assert done.return_value == 3, "one of them is not valid"
    assert report(*files, "-q").stdout.splitlines() == lines[:6]


def test_several_runs_share_a_plot_a_page_and_markdown(saved: Path, tmp_path: Path) -> None:
    plot, page, markdown = (tmp_path / name for name in ("p.png", "p.html", "a.md"))
    done = report(
        *(str(saved / f"{name}.json") for name in RUNS),
        *("--output-plot", str(plot), "--output-html", str(page)),
        *("--output-markdown", str(markdown), "--plot-style", "classic"),
    )
    assert done.exception is None, done.exception
    assert plot.read_bytes().startswith(b"\x89PNG")
    names = ["old", "with <b>$batching$</b>", "bad"]
    assert [one["name"] for one in Page.of(page.read_text()).data["several"]] == names
    text = markdown.read_text()
    assert text.startswith("| ms | ok | /s | p50 | p95 | p99 | mostly |\n")
    assert "\n## with \\<b\\>$batching$\\</b\\>\n" in text


@pytest.mark.parametrize("kind", ["sweep", "search", "comparison"])
def test_several_of_other_kinds_do_too(kind: str, saved: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.json"
    again.write_text((saved / f"{kind}.json").read_text())
    plot, page = tmp_path / "p.svg", tmp_path / "p.html"
    done = report(
        *(str(saved / f"{kind}.json"), str(again)),
        *("--output-plot", str(plot), "--output-html", str(page)),
    )
    assert done.exception is None, done.exception
    assert f"── {kind} ──" in done.stdout
    assert "── again ──" in done.stdout
    assert len(Page.of(page.read_text()).data["several"]) == 2


@pytest.mark.parametrize(
    ("files", "options", "said"),
    [
        (["run", "sweep"], [], "run.json is a run, but "),
        (["run", "sweep"], [], "sweep.json is a sweep of concurrency: give results of one kind"),
        (["sweep", "rates"], [], "is a sweep of concurrency, but "),
        (["old", "old"], [], "old.json is given twice: give each result once"),
        (["old", "new"], ["--label", "x"], "--label is for a single result: give one file, not 2"),
        (["old", "new"], ["--fail-if", "p95 > 1"], "--fail-if is for a single result"),
        (["old", "new"], ["--output-json", "-"], "--output-json is for a single result"),
        (["old", "missing"], [], "missing.json"),
        (["comparison"], ["--label", "x"], "is a comparison, which has no label"),
        (["sweep"], ["--plot-style", "classic", "--output-plot", "x.png"], "is for runs, but "),
        (["run"], ["--plot-style", "classic"], "has nothing to draw: add --output-plot F.png"),
    ],
)
def test_what_cannot_be_shown_is_one_line(
    files: list[str], options: list[str], said: str, saved: Path
) -> None:
    done = report(*(str(saved / f"{name}.json") for name in files), *options)
    assert isinstance(done.exception, UsageError)
    assert said in str(done.exception)
    assert "\n" not in str(done.exception)
    assert done.stdout == ""


def test_a_file_that_is_no_result_is_named(saved: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    done = report(str(saved / "old.json"), str(broken))
    assert f"{broken} is not a tracebench result" in str(done.exception)


def test_values_that_contradict_each_other_are_one_line(saved: Path, tmp_path: Path) -> None:
    data = json.loads((saved / "comparison.json").read_text())
    data["sentences"] = {}
    wrong = tmp_path / "comparison.json"
    wrong.write_text(json.dumps(data))
    done = report(str(wrong))
    assert "its values contradict each other" in str(done.exception)

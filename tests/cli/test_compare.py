"""`tracebench compare`, as a user calls it: sides, outputs, and what cannot be compared."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.report.samples import both, result, target
from tests.report.sweep_samples import ALL as SWEEPS
from tracebench.cli import cli
from tracebench.model.errors import TracebenchError, UsageError
from tracebench.model.results.result import Result as Found
from tracebench.report.figures import compare_figure
from tracebench.report.files.result_file import dumps
from tracebench.report.tables import compare_table
from tracebench.studies.compare import compare_results

SLOWER = target(scale=lambda number: 22.0 + number % 7)


def run(number: int, slower: bool = False) -> Found:
    made = both() if not slower else replace(both(), targets={**both().targets, "rest": SLOWER})
    return replace(made, tool={**made.tool, "run_id": f"{number:016x}"})


def compare(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["compare", *arguments])


@pytest.fixture
def files(tmp_path: Path) -> Callable[..., list[str]]:
    def write(*results: Found) -> list[str]:
        paths = []
        for number, one in enumerate(results):
            paths.append(str(tmp_path / f"{number}.json"))
            Path(paths[-1]).write_text(dumps(one))
        return paths

    return write


Files = Callable[..., list[str]]


def test_two_files(files: Files, tmp_path: Path) -> None:
    a, b = files(run(1), run(2, slower=True))
    saved, drawn, page = (str(tmp_path / name) for name in ("c.json", "c.png", "c.html"))
    outputs = ("--output-json", saved, "--output-plot", drawn, "--output-html", page)
    found = compare(a, b, *outputs)
    assert found.exit_code == 0
    assert "B is 25 % slower at the median" in " ".join(found.stdout.split())
    assert "run-to-run variance unknown" in found.stdout
    assert max(map(len, found.stdout.splitlines())) <= 80
    assert Path(drawn).read_bytes().startswith(b"\x89PNG")
    assert "slower at the median" in Path(page).read_text()
    data = json.loads(Path(saved).read_text())
    assert data["schema"] == "tracebench.compare/1"
    assert data["a"]["files"] == [a]
    assert data["run_to_run"] == "unknown"
    p50 = data["differences"]["rest"]["end_to_end"]["p50_ms"]
    assert p50.keys() == {"a", "b", "delta", "ci95", "verdict"}
    assert p50["verdict"] == "slower"
    assert p50["delta"] == pytest.approx(5)
    grpc = data["differences"]["grpc"]
    words = {one["verdict"] for those in grpc.values() for one in those.values()}
    assert words == {"no difference shown"}


def test_json_on_standard_output_leaves_the_table_to_standard_error(files: Files) -> None:
    found = compare(*files(run(1), run(2)), "--output-json", "-")
    assert json.loads(found.stdout)["schema"] == "tracebench.compare/1"
    assert "no difference shown" in found.stderr


def test_three_runs_a_side_know_the_variance(files: Files) -> None:
    paths = files(*(run(at, slower=at > 2) for at in range(6)))
    found = compare(*paths[:3], "--", *paths[3:], "-v")
    assert found.exit_code == 0
    assert "run-to-run" not in found.stdout
    assert "network" in found.stdout


def test_targets_of_a_file(files: Files) -> None:
    (path,) = files(run(1))
    found = compare(f"{path}:rest", f"{path}:grpc")
    assert found.exit_code == 0
    assert "grpc against rest" in found.stdout
    assert "! both targets are of one run: `tracebench report" in found.stdout


def test_single_targets_with_other_names_are_compared(files: Files) -> None:
    a, b = files(result(old=target()), result(new=SLOWER))
    found = compare(a, b)
    assert found.exit_code == 0
    assert "new against old" in found.stdout


def test_a_target_that_one_side_lacks_is_told(files: Files) -> None:
    found = compare(*files(run(1), result(rest=SLOWER)))
    assert "grpc: not in all runs, so not compared (in A)" in " ".join(found.stdout.split())


def test_a_plan_that_differs_is_told(files: Files) -> None:
    other = replace(run(2), plan={**run(2).plan, "concurrency": 8})
    found = compare(*files(run(1), other))
    assert "! concurrency differs: 4 in A, 8 in B" in found.stdout


def test_a_file_may_have_a_colon_in_its_name(tmp_path: Path) -> None:
    one, other = tmp_path / "a:rest", tmp_path / "b.json"
    one.write_text(dumps(run(1)))
    other.write_text(dumps(run(2)))
    assert compare(str(one), str(other)).exit_code == 0


def without_blocks(found: Found) -> Found:
    rest = replace(found.targets["rest"], blocks=None, histograms={})
    return replace(found, targets={"rest": rest})


def test_an_older_file_will_do_where_there_are_three_runs_a_side(files: Files) -> None:
    paths = files(*(without_blocks(run(at)) for at in range(6)))
    assert compare(*paths[:3], "--", *paths[3:]).exit_code == 0


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (dumps(run(1)), dumps(without_blocks(run(2))), "1.json: rest has no blocks"),
        (dumps(run(1)), dumps(run(2))[:900], "1.json is not a tracebench result"),
        (dumps(run(1)), '{"schema": "other/9"}', "the schema 'other/9'"),
        (dumps(run(1)), dumps(next(iter(SWEEPS.values()))), "tracebench.sweep/1"),
        (dumps(run(1)), dumps(run(1)), "are the same run of rest: give each once"),
        (dumps(run(1)), dumps(result(other=target())), "no target is in all runs"),
        (dumps(run(1)), "", "1.json is not a tracebench result"),
        (
            dumps(run(1)),
            dumps(result(rest=target(20, failed=20))),
            "1.json: rest has no successful request",
        ),
        (
            dumps(run(1)),
            dumps(run(2)).replace('"mean_ms": 11', '"mean_ms": NaN', 1),
            "NaN is not a JSON number",
        ),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    first: str, second: str, said: str, tmp_path: Path
) -> None:
    for number, text in enumerate((first, second)):
        (tmp_path / f"{number}.json").write_text(text)
    found = compare(str(tmp_path / "0.json"), str(tmp_path / "1.json"))
    assert isinstance(found.exception, TracebenchError)
    assert said in str(found.exception)
    assert "\n" not in str(found.exception)
    assert found.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a"], "1 file: give two files"),
        (["a", "b", "c"], "3 files: give two files, or several on each side of one --"),
        (["a", "--"], "-- has no file on one side"),
        (["a", "--", "b", "--", "c"], "-- comes twice"),
        (["a", "b"], "cannot read 'a' (No such file"),
    ],
)
def test_sides_that_are_not_clear_are_one_line(arguments: list[str], said: str) -> None:
    found = compare(*arguments)
    assert isinstance(found.exception, TracebenchError)
    assert said.lower() in str(found.exception).lower()


def test_targets_that_are_not_there_are_named(files: Files) -> None:
    a, b = files(run(1), run(2))
    found = compare(f"{a}:nope", b)
    assert "there is no target 'nope': choose one of rest, grpc" in str(found.exception)
    found = compare(f"{a}:rest", b, "--", f"{b}:rest")
    assert "all runs of a side are of one target" in str(found.exception)


def test_an_output_that_is_an_input_is_refused(files: Files) -> None:
    a, b = files(run(1), run(2))
    found = compare(a, b, "--output-json", a)
    assert "is also an input file" in str(found.exception)


def test_the_python_door_takes_results_as_they_were_measured() -> None:
    found = compare_results([run(1)], [run(2, slower=True)], a_target="rest", b_target="rest")
    assert found.a.files == ("A1",)
    assert found.differences["rest"]["inference"]["p50_ms"].delta == 0
    with pytest.raises(UsageError, match="at least one run on each side"):
        compare_results([], [run(1)])


def test_a_damaged_histogram_is_named() -> None:
    rest = replace(target(), histograms={"end_to_end": "AAAA"})
    with pytest.raises(UsageError, match="B1 has a damaged histogram of end_to_end"):
        compare_results([run(1)], [result(rest=rest)])


def test_the_table_says_by_how_much_requests_failed() -> None:
    failing = result(rest=target(200, failed=20))
    text = compare_table.render(compare_results([run(1)], [failing]))
    assert "errors 0 % → 10 %" in text
    assert "10 % of B's requests failed" in " ".join(text.split())


def test_a_small_difference_is_counted_and_shown_on_demand() -> None:
    def scale(_number: int) -> float:
        return 17.02

    steady = result(rest=target(scale=lambda _number: 17.0))
    found = compare_results([steady], [result(rest=target(scale=scale))])
    assert found.differences["rest"]["end_to_end"]["p50_ms"].verdict == "slower"
    text = compare_table.render(found)
    assert "slower" not in text
    assert "shown but below 1 % of the latency" in text
    assert "slower" in compare_table.render(found, whole=True)


def test_the_figure_has_two_panels_for_each_target() -> None:
    found = compare_results([run(1)], [run(2, slower=True)])
    figure = compare_figure.make(found)
    assert len(figure.axes) == 4
    (row, _) = figure.subfigs
    assert "slower at the median" in row.get_suptitle()
    labels = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert labels[0] == "end_to_end"
    assert "connect" not in labels


def test_the_figure_tells_when_and_where_each_side_was_measured() -> None:
    today, earlier = run(1), replace(run(2), started_at="2026-01-02T03:04:05+00:00")
    (row, _) = compare_figure.make(compare_results([today], [earlier])).subfigs
    assert "\nB: 2026-01-02 03:04 UTC · " in row.get_supxlabel()
    (row, _) = compare_figure.make(compare_results([today], [run(3)])).subfigs
    assert "\n" not in row.get_supxlabel()


@pytest.mark.parametrize(
    ("gate", "decision", "status"), [("p50 3%", "failed", 1), ("p50 90%", "passed", 0)]
)
def test_gates(files: Files, tmp_path: Path, gate: str, decision: str, status: int) -> None:
    paths, saved = files(run(1), run(2, slower=True)), tmp_path / "compared.json"
    arguments = ["compare", *paths, "--fail-if-slower", gate, "--output-json", str(saved)]
    done = CliRunner().invoke(cli, arguments, standalone_mode=False)
    assert done.return_value == status
    data = json.loads(saved.read_text())
    assert data["decision"] == decision
    assert {one["expression"] for one in data["gates"]} == {gate}
    assert done.stdout.splitlines()[-1].startswith(f"gates {decision.upper()}: ")


def test_a_gate_that_cannot_be_read_is_refused_before_any_file_is() -> None:
    done = CliRunner().invoke(
        cli, ["compare", "/no/such/a.json", "b.json", "--fail-if-slower", "infrence.p95 3%"]
    )
    assert isinstance(done.exception, UsageError)
    assert "infrence" in str(done.exception)

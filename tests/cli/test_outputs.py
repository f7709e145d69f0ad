"""What is said of the files that were written, and what is not."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.report.samples import both, result, target
from tracebench.analysis.findings.finding import with_findings
from tracebench.analysis.findings.server.otlp_spans import spans_lost
from tracebench.cli.output.outputs import Outputs
from tracebench.cli.run import save
from tracebench.model.errors import UsageError

IMAGE = Path(__file__).parents[2] / "tracebench/example/coffee.png"


@pytest.mark.parametrize("started", [0, 200])
def test_traces_are_said_to_be_written_only_where_there_are_any(
    started: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    traces = tmp_path / "t.jsonl"
    traces.write_text("of another run")
    one = target()
    found = result(rest=replace(one, requests=replace(one.requests, started=started)))
    Outputs(traces=str(traces)).write(found)
    assert (f"wrote {traces}" in capsys.readouterr().err) is (started > 0)


def test_one_file_that_cannot_be_written_costs_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plot = tmp_path / "p.svg"
    with pytest.raises(UsageError, match=r"--output-json '/dev/full' \(No space left on device\)"):
        save(both(), Outputs("/dev/full", str(plot)))
    assert plot.exists()
    said = capsys.readouterr()
    assert "USABLE FOR " in said.out
    assert said.err == f"wrote {plot}\n"


def test_spans_that_could_not_be_written_are_not_said_to_be(tmp_path: Path) -> None:
    traces = tmp_path / "t.jsonl"
    traces.write_text("of another run")
    os.utime(traces, (0, 0))
    [problem] = Outputs(traces=str(traces)).write(both())
    assert problem.startswith(f"cannot write --output-traces {str(traces)!r}")


@pytest.mark.parametrize(
    ("plan", "written"), [({}, False), ({"otlp_endpoint": "http://127.0.0.1:4318"}, True)]
)
def test_a_device_that_took_no_spans_is_not_said_to_have_them(
    plan: dict[str, str], written: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    one = target()
    verdict = with_findings(one.verdict, spans_lost(9, "No space left on device"))
    found = replace(result(rest=replace(one, verdict=verdict)), plan=plan)
    problems = Outputs(traces="/dev/full").write(found)
    assert ("wrote" in capsys.readouterr().err) is written
    assert [one.startswith("cannot write --output-traces '/dev/full' (") for one in problems] == (
        [] if written else [True]
    )


def test_an_input_is_not_written_through_a_link(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(IMAGE)
    with pytest.raises(UsageError, match="is also an input file"):
        Outputs(json=str(link)).check(str(IMAGE))

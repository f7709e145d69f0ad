"""What is said of the files that were written."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.report.samples import result, target
from tracebench.cli.outputs import Outputs


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

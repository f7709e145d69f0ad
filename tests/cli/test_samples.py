"""`--output-samples`, as a user asks for it: of a run, a sweep and an archive."""

import csv
import json
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.cli.test_bad_input import IMAGE
from tests.servers import HOST, answering, reply, serving
from tracebench.cli import cli
from tracebench.cli.output import outputs
from tracebench.model.errors import UsageError

TIMED = reply(b"ok", "200 OK", 'X-Timing-Info: {"inference": 0.0004, "server_processing": 0.0005}')


def tracebench(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return [*csv.DictReader(file)]


def test_a_run_and_its_archive_give_the_same_rows(tmp_path: Path) -> None:
    samples, traces, again = (tmp_path / name for name in ("s.csv", "t.jsonl", "again.csv"))
    saved = tmp_path / "r.json"
    with serving(answering(TIMED, service_s=0.002)) as port:
        done = tracebench(
            *("run", "--image", IMAGE, "--rest-url", f"http://{HOST}:{port}", "--requests", "40"),
            *("--output-samples", str(samples), "--output-traces", str(traces)),
            *("--output-json", str(saved)),
        )
    assert done.exit_code in (0, 3), done.output
    assert f"wrote {samples}" in done.stderr
    found = rows(samples)
    assert len(found) == 40
    assert Counter(row["outcome"] for row in found) == {"succeeded": 40}
    components = json.loads(saved.read_text())["targets"]["rest"]["components"]
    for name in ("end_to_end", "client", "network", "inference", "server_other"):
        mean_ms = sum(int(row[f"{name}_ns"]) for row in found) / 40 / 1e6
        assert mean_ms == pytest.approx(components[name]["mean_ms"])
    assert tracebench("analyze", str(traces), "--output-samples", str(again)).exit_code in (0, 3)
    timed = [name for name in found[0] if name.endswith("_ns") or name == "trace_id"]
    by_id = {row["trace_id"]: row for row in rows(again)}
    for row in found:
        assert [by_id[row["trace_id"]][name] for name in timed] == [row[name] for name in timed]


def test_requests_that_did_not_ask_for_tracing_are_rows_too(tmp_path: Path) -> None:
    samples = tmp_path / "s.csv"
    with serving(answering(TIMED)) as port:
        done = tracebench(
            *("run", "--image", IMAGE, "--rest-url", f"http://{HOST}:{port}", "--requests", "60"),
            *("--observer-effect", "--output-samples", str(samples)),
        )
    assert done.exit_code in (0, 3), done.output
    assert len(rows(samples)) == 60
    assert len({row["trace_id"] for row in rows(samples)}) == 60
    assert {row["payload"] for row in rows(samples)} == {"0", "1"}


def test_a_sweep_has_a_file_for_each_step(tmp_path: Path) -> None:
    samples = tmp_path / "s.csv"
    with serving(answering(TIMED)) as port:
        done = tracebench(
            *("sweep", "--image", IMAGE, "--rest-url", f"http://{HOST}:{port}"),
            *("--concurrency", "1,2", "--requests", "20", "--output-samples", str(samples)),
        )
    assert done.exit_code in (0, 3), done.output
    assert sorted(one.name for one in tmp_path.iterdir()) == ["s-1.csv", "s-2.csv"]
    assert {row["slot"] for row in rows(tmp_path / "s-2.csv")} == {"0", "1"}
    assert len(rows(tmp_path / "s-1.csv")) == 20


def refused(path: str) -> str:
    done = tracebench(
        *("run", "--image", IMAGE, "--rest-url", "http://127.0.0.1:9", "--output-samples", path)
    )
    assert isinstance(done.exception, UsageError)
    return str(done.exception)


def test_another_format_is_refused_before_the_run() -> None:
    assert "has no known format: end it in .csv or .parquet" in refused("s.xlsx")
    assert "--output-samples '/no/such/s.csv'" in refused("/no/such/s.csv")


def test_parquet_without_pyarrow_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "find_spec", lambda name: None)
    assert "needs pyarrow, which is not installed: pip install 'tracebench[samples]'" in refused(
        "s.parquet"
    )


def test_samples_that_cannot_be_written_cost_no_other_output(tmp_path: Path) -> None:
    saved = tmp_path / "r.json"
    full = tmp_path / "full.csv"
    full.symlink_to("/dev/full")
    with serving(answering(TIMED)) as port:
        done = tracebench(
            *("run", "--image", IMAGE, "--rest-url", f"http://{HOST}:{port}", "--requests", "20"),
            *("--output-samples", str(full), "--output-json", str(saved)),
        )
    assert isinstance(done.exception, UsageError)
    assert "cannot write --output-samples" in str(done.exception)
    assert json.loads(saved.read_text())["targets"]["rest"]["requests"]["succeeded"] == 20

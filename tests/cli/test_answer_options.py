"""The options that say where the answer goes and how much of it is told."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.report.samples import both, result, target
from tests.report.sweep_samples import ALL as SWEEPS
from tracebench.cli import cli
from tracebench.cli.options.load_values import seconds_of
from tracebench.report.files import result_file


@pytest.fixture
def saved(tmp_path: Path) -> str:
    path = str(tmp_path / "saved.json")
    result_file.write(result(rest=target()), path)
    return path


def tracebench(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, standalone_mode=False)


def test_the_json_on_standard_output_leaves_the_table_to_standard_error(saved: str) -> None:
    done = tracebench("report", saved, "--output-json", "-", "--label", "night")
    assert json.loads(done.stdout)["label"] == "night"
    assert done.stdout == Path(saved).read_text().replace('"label": ""', '"label": "night"')
    assert "USABLE FOR mean" in done.stderr
    assert not Path("-").exists()


@pytest.mark.parametrize("option", ["--output-plot", "--output-markdown"])
def test_nothing_else_can_be_printed(option: str, saved: str) -> None:
    done = tracebench("report", saved, option, "-")
    assert done.exception is not None
    assert "'-'" in str(done.exception)


def test_all_and_the_table_alone_exclude_each_other(saved: str) -> None:
    done = tracebench("report", saved, "-v", "-q")
    assert str(done.exception) == "-v and -q exclude each other: give only one"
    assert "[too_few_samples]" in tracebench("report", saved, "-v").stdout
    assert tracebench("report", saved, "-q").stdout.startswith("  ms  ")


@pytest.mark.parametrize(
    ("label", "said"),
    [("two\nlines", "'two\\nlines' has a line break"), ("x" * 101, "has 101 characters")],
)
def test_a_label_is_one_line(label: str, said: str, saved: str) -> None:
    assert said in str(tracebench("report", saved, "--label", label).exception)


def test_markdown_tells_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, written, summary = (tmp_path / name for name in ("r.json", "a.md", "summary.md"))
    bad = target(200, failed=100, reason="HTTP 503: <b>|no|</b> `room`")
    result_file.write(replace(result(rest=bad, grpc=target()), label="a*b"), str(path))
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    done = tracebench("report", str(path), "--output-markdown", str(written))
    assert f"wrote {written}" in done.stderr
    text = written.read_text()
    assert summary.read_text() == f"before\n{text}\n"
    assert text.startswith("## a\\*b\n\n### rest  http://127.0.0.1:5000/predict\n\n**NOT VALID")
    assert "| `inference` | 11.00 | 11.00 | \\~11.0 | \\~11.0 | 55 % |" in text
    assert "- ❌ 50 % of the requests failed: see the server's log" in text
    assert "- 100 × HTTP 503: \\<b\\>\\|no\\|\\</b\\> \\`room\\`" in text
    assert "```text\ngrpc against rest\n" in text
    assert "times as many requests" in text
    assert "p999" not in text


def test_the_summary_of_a_job_needs_no_option(
    saved: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert tracebench("report", saved).return_value == 0
    assert summary.read_text().startswith("### rest")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    done = tracebench("report", saved)
    assert done.return_value == 0
    assert "warning: cannot append to $GITHUB_STEP_SUMMARY (Is a directory)" in done.stderr


@pytest.mark.parametrize("name", ["both", "invalid"])
def test_a_sweep_as_markdown(name: str, tmp_path: Path) -> None:
    path, written = tmp_path / "s.json", tmp_path / "s.md"
    result_file.write(SWEEPS[name], str(path))
    tracebench("report", str(path), "--output-markdown", str(written), "--label", "scaling")
    text = written.read_text()
    assert text.startswith("## scaling\n\n**rest**: Inference saturates first")
    assert text.count("```") == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5", 5.0),
        ("0.25", 0.25),
        ("5s", 5.0),
        ("500ms", 0.5),
        ("1m", 60.0),
        ("1m30s", 90.0),
        ("1.5h", 5400.0),
        ("1e3", 1000.0),
        ("5 s", None),
        ("5x", None),
        ("s", None),
        ("", None),
        ("1m30", None),
    ],
)
def test_durations(text: str, expected: float | None) -> None:
    assert seconds_of(text) == expected


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("5x", "'5x' is not a duration: write e.g. 5 (seconds), 500ms, 5s, 2m or 1m30s"),
        ("0s", "'0s' is not a duration above 0 s and up to 24h"),
        ("25h", "'25h' is not a duration above 0 s and up to 24h"),
        ("nan", "'nan' is not a duration above 0 s and up to 24h"),
    ],
)
@pytest.mark.parametrize("option", ["--duration", "--timeout", "--stream-timeout"])
def test_what_is_no_duration_is_said(value: str, said: str, option: str) -> None:
    done = tracebench("run", option, value)
    assert said in str(done.exception)


def test_several_targets_with_one_label(tmp_path: Path) -> None:
    path = str(tmp_path / "both.json")
    result_file.write(replace(both(), label="twice"), path)
    assert tracebench("report", path).stdout.count("\n  twice\n") == 2

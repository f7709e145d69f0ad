"""Standard output and standard error that fail cost nothing that was measured."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_bad_input import IMAGE, ROOT, slowly
from tests.report.samples import both
from tests.servers import HOST, reply, serving
from tracebench.report.files import result_file


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell; TB in it is tracebench."""
    return subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"TB": f"{sys.executable} -m tracebench"} | environment,
        timeout=60,
    )


@pytest.fixture
def saved(tmp_path: Path) -> str:
    path = tmp_path / "saved.json"
    result_file.write(both(), str(path))
    return str(path)


@pytest.mark.parametrize(
    ("streams", "said"),
    [
        ("> /dev/full", "warning: the table could not be printed (No space left on device)"),
        (">&-", "wrote"),
        ("> /dev/full 2> /dev/full", ""),
        (">&- 2>&-", ""),
        (">&- 2>&- <&-", ""),
        ("| true", "wrote"),
        ("2> /dev/full | true", ""),
    ],
)
def test_a_result_is_saved_whatever_becomes_of_the_streams(
    streams: str, said: str, tmp_path: Path
) -> None:
    file, plot, traces = (tmp_path / name for name in ("r.json", "p.png", "t.jsonl"))
    with serving(slowly(reply())) as port:
        done = shell(
            f"set -o pipefail; $TB run --image {IMAGE} --rest-url http://{HOST}:{port} "
            f"--requests 5 --output-json {file} --output-plot {plot} --output-traces {traces} "
            + streams
        )
    assert done.returncode in (0, 3), done.stderr  # 3: a busy machine, numbers that are not valid
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    assert said in done.stderr
    assert json.loads(file.read_text())["targets"]["rest"]["requests"]["succeeded"] == 5
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert len(traces.read_text().splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == sorted([file, plot, traces])


def test_where_nothing_else_was_asked_for_a_dead_stdout_is_an_error(saved: str) -> None:
    done = shell(f"$TB report {saved} > /dev/full")
    assert done.returncode == 2
    assert done.stderr == (
        "tracebench: cannot print (No space left on device): check where standard output goes\n"
    )


@pytest.mark.parametrize("command", ["--help", "run --help", "--version", "report {saved}"])
def test_a_reader_who_wants_no_more_is_no_error(command: str, saved: str) -> None:
    done = shell(f"set -o pipefail; $TB {command.format(saved=saved)} | true")
    assert (done.returncode, done.stderr) == (0, "")


def test_characters_that_a_stream_has_not_are_escaped(saved: str) -> None:
    done = shell(f"$TB report {saved} | iconv -f latin1 -t utf8", PYTHONIOENCODING="latin-1")
    assert done.returncode == 0, done.stderr
    assert "\\u2588" in done.stdout


def test_the_table_follows_a_file_that_goes_to_standard_output_too(saved: str) -> None:
    done = shell(f"ln -s /dev/stdout {saved}.svg; $TB report {saved} --output-plot {saved}.svg")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("<?xml")
    assert "USABLE FOR " in done.stdout.partition("</svg>")[2]

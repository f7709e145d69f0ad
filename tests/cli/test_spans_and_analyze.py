"""`spans` and `analyze` on the command line."""

import json
from pathlib import Path

import pytest

from tests.cli.test_bad_input import complaint, tracebench
from tests.end_to_end.old_servers import old_rest
from tests.tracing.otlp_samples import RECORDED

IMAGE = "tracebench/example/coffee.png"
TRITON = str(RECORDED / "triton-3.json")


def test_spans_shows_what_triton_emits() -> None:
    done = tracebench("spans", TRITON, str(RECORDED / "mlserver-1.pb"))
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["triton-cpu", "triton"] in lines
    assert ["QUEUE_START", "→", "COMPUTE_START", "3", "0.078", "queue"] in lines
    assert ["mlserver", "mlserver"] in lines


def test_a_rule_of_one_s_own_shows_in_spans() -> None:
    done = tracebench("spans", "--map", "inference=compute", TRITON)
    assert ["compute", "3", "0.596", "inference"] in [x.split() for x in done.stdout.splitlines()]


def test_analyze_prints_and_saves_what_run_did(tmp_path: Path) -> None:
    traces, saved, again = (tmp_path / name for name in ("t.jsonl", "run.json", "again.json"))
    with old_rest() as url:
        options = ("--image", IMAGE, "--requests", "30", "--rest-url", url)
        outputs = ("--output-traces", str(traces), "--output-json", str(saved))
        ran = tracebench("run", *options, *outputs)
    plot = tmp_path / "plot.svg"
    found = tracebench(
        "analyze", str(traces), "--output-json", str(again), "--output-plot", str(plot)
    )
    assert found.returncode == ran.returncode, found.stderr
    assert found.stdout == ran.stdout
    assert json.loads(again.read_text()) == json.loads(saved.read_text())
    assert plot.stat().st_size > 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["spans"], "TRACES.jsonl"),
        (["spans", "/no/such"], "/no/such"),
        (["spans", IMAGE], "coffee.png"),
        (["spans", TRITON, "--map", "inference"], "COMPONENT=SPAN"),
        (["spans", TRITON, "--mapping", IMAGE], "coffee.png"),
        (["analyze", "/no/such"], "/no/such"),
        (["analyze", TRITON], "no requests among 9 spans"),
        (["analyze", TRITON, "--output-json", "/no/such/x"], "/no/such/x"),
        (["run", "--image", IMAGE, "--rest-url", "http://127.0.0.1:9", "--map", "x"], "--map 'x'"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(options: list[str], said: str) -> None:
    assert said in complaint(tracebench(*options), 2)

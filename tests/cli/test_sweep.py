"""What can be asked of a sweep, and what is refused in one line."""

import json
from pathlib import Path

import click
import pytest

from tests.cli.test_bad_input import IMAGE, complaint, tracebench
from tests.servers import HOST, answering, reply, serving
from tracebench.cli.options.load_values import Loads


@pytest.mark.parametrize(
    ("text", "whole", "loads"),
    [
        ("auto", True, ()),
        ("1", True, (1.0,)),
        ("1,2,4", True, (1.0, 2.0, 4.0)),
        ("0.5,2.5", False, (0.5, 2.5)),
    ],
)
def test_loads(text: str, whole: bool, loads: tuple[float, ...]) -> None:
    assert Loads(whole=whole).convert(text, None, None) == loads


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("text", ["", "x", "1,", "1,,2", "0", "-1", "nan", "inf", "1e9", "1;2"])
def test_what_are_no_loads(text: str, whole: bool) -> None:
    with pytest.raises(click.BadParameter, match="auto"):
        Loads(whole=whole).convert(text, None, None)


def test_half_a_request_cannot_be_under_way() -> None:
    with pytest.raises(click.BadParameter, match="whole numbers"):
        Loads(whole=True).convert("1,2.5", None, None)


TARGET = ("--image", IMAGE, "--rest-url", "http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((*TARGET, "--concurrency", "1,x"), "1,x"),
        ((*TARGET, "--rate", "10,20", "--concurrency", "1,2"), "a single --concurrency"),
        ((*TARGET, "--output-json", "/no/such/x.json"), "/no/such"),
        ((*TARGET, "--timeout", "1"), "127.0.0.1:9"),
        (("--image", IMAGE), "no target"),
    ],
)
def test_wrong_usage(options: tuple[str, ...], said: str) -> None:
    assert said in complaint(tracebench("sweep", *options), 2)


def test_the_outputs(tmp_path: Path) -> None:
    data, plot, traces = tmp_path / "x.json", tmp_path / "x.svg", tmp_path / "t.jsonl"
    page = tmp_path / "x.html"
    with serving(answering(reply(), service_s=0.01)) as port:
        done = tracebench(
            *("sweep", "--image", IMAGE, "--rest-url", f"http://{HOST}:{port}"),
            *("--rate", "20,40", "--requests", "10", "--output-json", str(data)),
            *("--output-plot", str(plot), "--output-traces", str(traces)),
            *("--output-html", str(page)),
        )
    assert done.returncode == 0, done.stderr
    assert "Nothing saturates up to 40/s" in done.stdout
    assert "rate 40: rest" in done.stderr
    assert done.stderr.count("rest answers") == 1
    assert f"wrote {tmp_path / 't-LOAD.jsonl'}" in done.stderr
    saved = json.loads(data.read_text())
    assert (saved["schema"], saved["kind"]) == ("tracebench.sweep/1", "rate")
    assert [step["load"] for step in saved["steps"]] == [20, 40]
    assert saved["steps"][0]["result"]["schema"] == "tracebench.result/1"
    assert saved["scaling"]["rest"]["points"][1]["throughput_rps"] > 0
    again = tracebench("report", str(data))
    assert (again.returncode, again.stdout) == (0, done.stdout)
    assert plot.read_text().startswith("<?xml")
    assert "sweep-throughput" in page.read_text()
    assert f"wrote {page}" in done.stderr
    written = sorted(file.name for file in tmp_path.glob("*.jsonl"))
    assert written == ["t-20.jsonl", "t-40.jsonl"]

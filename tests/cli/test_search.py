"""What can be asked of a search, and what is refused in one line."""

import json
from pathlib import Path

import pytest

from tests.cli.test_bad_input import IMAGE, complaint, tracebench
from tests.servers import HOST, answering, reply, serving

TARGET = ("--image", IMAGE, "--rest-url", "http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (TARGET, "give --slo"),
        ((*TARGET, "--slo", "p99"), "is no limit"),
        ((*TARGET, "--slo", "max < 5ms"), "grows with the number"),
        ((*TARGET, "--slo", "latncy.p99 < 5ms"), "did you mean 'latency'"),
        (
            (*TARGET, "--slo", "p99 < 5ms", "--from", "50", "--to", "40"),
            "--from 50 is above --to 40",
        ),
        ((*TARGET, "--slo", "p99 < 5ms", "--from", "-1"), "--from"),
        ((*TARGET, "--slo", "p99 < 5ms", "--budget", "0"), "--budget"),
        ((*TARGET, "--slo", "p99 < 5ms", "--goodput", "1"), "--goodput"),
        ((*TARGET, "--slo", "p99 < 5ms", "--by", "weight"), "weight"),
        (
            (*TARGET, "--slo", "p99 < 5ms", "--by", "concurrency", "--concurrency", "4"),
            "give --to instead",
        ),
        ((*TARGET, "--slo", "p99 < 5ms", "--by", "concurrency", "--to", "2.5"), "whole numbers"),
        ((*TARGET, "--slo", "p99 < 5ms", "--grpc-server", "127.0.0.1:9"), "not of several"),
        ((*TARGET, "--slo", "p99 < 5ms"), "connection refused"),
        ((*TARGET, "--slo", "p99 < 5ms", "--output-json", "/no/such/x.json"), "/no/such"),
        (("--image", IMAGE, "--slo", "p99 < 5ms"), "no target"),
    ],
)
def test_wrong_usage(options: tuple[str, ...], said: str) -> None:
    assert said in complaint(tracebench("search", *options), 2)


def test_an_objective_on_what_is_not_there_ends_at_once() -> None:
    with serving(answering(reply(), service_s=0.002)) as port:
        target = ("--image", IMAGE, "--rest-url", f"http://{HOST}:{port}")
        done = tracebench("search", *target, "--slo", "ttft.p95 < 5ms", "--budget", "60")
    assert done.returncode == 2
    assert "no request tells of ttft.p95 < 5ms: they tell of latency, " in done.stderr


@pytest.mark.parametrize(
    ("slo", "by", "status"),
    [
        ("latency.p50 < 5s", ("--to", "40"), 0),
        ("latency.p50 < 1us", ("--from", "20"), 1),
        ("latency.p50 < 5s", ("--by", "concurrency", "--to", "2"), 0),
    ],
)
@pytest.mark.slow
def test_the_outputs(slo: str, by: tuple[str, ...], status: int, tmp_path: Path) -> None:
    data, plot = tmp_path / "x.json", tmp_path / "x.svg"
    with serving(answering(reply(), service_s=0.002)) as port:
        done = tracebench(
            *("search", "--image", IMAGE, "--rest-url", f"http://{HOST}:{port}", "--slo", slo),
            *(*by, "--budget", "20", "--output-json", str(data), "--output-plot", str(plot)),
        )
    assert done.returncode == status, done.stderr
    saved = json.loads(data.read_text())
    assert (saved["schema"], saved["slo"]) == ("tracebench.search/1", slo)
    assert saved["by"] == ("concurrency" if "--by" in by else "rate")
    assert saved["spent_s"] <= saved["budget_s"] == 20
    if status:
        assert saved["highest"] is None
        assert "No load meets" in done.stdout
    else:
        assert saved["highest"]["load"] == float(by[-1])
        assert saved["goodput_rps"] > 0
        assert "is the highest load shown to meet" in done.stdout
    assert saved["arrival"] == (None if "--by" in by else "poisson")
    assert saved["steps"][0]["result"]["schema"] == "tracebench.result/1"
    assert plot.read_text().startswith("<?xml")
    again = tracebench("report", str(data))
    assert (again.returncode, again.stdout) == (status, done.stdout)

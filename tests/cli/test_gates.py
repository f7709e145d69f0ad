"""Gates from the command line: what is refused before the load, what the exit status says."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.cli.test_bad_input import IMAGE, complaint, run, slowly, tracebench
from tests.report.samples import both, result, target
from tests.servers import HOST, answering, reply, serving
from tracebench.cli.run import exit_status
from tracebench.model.objectives import Decision
from tracebench.model.results.result import Finding, Result, Verdict
from tracebench.report.files import result_file
from tracebench.report.files.result_file import dumps

TARGET = ("--image", IMAGE, "--rest-url", "http://127.0.0.1:9")


def written(path: Path, found: Result) -> str:
    result_file.write(found, str(path))
    return str(path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--fail-if", "infrence.p95_ms > 20"], "did you mean 'inference'"),
        (["--fail-if", "grpc.inference.p95_ms > 20"], "there is no target 'grpc'"),
        (["--fail-if", "p95 > nan"], "is no gate"),
        (["--fail-if", "goodput.share < 99%"], "give --slo"),
        (["--fail-if-slower", "p95 3%"], "--baseline A.json, or a second target"),
        (["--fail-if-slower", "p99 3%", "--baseline", "x"], "(mean, p50, p95)"),
        (
            ["--fail-if-slower", "p95 3%", "--baseline", "no.json"],
            "cannot read --baseline 'no.json'",
        ),
        (["--baseline", "x"], "give that too"),
        (["--output-junit", "x.xml"], "give --fail-if"),
        (["--on-inconclusive", "pass"], "give --fail-if"),
        (["--on-inconclusive", "maybe", "--fail-if", "p50 > 1"], "maybe"),
        (["--fail-if", "p50 > 1", "--output-junit", "/no/such/x.xml"], "/no/such"),
        (["--slo", "latency.p99 < 50ms"], "use --fail-if"),
        (["--slo", "infrence < 50ms"], "did you mean 'inference'"),
    ],
)
def test_what_is_known_to_be_wrong_is_said_before_anything_is_measured(
    options: list[str], said: str
) -> None:
    assert said in complaint(run(*TARGET, *options), 2)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (dumps(both())[:500], "is not a tracebench result"),
        ('{"schema": "other/9"}', "has the schema 'other/9'"),
        (dumps(both()).replace('"duration_s": 10.0', '"duration_s": NaN'), "NaN is not a JSON"),
        (dumps(result(grpc=target())), "has grpc, and the run has rest"),
        (dumps(result(rest=target(20, failed=20))), "no request to rest succeeded"),
        (dumps(result(rest=target(200, failed=100))), "are not valid (errors)"),
    ],
)
def test_a_baseline_that_is_none_is_refused(content: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(content)
    asked = ("--fail-if-slower", "p95 3%", "--baseline", str(file))
    assert said in complaint(run(*TARGET, *asked), 2)


GATES = {
    "passed": (["rest.p50 > 1s", "errors.share > 90%"], 0),
    "failed": (["rest.p50 > 1ms", "rest.p999 > 1s"], 1),
    "inconclusive": (["rest.p999 > 1s"], 3),
}


@pytest.mark.parametrize(("decision", "asked"), GATES.items(), ids=GATES)
def test_a_saved_result_is_held_to_gates(
    decision: str, asked: tuple[list[str], int], tmp_path: Path
) -> None:
    file, junit = written(tmp_path / "r.json", both()), tmp_path / "j.xml"
    gates, status = asked
    options = [part for gate in gates for part in ("--fail-if", gate)]
    done = tracebench("report", file, *options, "--output-junit", str(junit))
    assert done.returncode == status, done.stderr
    assert done.stdout.splitlines()[-1].startswith(f"gates {decision.upper()}: ")
    assert done.stdout.splitlines()[-1].endswith(f"(exit status {status})")
    suite = ElementTree.fromstring(junit.read_bytes())
    assert suite.get("tests") == str(len(suite.findall("testcase")))
    assert suite.get("failures") == str(int(status == 1))


@pytest.mark.parametrize(("how", "status"), [("fail", 1), ("pass", 0)])
def test_what_is_undecided_counts_as_asked(how: str, status: int, tmp_path: Path) -> None:
    file = written(tmp_path / "r.json", both())
    asked = ("--fail-if", "rest.p999 > 1s", "--on-inconclusive", how)
    assert tracebench("report", file, *asked).returncode == status


def test_a_gate_on_what_is_not_there_is_one_line_after_all_is_written(tmp_path: Path) -> None:
    file, junit = written(tmp_path / "r.json", both()), tmp_path / "j.xml"
    done = tracebench(
        *("report", file, "--fail-if", "rest.tokenize.p95 > 2", "--output-junit", str(junit))
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(
        "tracebench: gate 'rest.tokenize.p95 > 2': rest: there is no 'tokenize': the requests tell "
    )
    assert done.stdout.splitlines()[-1] == "gates BROKEN: 1 broken (exit status 2)"
    assert junit.exists()


def test_the_second_target_must_not_be_slower_than_the_first(tmp_path: Path) -> None:
    slower = target(2_000, scale=lambda number: 19.0 + number % 7)
    file = written(tmp_path / "r.json", result(old=target(2_000), new=slower))
    done = tracebench("report", file, "--fail-if-slower", "p50 3%")
    assert done.returncode == 1
    assert "new against old  p50 3%" in done.stdout
    assert tracebench("report", file, "--fail-if-slower", "p50 50%").returncode == 0


def test_a_baseline(tmp_path: Path) -> None:
    before = written(tmp_path / "a.json", result(rest=target(2_000)))
    slower = target(2_000, scale=lambda number: 19.0 + number % 7)
    now = written(tmp_path / "b.json", result(rest=slower))
    asked = ("--fail-if-slower", "p50 3%", "--baseline", before)
    assert tracebench("report", now, *asked).returncode == 1
    as_before = replace(result(rest=target(2_000)), tool={"run_id": "another"})
    assert tracebench("report", written(tmp_path / "c.json", as_before), *asked).returncode == 0


def test_a_sweep_is_no_run(tmp_path: Path) -> None:
    from tests.report.sweep_samples import ALL  # their making takes a while

    file = tmp_path / "s.json"
    file.write_text(dumps(ALL["workers"]))
    assert "--fail-if is for" in complaint(
        tracebench("report", str(file), "--fail-if", "p50 > 1"), 2
    )


@pytest.mark.parametrize(
    ("codes", "decision", "status"),
    [
        ([], None, 0),
        ([], "passed", 0),
        ([], "failed", 1),
        ([], "inconclusive", 3),
        (["errors"], "failed", 3),
        (["errors"], "broken", 3),
        (["interrupted", "errors"], "failed", 130),
    ],
)
def test_which_exit_status_comes_first(
    codes: list[str], decision: Decision | None, status: int
) -> None:
    findings = tuple(Finding(code, "invalid", "so it is", "mend it") for code in codes)
    one = replace(target(), verdict=Verdict(not findings, findings))
    found = replace(result(rest=one), decision=decision)
    assert exit_status(found) == status


def test_a_run_with_gates(tmp_path: Path) -> None:
    file, junit = tmp_path / "r.json", tmp_path / "j.xml"
    with serving(slowly(reply())) as port:
        done = run(
            *("--image", IMAGE, "--rest-url", f"http://{HOST}:{port}", "--requests", "200"),
            *("--slo", "latency < 10s", "--fail-if", "goodput.share < 90%"),
            *("--fail-if", "p50 > 0.001ms", "--output-json", str(file)),
            *("--output-junit", str(junit)),
        )
    saved = json.loads(file.read_text())
    valid = saved["targets"]["rest"]["verdict"]["valid"]
    assert done.returncode == (1 if valid else 3), done.stderr  # 3: a busy machine
    assert saved["decision"] == ("failed" if valid else "broken")
    good, slow = saved["gates"]
    assert set(good) >= {"expression", "target", "value", "interval", "limit", "decision"}
    assert (good["expression"], good["target"], good["value"]) == (
        "goodput.share < 90%",
        "rest",
        1.0,
    )
    assert slow["interval"][0] > 0.001
    assert saved["targets"]["rest"]["goodput"]["share"] == 1
    assert saved["plan"]["slo"] == "latency < 10s"
    assert done.stdout.splitlines()[-1].startswith("gates ")
    again = tracebench("report", str(file))
    assert (again.returncode, again.stdout) == (done.returncode, done.stdout)


def test_archived_spans_are_held_to_gates_too(tmp_path: Path) -> None:
    traces = tmp_path / "t.jsonl"
    with serving(answering(reply(), service_s=0.002)) as port:
        made = run(
            *("--image", IMAGE, "--rest-url", f"http://{HOST}:{port}", "--requests", "100"),
            *("--output-traces", str(traces), "--slo", "latency < 10s"),
        )
    assert made.returncode in (0, 3), made.stderr
    asked = ("--fail-if", "p50 > 0.001ms", "--fail-if", "goodput.share < 90%")
    done = tracebench("analyze", str(traces), *asked)
    assert done.returncode == (1 if made.returncode == 0 else 3), done.stderr
    assert "goodput 100 %" in done.stdout

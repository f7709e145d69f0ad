"""The gates at the end of a run, and as JUnit XML."""

from dataclasses import replace
from xml.etree import ElementTree

import pytest
from rich.cells import cell_len

from tests.report.samples import both, result, target
from tracebench.analysis.objectives.gates import gate_of, judge, overall
from tracebench.model.results.result import Result
from tracebench.model.results.stream_result import Goodput
from tracebench.report.answer.gate_lines import last_line, render
from tracebench.report.files import junit
from tracebench.report.files.result_file import dumps, loads

GATES = ("p50 > 15ms", "rest.p50 > 1s", "rest.p999 > 1s", "rest.errors.share > 99%")


def gated(*texts: str, run: Result | None = None, on_inconclusive: str | None = None) -> Result:
    run = run or both()
    gates = judge(run, [gate_of(text, run.targets) for text in texts])
    valid = all(one.verdict.valid for one in run.targets.values())
    how = on_inconclusive
    return replace(run, gates=gates, decision=overall(gates, valid=valid, on_inconclusive=how))  # type: ignore[arg-type]


def test_where_nothing_was_asked_nothing_is_said() -> None:
    assert render(both()) == ""


@pytest.mark.parametrize("width", [80, 100])
def test_every_gate_has_its_line(width: int) -> None:
    text = render(gated(*GATES), width=width)
    lines = text.splitlines()
    assert max(map(cell_len, lines)) <= width
    assert any(line.split()[:4] == ["failed", "rest", "p50", ">"] for line in lines)
    assert any(line.startswith("passed        rest.p50 > 1s") for line in lines)
    assert "inconclusive  rest.p999 > 1s" in text
    assert "(no interval)" in text
    assert "too few for an interval" in text
    assert lines[-1] == "gates FAILED: 2 passed, 2 failed, 1 inconclusive (exit status 1)"


@pytest.mark.parametrize(
    ("texts", "how", "said"),
    [
        (("p50 > 1s",), None, "gates PASSED: 2 passed (exit status 0)"),
        (("rest.p999 > 1s",), None, "gates INCONCLUSIVE: 1 inconclusive (exit status 3)"),
        (("rest.p999 > 1s",), "pass", "gates PASSED: 1 inconclusive (exit status 0)"),
        (("rest.p999 > 1s",), "fail", "gates FAILED: 1 inconclusive (exit status 1)"),
        (("rest.tokenize.p50 > 1s",), None, "gates BROKEN: 1 broken (exit status 2)"),
    ],
)
def test_the_last_line(texts: tuple[str, ...], how: str | None, said: str) -> None:
    assert last_line(gated(*texts, on_inconclusive=how)) == said


def test_numbers_that_are_not_valid_are_named() -> None:
    run = result(rest=target(200, failed=100))
    told = last_line(gated("p50 > 1ms", "errors.share > 1%", run=run))
    assert told == "gates BROKEN: the numbers of rest are not valid (exit status 3)"


def test_goodput_is_told_with_its_interval() -> None:
    good = Goodput(0.912, 41.23, {"latency": 20.0, "inference": 7.5}, (0.88, 0.94))
    text = render(result(rest=replace(target(), goodput=good)))
    assert " ".join(text.split()) == (
        "rest: goodput 91.2 % (88 … 94 %), 41.2/s: requests with latency < 20 ms and "
        "inference < 7.5 ms"
    )


def test_gates_survive_the_file() -> None:
    run = gated(*GATES)
    again = loads(dumps(run))
    assert (again.gates, again.decision) == (run.gates, "failed")
    assert render(again) == render(run)


def cases(run: Result) -> dict[str, list[str]]:
    suite = ElementTree.fromstring(junit.dumps(run))
    found: dict[str, list[str]] = {}
    for case in suite.iter("testcase"):
        found[f"{case.get('classname')} {case.get('name')}"] = [child.tag for child in case]
    assert suite.get("tests") == str(len(run.gates)) == str(len(found))
    kinds = [kind for those in found.values() for kind in those]
    for name, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert suite.get(name) == str(kinds.count(kind))
    return found


def test_a_test_case_for_each_gate_and_target() -> None:
    assert cases(gated(*GATES)) == {
        "tracebench.rest p50 > 15ms": ["failure"],
        "tracebench.grpc p50 > 15ms": ["failure"],
        "tracebench.rest rest.p50 > 1s": [],
        "tracebench.rest rest.p999 > 1s": ["error"],
        "tracebench.rest rest.errors.share > 99%": [],
    }


@pytest.mark.parametrize(
    ("how", "kind"), [(None, "error"), ("pass", "skipped"), ("fail", "failure")]
)
def test_what_is_undecided_counts_as_it_was_asked(how: str | None, kind: str) -> None:
    run = gated("rest.p999 > 1s", on_inconclusive=how)
    assert list(cases(run).values()) == [[kind]]

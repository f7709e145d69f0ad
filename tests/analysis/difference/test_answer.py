"""The sentence of a comparison, and what else differs."""

from dataclasses import replace
from typing import Any

import pytest

from tests.report.samples import both, result, target
from tracebench.analysis.difference.answer import answer, lines, matters
from tracebench.analysis.difference.caveats import doubts, unlike
from tracebench.model.results.result import Difference, Result

NO_ERRORS = Difference(0, 0, 0, None)
Given = dict[str, dict[str, Difference]]


def slower(a: float, delta: float) -> Difference:
    return Difference(a, a + delta, delta, (delta - 0.1, delta + 0.1), "slower")


def unknown(a: float, delta: float = 0.0) -> Difference:
    return Difference(a, a + delta, delta, (delta - 1, delta + 1), "no difference shown")


def test_what_is_slower_and_where() -> None:
    given: Given = {
        "inference": {"p50_ms": slower(8, 0.42)},
        "network": {"p50_ms": unknown(1)},
        "queue": {"p50_ms": slower(1, 0.2)},
        "end_to_end": {"p50_ms": slower(11, 0.6), "mean_ms": slower(12, 0.6)},
    }
    assert answer(given, NO_ERRORS) == (
        "B is 5.5 % slower at the median: inference +0.42 ms [+0.32, +0.52]; "
        "queue +0.20 ms [+0.10, +0.30]"
    )


def test_where_no_component_is_shown_it_says_so() -> None:
    given: Given = {"end_to_end": {"p50_ms": unknown(11), "mean_ms": slower(12, 1.2)}}
    assert answer(given, NO_ERRORS) == (
        "B is 10 % slower in the mean (+1.20 ms [+1.10, +1.30]); no component is shown to "
        "differ by itself"
    )


def test_a_component_may_differ_where_the_latency_does_not() -> None:
    given: Given = {
        "inference": {"p50_ms": unknown(8), "p95_ms": slower(9, 0.7)},
        "server_processing": {"p50_ms": slower(9, 0.7)},
        "end_to_end": {"p50_ms": unknown(11, 0.3), "p95_ms": unknown(20)},
    }
    assert answer(given, NO_ERRORS) == (
        "No difference of the latency is shown (+0.30 ms [-0.70, +1.30] at the median); but "
        "inference is slower at p95, +0.70 ms [+0.60, +0.80]"
    )


def test_what_is_shown_but_small_is_not_in_the_sentence() -> None:
    given: Given = {
        "inference": {"p50_ms": slower(8, 0.05)},
        "end_to_end": {"p50_ms": slower(11, 0.05)},
    }
    assert "No difference" in answer(given, NO_ERRORS)
    (inference, _) = lines(given)
    assert inference.is_shown
    assert not matters(inference, given)


def test_errors_are_in_the_sentence() -> None:
    given: Given = {"end_to_end": {"p50_ms": unknown(11)}}
    told = answer(given, Difference(0, 0.023, 0.023, None))
    assert told.endswith("; 2.3 % of B's requests failed, 0 % of A's")


def test_parts_come_in_the_order_of_a_request_and_streams_last() -> None:
    names = ("stream.ttft", "end_to_end", "tokenize", "inference", "network", "server_processing")
    given: Given = {name: {"p50_ms": unknown(1)} for name in names}
    found = [one.component for one in lines(given)]
    assert found == [*names[4:2:-1], "tokenize", "server_processing", "end_to_end", "stream.ttft"]


def planned(**plan: Any) -> Result:
    one = both()
    return replace(one, plan={**one.plan, **plan})


def test_runs_that_were_planned_alike_have_no_caveat() -> None:
    assert list(unlike([both()], [both(), both()])) == []


SEGMENT = {"from_rps": 50.0, "to_rps": 50.0, "duration_s": None}
PAYLOAD = {"bytes": 24_311, "count": 1, "sha256": "0123456789abcdef"}


@pytest.mark.parametrize(
    ("of_a", "of_b", "said"),
    [
        ({"concurrency": 1}, {"concurrency": 8}, "concurrency differs: 1 in A, 8 in B"),
        ({"rate": None}, {"rate": [SEGMENT]}, "rate differs: a closed loop in A, 50/s in B"),
        (
            {"payload": PAYLOAD},
            {"payload": {**PAYLOAD, "bytes": 48_000, "sha256": "f" * 64}},
            "payload differs: 24,311 bytes (sha256 01234567…) in A, 48,000 bytes "
            "(sha256 ffffffff…) in B",
        ),
        ({"warmup": 0}, {"warmup": "auto"}, "warm-up differs: 0 in A, auto in B"),
        ({"rate": ()}, {"rate": []}, None),
    ],
)
def test_a_plan_that_differs_is_a_line(
    of_a: dict[str, Any], of_b: dict[str, Any], said: str | None
) -> None:
    assert list(unlike([planned(**of_a)], [planned(**of_b)])) == ([said] if said else [])


def test_machine_and_version_that_differ_are_lines() -> None:
    other = replace(both(), tool={"version": "9"}, environment={"platform": "BeOS", "python": "3"})
    found = list(unlike([both()], [other]))
    assert "machine differs: none in A, BeOS in B" in found
    assert "tracebench differs: 0.1.0 in A, 9 in B" in found


def test_runs_of_one_side_that_differ_are_told_too() -> None:
    found = list(unlike([planned(concurrency=1), planned(concurrency=2)], [planned(concurrency=1)]))
    assert found == ["concurrency differs: 1 or 2 in A, 1 in B"]


def test_a_run_that_is_not_valid_is_a_line() -> None:
    broken = result(rest=target(200, failed=190))
    (line,) = doubts(["x.json"], [broken], ["rest"])
    assert line.startswith("x.json: rest is not valid: ")
    assert list(doubts(["y.json"], [result(rest=target())], ["rest"])) == []

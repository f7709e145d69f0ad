"""The answer in 24 lines: headline, sentence, a line for each doubt, and what -v and -q change."""

from dataclasses import replace
from typing import Any

import pytest

from tests.report.samples import ALL, both, result, target
from tests.report.test_table import row
from tracebench.analysis.verdict import FINDINGS
from tracebench.model.results.result import (
    Detail,
    ErrorCount,
    Finding,
    Result,
    TargetResult,
    Verdict,
)
from tracebench.report.answer.table import render

DETAILS: tuple[Detail, ...] = ("answer", "all")


def shown(one: TargetResult) -> Result:
    """A result with this target as it is."""
    return replace(result(rest=target()), targets={"rest": one})


@pytest.mark.parametrize("sample", ALL.values(), ids=ALL)
def test_a_target_takes_24_lines(sample: Result) -> None:
    for name, one in sample.targets.items():
        text = render(replace(sample, targets={name: one}, comparison=None, label="a run"))
        assert len(text.splitlines()) <= 24


def test_what_was_measured_and_what_it_can_be_used_for() -> None:
    lines = render(result(rest=target())).splitlines()
    assert lines[0].startswith("rest  http://127.0.0.1:5000/predict  ")
    assert lines[0].endswith("  200 ok · 20/s · 10 s · conc 4")
    assert lines[2] == "  USABLE FOR mean, p50, p95   nothing to fix, 2 notes (-v)"
    assert lines[4] == "  Inference is 55 % of the mean: 11 of 20 ms."
    assert lines[5] == "  → try quantisation, a smaller model or an accelerator"
    assert lines[-1] == "  ~ needs about 4 times as many requests: --requests 800"


def test_all_the_details() -> None:
    text = render(result(rest=target()), detail="all")
    assert row(text, "server_processing")[1:] == ["15.70", "15.70", "15.70", "~15.7"]
    assert "200 of 200 requests succeeded" in text
    assert "decomposed: 200 by mirror · TCP round trip 0.012 ms · 4 connections" in text
    assert "info: 200 samples are too few for p99, p999" in text
    assert "[too_few_samples]" in text
    assert "→ measure longer (--requests, --duration)" in text
    assert "nothing to fix, 2 notes\n" in text


def test_the_table_alone() -> None:
    text = render(result(rest=target()), detail="table")
    assert text.splitlines()[0].split() == ["ms", "mean", "p50", "p95", "p99", "share"]
    assert "USABLE" not in text
    several = render(replace(both(), comparison=None), detail="table")
    headings = [line.split()[0] for line in several.splitlines() if " ok · " in line]
    assert headings == ["rest", "grpc"]


@pytest.mark.parametrize("detail", DETAILS)
def test_a_label_stands_below_the_heading(detail: Detail) -> None:
    text = render(replace(result(rest=target()), label="torch 2.4"), detail=detail)
    assert text.splitlines()[1] == "  torch 2.4"


@pytest.mark.parametrize(
    ("plan", "load"),
    [
        ({"concurrency": 1}, "10 s · conc 1"),
        ({"rate": [{"from_rps": 50, "to_rps": 50}], "concurrency": 256}, "10 s · rate 50/s"),
        ({"rate": [{"from_rps": 10, "to_rps": 200.5}]}, "10 s · rate 10 → 200.5/s"),
        ({"schedule_s": {"count": 3, "last_s": 2.0}}, "10 s · as --arrivals say"),
        ({"rate": "nonsense"}, "20/s · 10 s"),
        ({}, "20/s · 10 s"),
    ],
)
def test_the_heading_says_how_hard_the_server_was_pressed(plan: dict[str, Any], load: str) -> None:
    text = render(replace(result(rest=target()), plan=plan))
    assert text.splitlines()[0].endswith(load)


def test_one_is_not_several() -> None:
    one = target(1)
    assert one.tcp is not None
    text = render(result(rest=replace(one, tcp=replace(one.tcp, connections=1))), detail="all")
    assert "1 of 1 request succeeded" in text
    assert "· 1 connection\n" in text
    assert "warning: 1 sample is too few for p50" in text
    assert "1 thing to fix\n" in text


def test_a_single_request_is_a_first_look() -> None:
    text = render(result(rest=target(1)))
    assert "USABLE FOR A FIRST LOOK ONLY   1 thing to fix" in text
    assert "So far inference takes the most, about 11 of 17 ms" in text


def test_a_statistic_that_is_usable_alone_is_said_to_be() -> None:
    one = target()
    text = render(shown(replace(one, verdict=replace(one.verdict, usable_for=("p50", "p90")))))
    assert "USABLE FOR p50 ONLY" in text
    assert "Inference is 55 % of the median: 11 of 20 ms." in text


def test_an_older_file_is_judged_anew() -> None:
    one = target()
    text = render(shown(replace(one, verdict=replace(one.verdict, usable_for=None))))
    assert "USABLE FOR mean, p50, p95   " in text


def test_a_finding_of_an_older_file_is_cut_to_a_line() -> None:
    whole = "an old finding in a sentence that is far longer than any line of the table may ever be"
    verdict = replace(target().verdict, findings=(Finding("old", "warning", whole, "mend it"),))
    text = render(shown(replace(target(), verdict=verdict)))
    line = next(one for one in text.splitlines() if one.startswith("  ! "))
    assert line == f"  ! {whole[:75].rstrip()}…"


def test_what_is_cut_is_never_the_fix() -> None:
    long = Finding("long", "invalid", "x", "y", brief="it failed because " * 9, fix="--mend it")
    one = replace(target(), verdict=Verdict(False, (long,), ()))
    line = next(one for one in render(shown(one)).splitlines() if one.startswith("  ✗ "))
    assert line.endswith("…: --mend it")
    assert len(line) in (79, 80)


def crowded() -> TargetResult:
    """Every finding there is, as a warning, every row, and nine reasons of failures."""
    own = {f"step{n}": 0.5 - n / 100 for n in range(12)}
    one = target(own_ms=own, scale=lambda number: 30.0 + number % 7)
    rows = dict.fromkeys(("backlog", "connect", "body", "queue"), one.components["network"])
    findings = tuple(
        Finding(code, "warning", kind.message, "", f"brief {code}", "--fix")
        for code, kind in FINDINGS.items()
    )
    return replace(
        one,
        components={**one.components, **rows},
        share={**one.share, **dict.fromkeys(rows, 0.0)},
        verdict=Verdict(True, findings, ("p50",)),
        errors=tuple(ErrorCount(f"HTTP {400 + n}", 9, "x" * 200) for n in range(9)),
    )


def test_every_doubt_keeps_its_line_and_the_table_makes_room() -> None:
    lines = render(shown(crowded())).splitlines()
    doubts = {line for line in lines if line.startswith("  ! ")}
    told = {code for code in FINDINGS if f"  ! brief {code}: --fix" in doubts}
    assert set(FINDINGS) - told == {"too_few_samples"}, "which the note under the table is"
    assert any(line.startswith("  ~ needs about") for line in lines)
    assert len(lines) - len(doubts) <= 24
    assert sum("× HTTP 4" in line for line in lines) == 2
    assert "    63 × 7 more reasons (-v)" in lines


def test_rows_without_room_stand_together_and_the_means_still_add_up() -> None:
    one = crowded()
    text = render(shown(one))
    together = row(text, "18")
    assert together[1:3] == ["more", "(-v)"]
    kept = ("inference", "network", "server_other", "preprocessing")
    means = [float(row(text, name)[1]) for name in kept] + [float(together[3])]
    assert sum(means) == pytest.approx(one.components["end_to_end"].mean_ms, abs=0.05)
    assert "step11" not in text
    assert "step11" in render(shown(one), detail="all")


def test_a_share_that_is_small_is_not_none() -> None:
    text = render(result(rest=target()))
    assert row(text, "client")[-2:] == ["<1", "%"]

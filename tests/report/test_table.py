"""The table: at most 80 columns, plain without colours, and every number that matters in it."""

from dataclasses import replace
from typing import get_args

import pytest
from rich.cells import cell_len

from tests.records import effect
from tests.report.samples import (
    ALL,
    both,
    buffered,
    exchange,
    influenced,
    own_parts,
    result,
    streamed,
    target,
)
from tracebench.analysis.findings.finding import with_findings
from tracebench.analysis.findings.outcome import interrupted
from tracebench.analysis.numbers import milliseconds
from tracebench.model.record.exchange import Outcome
from tracebench.model.results.result import Detail, ErrorCount, Result
from tracebench.report.answer.table import render
from tracebench.report.figures.figure import make

LINK = "http://localhost:16686/search?" + "x" * 200


@pytest.mark.parametrize("shown", ALL.values(), ids=ALL)
@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("detail", get_args(Detail))
def test_it_fits(shown: Result, width: int, detail: Detail) -> None:
    text = render(shown, width=width, detail=detail)
    assert max((cell_len(line) for line in text.splitlines()), default=0) <= width
    assert "\033" not in text


def test_colours_only_where_wanted() -> None:
    assert "\033[" in render(both(), color=True)


def row(text: str, name: str) -> list[str]:
    return next(line.split() for line in text.splitlines() if line.split()[:1] == [name])


def test_the_numbers() -> None:
    text = render(result(rest=target()))
    numbers = ["11.00", "11.00", "11.00", "~11.0", "55", "%"]
    assert row(text, "inference")[1:] == [*numbers, "████████████"]
    assert row(text, "end_to_end")[1:5] == ["19.97", "20.00", "23.00", "~23.0"]
    assert row(text, "end_to_end")[5:] == ["±1.4", "%", "on", "the", "mean"]
    assert "backlog" not in text


def test_a_statistic_that_an_older_file_lacks_is_left_empty() -> None:
    whole = target()
    inference = replace(whole.components["inference"], mean_ms=None)  # type: ignore[arg-type] # as one of the future
    older = replace(whole, components={**whole.components, "inference": inference})
    assert row(render(result(rest=older)), "inference")[1:] == [
        "11.00",
        "11.00",
        "~11.0",
        "55",
        "%",
        "████████████",
    ]


def test_an_interrupted_run_is_not_simply_valid() -> None:
    cut_short = with_findings(target().verdict, interrupted(target().requests, " at 17 %"))
    shown = replace(target(), verdict=cut_short, interrupted_at=0.17)
    text = render(result(rest=shown), color=True)
    assert "INTERRUPTED AT 17 %, USABLE FOR mean, p50, p95" in text
    assert "! interrupted at 17 %: let it finish" in render(result(rest=shown))
    failed = render(result(rest=replace(target(20, failed=20), interrupted_at=0.17)))
    assert "  NOT VALID" in failed


def styled(text: str, start: str) -> str:
    return next(line for line in text.splitlines() if start in line)


def test_there_is_a_sentence_only_above_numbers_that_are_valid() -> None:
    bold = "\033[1m"
    assert bold in styled(render(result(rest=target()), color=True), "Inference is")
    text = render(result(rest=target(200, failed=100)), color=True)
    assert "NOT VALID" in text
    assert "Inference is" not in text
    assert "quantisation" not in text


def test_a_comparison_says_what_its_intervals_do_not_cover() -> None:
    text = " ".join(render(both()).split())
    assert (
        "do not cover what changed in between; without --sequential, targets alternate, and it is "
        "no part of the difference." in text
    )
    drifting = result(rest=target(400, scale=lambda n: 10 + n / 20 + n % 7), grpc=target())
    assert drifting.comparison is not None
    assert "and rest changed within the run" in drifting.comparison.caveat


def test_own_parts_stand_below_the_rest_that_they_are_of() -> None:
    text = render(own_parts())
    lines = [line.split()[0] for line in text.splitlines() if line.strip()]
    at = lines.index("server_other")
    assert lines[at : at + 4] == [
        "server_other",
        "tokenize",
        "a-step-w…its-own",
        "end_to_end",
    ]
    assert row(text, "tokenize")[1:] == ["3.00", "3.00", "3.00", "~3.00", "13", "%", "███"]
    compared = text[text.index("grpc against rest") :]
    assert row(compared, "tokenize")[1:4] == ["3.00", "2.00", "-1.00"]
    assert "a-step" not in compared


def test_the_parts_of_inference_stand_below_it() -> None:
    known = target()
    parts = dict.fromkeys(("prefill", "decode"), known.components["inference"])
    one = replace(
        known,
        components={**known.components, **parts},
        parts_of={"inference": ("prefill", "decode")},
    )
    text = render(result(rest=one, grpc=one))
    lines = [line.split()[0] for line in text.splitlines() if line.strip()]
    for _ in range(3):  # both targets, and their comparison
        at = lines.index("inference")
        assert lines[at + 1 : at + 3] == ["prefill", "decode"]
        lines = lines[at + 1 :]


def test_a_part_that_the_file_does_not_describe_is_passed_over() -> None:
    one = replace(target(), parts_of={"server_other": ("lost",), "inference": ("prefill",)})
    assert render(result(rest=one)) == render(result(rest=target()))
    assert make(result(rest=one)).axes


def test_a_share_s_bar_is_whole() -> None:
    text = render(result(rest=replace(target(), share={"inference": 1.0})))
    assert set(row(text, "inference")[-1]) == {"█"}


def test_latencies_of_more_than_what_was_decomposed_have_a_row_of_their_own() -> None:
    few = target()
    assert few.latency is not None
    assert "latency of all" not in render(result(rest=few))
    more = replace(few, latency=replace(few.latency, count=few.latency.count + 20, mean_ms=105.6))
    text = render(result(rest=more))
    assert "latency of all       105.6" in text
    assert "every success and every time-out" in render(result(rest=more), detail="all")


def test_what_failed_is_said() -> None:
    text = render(result(rest=target(200, failed=100)))
    assert "  100 ok, 100 failed · " in text
    assert "✗ 50 % of the requests failed: see the server's log" in text
    assert "100 × HTTP 503" in text
    assert "NOT VALID" in text
    every = render(result(rest=target(200, failed=100)), detail="all")
    assert "100 of 200 requests succeeded, 100 failed" in every


def test_a_silent_server_gets_an_answer_and_a_hint() -> None:
    text = render(result(rest=target(silent=True)))
    assert row(text, "server_and_network")
    assert row(text, "client")
    assert "the server reports no timings: two lines tell more" in text
    assert "instrument(app)" in render(result(rest=target(silent=True)), detail="all")


def test_two_targets_are_compared() -> None:
    text = render(both())
    assert "grpc against rest" in text
    heading = text.index("grpc against rest")
    assert "end_to_end" in text[heading:]


def test_the_tools_own_influence_is_told() -> None:
    text = render(influenced())
    assert "  a server that does nothing: p50 0.50 ms, of it network 0.44, in the clear\n" in text
    assert "  tracing costs +2.00 ms (+0.59 … +3.00) at the median\n" in text
    assert "  by requests: +1.50 ms (+1.12 … +1.88) a request; 10 failed (-v)\n" in text
    text = " ".join(render(influenced(), detail="all").split())
    assert (
        "floor (a server that does nothing), p50: end_to_end 0.50, network 0.44, client 0.060; "
        "2,000/s; in the clear" in text
    )
    assert (
        "by requests: +1.50 ms (95 % interval +1.12 … +1.88) per request on top of the engine's "
        "17.00; p50 +1.50, p95 +1.50; 50/s; 10 × HTTP 503" in text
    )
    assert "by httpx: nothing was measured" in text
    assert (
        "tracing costs +2.00 ms (95 % interval +0.59 … +3.00) at the median, "
        "+2.00 ms (95 % interval +1.59 … +2.41) in the mean; "
        "100 requests asked for it, 90 did not" in text
    )


def test_tracing_that_costs_nothing_is_said_to() -> None:
    alike = [exchange(n, 17 + n % 5, Outcome.SUCCEEDED) for n in range(100)]
    tracing = effect(alike, alike)
    text = render(result(rest=replace(target(), observer_effect=tracing)))
    assert "tracing costs nothing measurable: 0 ms (" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.00042, "0.0004"),
        (0.00600, "0.006"),
        (0.0123, "0.012"),
        (0.25, "0.25"),
        (1.2345, "1.23"),
        (12.345, "12.35"),
        (123.45, "123.5"),
        (123456.0, "123,456"),
        (-0.5, "-0.50"),
    ],
)
def test_milliseconds(value: float, text: str) -> None:
    assert milliseconds(value) == text


def test_links_are_whole() -> None:
    one = target()
    exemplars = tuple(replace(each, url=LINK + str(each.percentile)) for each in one.exemplars)
    text = render(
        result(rest=replace(one, exemplars=exemplars, search_url=LINK)), width=60, detail="all"
    )
    shown = [line for line in text.splitlines() if LINK in line]
    assert shown == [f"  traces: {LINK}", f"  slowest, 23.00 ms: {LINK}100.0"]


def test_no_more_reasons_are_printed_than_leave_the_verdict_in_sight() -> None:
    errors = tuple(ErrorCount(f"HTTP {400 + n}", 100 - n, "") for n in range(25))
    text = render(result(rest=replace(target(), errors=errors)), detail="all")
    assert "81 × HTTP 419" in text
    assert "HTTP 420" not in text
    assert f"{80 + 79 + 78 + 77 + 76} × 5 more reasons: see --output-json" in text
    twenty = result(rest=replace(target(), errors=errors[:20]))
    assert "more reasons" not in render(twenty, detail="all")


def test_a_block_for_streams() -> None:
    text = render(streamed())
    assert "40 streams · 2,560 tokens (as the server counts) · " in text
    assert row(text, "ttft")[1:3] == ["50.20", "50.20"]
    assert row(text, "tpot")[1] == "10.00"
    assert "First token after 50.2 ms (60 % prefill), then 10 ms a token." in text
    every = render(streamed(), detail="all")
    assert row(every, "prefill")[1:3] == ["30.00", "30.00"]
    assert row(every, "prefill")[-2:] == ["60", "%"]
    assert row(every, "decode")[1:3] == ["600.0", "600.0"]
    assert row(every, "decode")[-2:] == ["95", "%"]


def test_buffered_streams_have_no_gaps() -> None:
    text = render(buffered())
    assert row(text, "ttft")[1] == "680.2"
    with pytest.raises(StopIteration):
        row(text, "itl")
    assert "! 100 % of the streams came all at once, without itl: proxy_buffering off" in text

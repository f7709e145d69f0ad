"""How users come and go: hung up, one after the other, in bursts; against a server that is real."""

from pathlib import Path
from typing import Any

from tests.load.language.caching_server import How, caching
from tests.load.language.test_prompts import plan_for
from tracebench.archive import analyze
from tracebench.benchmark import run
from tracebench.model.plan import HangUp, Segment, Spread
from tracebench.model.results.result import Result, TargetResult

HALF: dict[str, Any] = {"hang_up_after": HangUp(tokens=2, share=0.5), "requests": 40}
LONG: dict[str, Any] = {"output_tokens": Spread(6), "concurrency": 4}


def codes(target: TargetResult) -> set[str]:
    return {one.code for one in target.verdict.findings}


def only(result: Result) -> TargetResult:
    return result.targets["rest"]


def test_half_of_the_users_hang_up_and_an_archive_tells_the_same(tmp_path: Path) -> None:
    archive = str(tmp_path / "traces.jsonl")
    with caching(How(gap_ms=3)) as server:
        found = only(run(plan_for(server, **LONG, **HALF, output_traces=archive)))
    counts, stream = found.requests, found.stream
    assert stream is not None
    assert stream.hung_up is not None
    assert counts.started == counts.succeeded + counts.abandoned == 40
    assert 0 < counts.abandoned == stream.hung_up.count < 40
    assert stream.tokens.output == 6 * counts.succeeded
    assert stream.ttft is not None
    assert stream.ttft.count == 40
    assert found.errors == ()
    assert "hung_up" in codes(found)
    assert "connection_churn" not in codes(found), "it was the client who closed"
    again = only(analyze([archive]))
    assert again.requests == counts
    assert again.stream is not None
    assert again.stream.hung_up == stream.hung_up
    assert again.stream.ttft == stream.ttft
    assert "hung_up" in codes(again)


def test_users_who_start_one_after_the_other() -> None:
    with caching(How(gap_ms=3)) as server:
        found = only(run(plan_for(server, **LONG, requests=16, ramp_up_s=0.3, warmup=4)))
    assert found.warmup is not None
    assert found.warmup.method == "ramp-up"
    assert found.warmup.cut >= 4 + 4
    assert found.warmup.cut_s == 0.3
    assert found.requests.started >= 16, "those of the ramp come on top"
    assert len(server.generated) == 1 + found.warmup.cut + found.requests.started


def test_bursts() -> None:
    rate = (Segment(200, 200, float("inf")),)
    with caching() as server:
        result = run(plan_for(server, rate=rate, arrival="gamma:0.5", requests=40, concurrency=64))
    assert only(result).requests.succeeded == 40
    assert result.plan["arrival"] == "gamma:0.5"

"""Goodput: requests that meet every limit, of all that ended."""

from dataclasses import replace

import pytest

from tests.load.streams.exact_streams import DONE, Streamed, chat, delta, event, streams, tokens
from tests.load.streams.test_pitfalls import TTFT_MS
from tracebench.analysis.goodput import limits_of
from tracebench.analysis.streams import summarise_streams
from tracebench.model.errors import UsageError
from tracebench.model.result import Goodput


def goodput(run: Streamed, slo: str) -> Goodput:
    found = summarise_streams(replace(run.load, slo=slo))
    assert found is not None
    assert found.goodput is not None
    return found.goodput


@pytest.mark.parametrize(
    ("slo", "share"),
    [
        (f"ttft < {TTFT_MS + 0.1}ms", 1),
        (f"ttft < {TTFT_MS}ms", 0),
        ("ttft < 1s, tpot < 10.1ms", 1),
        ("ttft < 1s, tpot < 9900us", 0),
        ("end_to_end < 681ms", 1),
    ],
)
def test_every_limit_counts(slo: str, share: float) -> None:
    run = Streamed(streams(chat(tokens())), requests=5)
    found = goodput(run, slo)
    assert found.share == share
    assert found.rps == pytest.approx(share * 5 / run.load.duration_s)


def test_failures_meet_no_limit() -> None:
    broken = [*tokens(4)[:-1], (90.0, event({"error": "engine died"}))]
    run = Streamed(streams(chat(broken)), requests=3)
    assert goodput(run, "ttft < 1s").share == 0


def test_a_single_token_has_no_time_per_token_to_limit() -> None:
    run = Streamed(streams(chat(tokens(1, end=delta("stop") + DONE))), requests=2)
    assert goodput(run, "tpot < 1us").share == 1


def test_limits() -> None:
    assert limits_of("ttft<0.2s , tpot <= 25 ms") == {"ttft": 200, "tpot": 25}


@pytest.mark.parametrize(
    "slo", ["", "ttft", "ttft > 5ms", "itl < 5ms", "ttft < 5", "ttft < 1.2.3ms"]
)
def test_what_is_no_limit(slo: str) -> None:
    with pytest.raises(UsageError, match="--slo"):
        limits_of(slo)

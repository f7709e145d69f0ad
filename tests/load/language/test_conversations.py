"""Conversations: what a real server is sent turn by turn, and what its cache makes of it."""

from itertools import groupby, pairwise
from typing import Any

import pytest

from tests.load.language.caching_server import TEMPLATE, Asked, How, caching, limit_of
from tests.load.language.test_prompts import (
    OF_FILE,
    codes,
    content,
    measured,
    plan_for,
    stream_of,
)
from tracebench.benchmark import run, try_once
from tracebench.model.errors import UsageError
from tracebench.model.plan import Prompt, Spread
from tracebench.report.answer.table import render
from tracebench.report.files.result_file import dumps, loads

TALK: dict[str, Any] = {"turns": 4, "input_tokens": Spread(40), "output_tokens": Spread(12)}


def conversations(asked: list[Asked]) -> list[list[Asked]]:
    """Requests of each conversation, in order: those that begin alike."""

    def begin(one: Asked) -> str:
        return content(one)

    return [list(those) for _, those in groupby(sorted(asked, key=begin), begin)]


def test_the_history_grows_by_the_servers_own_answers() -> None:
    with caching() as server:
        measured(server, requests=24, concurrency=3, **TALK)
    told = conversations(server.generated[1:])
    assert {len(one) for one in told} <= {1, 2, 3, 4}, "the last ones may be cut short"
    assert sum(len(one) == 4 for one in told) >= 4
    for one in told:
        for at, (before, after) in enumerate(pairwise(one)):
            said = before.body["messages"]
            assert after.body["messages"][: len(said)] == said
            answer, question = after.body["messages"][len(said) :]
            assert answer == {"role": "assistant", "content": before.answer}
            assert question["role"] == "user"
            assert len(question["content"].split()) == 40, at
        assert len({each.peer for each in one}) == 1, "on one connection"
        assert {limit_of(each.body) for each in one} == {12}


def test_results_by_turn() -> None:
    with caching() as server:
        result = measured(server, requests=24, **TALK)
    stream = stream_of(result)
    assert [(one.turn, one.count) for one in stream.turns] == [(1, 6), (2, 6), (3, 6), (4, 6)]
    more = 12 + 2 + 40 + 2  # an answer, a question, and their templates
    sizes = [40 + more * at for at in range(4)]
    assert [one.input_tokens for one in stream.turns] == sizes
    in_cache = [0, *(16 * ((size + 11) // 16) for size in sizes[:-1])]
    assert [one.cached_tokens for one in stream.turns] == pytest.approx(in_cache, abs=16)
    assert all(one.ttft is not None and one.ttft.count == 6 for one in stream.turns)
    assert codes(result)["prefix_cached"] == "info", "it was asked for"
    assert loads(dumps(result)).targets["rest"].stream == stream
    shown = render(result, detail="all").splitlines()
    (line,) = (one for one in shown if one.split()[:2] == ["4", "6"])
    assert any("turn 1 → 4: ttft p50" in one for one in shown)
    assert line.split()[2:4] == ["208", f"{stream.turns[3].cached_tokens:.0f}"]
    assert stream.tokens.output == stream.tokens.asked_output == 24 * 12


def test_a_turn_that_failed_ends_its_conversation() -> None:
    with caching(How(fails=(8,))) as server:
        result = run(plan_for(server, requests=12, **TALK))
    requests = result.targets["rest"].requests
    assert (requests.succeeded, requests.failed) == (11, 1)
    turns = [len(one.body["messages"]) // 2 + 1 for one in server.generated[1:]]
    assert turns == [1, 2, 3, 4, 1, 2, 1, 2, 3, 4, 1, 2]


def test_users_think_between_turns() -> None:
    with caching() as server:
        result = measured(server, requests=8, think_time_s=Spread(0.05), **TALK)
    assert result.targets["rest"].duration_s >= 6 * 0.05, "not before a conversation begins"
    ttft = stream_of(result).ttft
    assert ttft is not None
    assert ttft.max_ms < 50, "thinking is not waiting"


def test_the_run_does_not_wait_for_those_who_think() -> None:
    with caching() as server:
        bounds: dict[str, Any] = {"requests": None, "duration_s": 0.2, "think_time_s": Spread(60)}
        result = run(plan_for(server, **bounds, **TALK))
    assert result.targets["rest"].requests.started == 1
    assert result.targets["rest"].duration_s < 10


def test_conversations_of_a_file_end_when_the_user_has_said_all() -> None:
    prompts = (
        Prompt((("system", "Be brief."), ("user", "Who?")), follow_ups=("When?", "Why?")),
        Prompt((("user", "Where?"),)),
    )
    with caching() as server:
        measured(server, requests=8, turns=5, prompts=prompts, **OF_FILE)
    sent = [
        [each["content"].split("\n")[-1] for each in one.body["messages"] if each["role"] == "user"]
        for one in server.generated[1:]
    ]
    whole = [["Who?"], ["Who?", "When?"], ["Who?", "When?", "Why?"], ["Where?"]]
    assert sent == whole * 2


def test_no_conversation_finds_another_in_the_cache() -> None:
    with caching() as server:
        for _ in range(2):
            measured(server, requests=12, concurrency=2, warmup=3, **TALK)
    first = [one for one in server.generated if len(one.body["messages"]) == 1]
    assert len(first) > 6
    assert {one.cached for one in first} == {0}


def test_a_dry_run_has_the_first_turn() -> None:
    with caching() as server:
        trial = try_once(plan_for(server, concurrency=2, **TALK))["rest"]
    assert trial.exchange.reason == ""
    assert trial.prepared.agreement is not None
    assert "conversations of 4 turns" in trial.prepared.agreement.told()[0]
    assert len(server.generated[-1].tokens) == 40
    assert len(TEMPLATE) == 4


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"schedule_s": (0.0,)}, "leave out --rate and --arrivals"),
        ({"stream": False}, "leave out --no-stream"),
        ({"observer_effect": True}, "give only one"),
        ({"prompts": (Prompt((("user", "a"),)),), **OF_FILE}, "nothing for later turns"),
        ({"turns": 1, "think_time_s": Spread(1)}, "give --turns N too"),
    ],
)
def test_what_does_not_go_with_turns(options: dict[str, Any], said: str) -> None:
    with caching() as server, pytest.raises(UsageError) as raised:
        run(plan_for(server, **{**TALK, **options}))
    assert said in str(raised.value)
    assert not server.asked


def test_completions_have_no_turns() -> None:
    with caching() as server, pytest.raises(UsageError, match="--turns needs chat completions"):
        run(plan_for(server, "/v1/completions", **TALK))

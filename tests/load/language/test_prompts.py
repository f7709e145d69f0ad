"""`--llm`: what a server is sent, seen by one that caches prefixes and counts words as tokens."""

import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import trustme
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from tests.load.language.caching_server import (
    TEMPLATE,
    Asked,
    CachingServer,
    How,
    caching,
    limit_of,
)
from tests.plans import changed
from tests.servers import HOST, serving
from tests.tls import ca_file, context, under_tls
from tracebench.benchmark import run, try_once
from tracebench.cli.dry_run import render
from tracebench.load.wire.prompt_request import NONCE_WORDS, WORDS, nonce
from tracebench.model.errors import TargetError, UsageError
from tracebench.model.plan import Payloads, Plan, Prompt, Spread, Target
from tracebench.model.results.result import Result
from tracebench.model.results.stream_result import StreamResult
from tracebench.report.files.result_file import dumps
from tracebench.studies.sweep import sweep

OF_FILE: dict[str, Any] = {"input_tokens": None, "output_tokens": None}
SHORT = {"input_tokens": Spread(64), "output_tokens": Spread(4), "requests": 12}


def plan_for(server: CachingServer, path: str = "", **options: Any) -> Plan:
    url = f"http://{HOST}:{server.port}{path}"
    return changed(Plan(Payloads()), **{"llm": "exact", "rest_url": url, **SHORT, **options})


def measured(server: CachingServer, path: str = "", **options: Any) -> Result:
    result = run(plan_for(server, path, **options))
    found = result.targets["rest"].requests
    assert found.succeeded == found.started, result.targets["rest"].errors
    return result


def stream_of(result: Result) -> StreamResult:
    stream = result.targets["rest"].stream
    assert stream is not None
    return stream


def codes(result: Result) -> dict[str, str]:
    findings = result.targets["rest"].verdict.findings
    return {one.code: one.severity for one in findings}


def content(one: Asked) -> str:
    return str(one.body["prompt"] if "prompt" in one.body else one.body["messages"][0]["content"])


# ── the requests ─────────────────────────────────────────────────────────────────────────────


def test_a_bare_url_is_that_of_chat_completions_and_answers_stream() -> None:
    with caching() as server:
        stream = stream_of(measured(server, warmup=3))
    assert {one.path for one in server.asked} == {"/v1/chat/completions"}
    assert len(server.generated) == 1 + 3 + 12, "the preflight, the warm-up, the run"
    (asked,) = {json.dumps({**one.body, "messages": 0}) for one in server.generated}
    assert json.loads(asked) == {
        "model": "exact",
        "messages": 0,
        "max_tokens": 4,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert {len(one.tokens) for one in server.generated} == {64}, "the template's tokens too"
    tokens = stream.tokens
    assert (tokens.input, tokens.asked_input) == (12 * 64, 12 * 64)
    assert (tokens.output, tokens.asked_output, tokens.source) == (12 * 4, 12 * 4, "usage")


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/v1", "/v1/chat/completions"),
        ("/v1/", "/v1/chat/completions"),
        ("/proxy/v1/completions", "/proxy/v1/completions"),
        ("/v1/chat/completions", "/v1/chat/completions"),
    ],
)
def test_the_url_chooses_the_interface(path: str, asked: str) -> None:
    with caching() as server:
        measured(server, path)
    assert {one.path for one in server.asked} == {asked}
    assert all(("prompt" in one.body) is ("chat" not in asked) for one in server.asked)
    assert {len(one.tokens) for one in server.generated} == {64}


def test_without_streams() -> None:
    with caching() as server:
        result = measured(server, stream=False, requests=40, concurrency=2)
    assert result.targets["rest"].stream is None
    assert all("stream" not in one.body for one in server.asked)
    assert len({content(one) for one in server.asked}) == len(server.asked)


def test_lengths_are_drawn_by_the_seed() -> None:
    def lengths(seed: int) -> list[tuple[int, int]]:
        spread: dict[str, Any] = {"input_tokens": Spread(100, 20), "output_tokens": Spread(8, 3)}
        with caching() as server:
            stream = stream_of(measured(server, requests=60, seed=seed, **spread))
        assert stream.tokens.output == stream.tokens.asked_output
        assert stream.tokens.input == stream.tokens.asked_input
        return [(len(one.tokens), limit_of(one.body)) for one in server.generated[1:]]

    first = lengths(1)
    assert first == lengths(1)
    assert first != lengths(2)
    assert all(len(set(each)) > 5 for each in zip(*first, strict=True))
    assert min(output for _, output in first) >= 1


def test_fields_of_the_users_own_and_the_key() -> None:
    extra = '{"temperature": 0, "stream_options": {"continuous_usage_stats": true}, "n": 1}'
    headers = (("Authorization", "Bearer sk-very-secret"),)
    with caching(How(key="sk-very-secret")) as server:
        plan = plan_for(server, extra_body=extra, headers=headers)
        shown = render("rest", try_once(plan)["rest"])
        result = run(plan)
    assert server.generated[0].body["temperature"] == 0
    assert server.generated[0].body["stream_options"] == {"continuous_usage_stats": True}
    assert result.plan["language"]["rest"]["adds_load"] == ["continuous_usage_stats"]
    assert "continuous_usage_stats adds load to the server" in shown
    assert "very-secret" not in shown + json.dumps(dict(result.plan))


def test_a_key_that_the_server_repeats_is_not_shown() -> None:
    with caching(How(key="another")) as server, pytest.raises(TargetError) as raised:
        run(plan_for(server, headers=(("Authorization", "Bearer sk-very-secret"),)))
    assert "401" in str(raised.value)
    assert "very-secret" not in str(raised.value)


def test_a_dry_run_shows_what_was_settled_and_the_prompt_as_it_was_sent() -> None:
    with caching() as server:
        shown = render("rest", try_once(plan_for(server))["rest"])
    assert "tokens asked for: input 64, output 4" in shown
    assert "4 tokens + 1 a word, by the server's usage" in shown
    assert content(server.generated[-1])[:60] in shown


def test_over_tls(tmp_path: Path) -> None:
    authority, server = trustme.CA(), CachingServer()
    with serving(under_tls(context(authority), server.serve)) as port:
        url = f"https://{HOST}:{port}"
        plan = plan_for(server, rest_url=url, cacert=ca_file(authority, tmp_path), stream=False)
        found = run(plan).targets["rest"].requests
    assert found.succeeded == found.started == 12
    assert len({content(one) for one in server.asked}) == len(server.asked)


def test_untraced_requests_have_words_of_their_own_too() -> None:
    with caching() as server:
        result = measured(server, observer_effect=True, requests=40)
    assert result.targets["rest"].observer_effect is not None
    assert {"x-benchmark" in one.headers for one in server.generated[1:]} == {True, False}
    assert {one.cached for one in server.asked} == {0}
    assert stream_of(result).tokens.input == 40 * 64


def test_beside_a_server_that_does_nothing() -> None:
    with caching(How(gap_ms=1)) as server:
        assert measured(server, floor=True).targets["rest"].floor is not None


def test_credentials_among_the_users_own_fields_are_shown_nowhere() -> None:
    extra = '{"session": {"token": "hidden-anywhere"}, "top_k": 3}'
    with caching() as server:
        plan = plan_for(server, extra_body=extra)
        shown = render("rest", try_once(plan)["rest"])
        result = run(plan)
    assert server.asked[0].body["session"] == {"token": "hidden-anywhere"}
    assert "hidden-anywhere" not in shown + dumps(result)
    assert '"top_k": 3' in str(result.plan["extra_body"])


# ── what a server refuses ────────────────────────────────────────────────────────────────────


def test_what_the_server_refuses_is_not_sent_and_told() -> None:
    refuses = ("ignore_eos", "stream_options", "max_tokens")
    with caching(How(refuses=refuses)) as server:
        result = measured(server)
    assert server.generated[-1].body.keys() == {
        *("model", "messages", "stream", "max_completion_tokens"),
    }
    assert list(result.plan["language"]["rest"]["dropped"]) == list(refuses)
    assert codes(result)["fields_refused"] == "info"
    assert codes(result)["words_guessed"] == "info", "without usage"


def test_answers_that_end_early_are_told() -> None:
    with caching(How(refuses=("ignore_eos",), stops_at=2)) as server:
        result = measured(server)
    assert codes(result)["short_outputs"] == "warning"
    assert stream_of(result).tokens.output == 12 * 2


def test_a_model_that_is_not_there() -> None:
    with caching() as server, pytest.raises(TargetError) as raised:
        run(plan_for(server, llm="exakt"))
    assert "`exakt` does not exist" in str(raised.value)
    assert str(raised.value).endswith("it has no model 'exakt': give --llm exact")


# ── how long a word is ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("each", [1, 3])
def test_words_are_counted_by_the_server(each: int) -> None:
    asked = Spread(64 + len(TEMPLATE) + 2)  # 22 words and the template for three tokens a word
    with caching(How(tokens_a_word=each)) as server:
        result = measured(server, input_tokens=asked)
    facts = result.plan["language"]["rest"]
    assert facts["counted_by"] == "usage"
    assert facts["tokens_per_word"] == pytest.approx(each)
    assert facts["overhead_tokens"] == pytest.approx(len(TEMPLATE))
    assert {len(one.tokens) for one in server.generated} == {70}


def test_without_usage_a_word_is_taken_for_a_token() -> None:
    with caching(How(tells_usage=False)) as server:
        result = measured(server)
    assert {len(one.tokens) for one in server.generated} == {64 + len(TEMPLATE)}
    assert codes(result)["words_guessed"] == "info"


def test_prompts_that_are_too_short() -> None:
    with caching() as server, pytest.raises(UsageError, match="take 12 tokens already"):
        run(plan_for(server, input_tokens=Spread(11)))


# ── no two requests begin alike ──────────────────────────────────────────────────────────────


def test_no_request_finds_anything_in_the_cache() -> None:
    """Nor does one in a second run, in the steps of a sweep, or of another target."""
    with caching() as server:
        first = measured(server, warmup=4)
        second = measured(server, warmup=4)
        sweep(plan_for(server, requests=8), "concurrency", [1, 2, 4])
    assert [one.cached for one in server.asked] == [0] * len(server.asked)
    assert stream_of(first).tokens.cached == stream_of(second).tokens.cached == 0
    assert "prefix_cached" not in codes(second)
    begins = [tuple(content(one).split()[:NONCE_WORDS]) for one in server.asked]
    assert len(set(begins)) == len(begins)


@pytest.mark.parametrize("turns", [1, 3])
def test_nor_does_a_block_of_a_run_that_alternates_between_targets(turns: int) -> None:
    with caching(How(gap_ms=2)) as server:
        url = f"http://{HOST}:{server.port}"
        both = tuple(Target(name, "rest", url, f"--target {name}") for name in ("old", "new"))
        plan = plan_for(server, rest_url=None, named=both, requests=60, turns=turns)
        result = run(plan)
    for name in ("old", "new"):
        target = result.targets[name]
        assert target.requests.succeeded == target.requests.started == 60, target.errors
    first = [one for one in server.generated if len(one.body.get("messages", ())) == 1]
    assert len(first) >= 120 / turns
    assert {one.cached for one in first} == {0}


def test_nor_where_the_cache_keeps_single_tokens() -> None:
    with caching(How(block=1)) as server:
        measured(server)
        measured(server)
    in_template = 2
    by_chance = 2
    assert max(one.cached for one in server.asked) <= in_template + by_chance


def test_prompts_that_are_reused_are_in_the_cache() -> None:
    with caching() as server:
        measured(server, reuse_prompts=True)
        second = measured(server, reuse_prompts=True)
    assert stream_of(second).tokens.cached == 12 * 48, "whole blocks, without the last token"
    assert codes(second)["prefix_cached"] == "info", "it was asked for"
    first, again = server.generated[1:13], server.generated[14:]
    assert [one.tokens for one in first] == [one.tokens for one in again]


def test_a_prefix_is_shared_within_a_run_and_not_with_the_next() -> None:
    with caching() as server:
        for _ in range(2):
            stream = stream_of(measured(server, prefix_tokens=40))
            assert stream.tokens.input == 12 * 64
    share = [one.cached for one in server.generated]
    assert share == [0, *[32] * 12] * 2, "two whole blocks, of 2 + 40 tokens; the first has none"


def test_a_prefix_that_cannot_differ_from_run_to_run() -> None:
    with caching() as server, pytest.raises(UsageError, match="give 12 or more"):
        run(plan_for(server, prefix_tokens=7))


def test_a_nonce_is_made_of_the_trace_id() -> None:
    ids = b"0001ff00000000ab" + b"c" * 33
    expected = [WORDS[at] for at in (0, 1, 255, 0, 0, 0, 0, 171)]
    assert nonce(ids) == b" ".join(expected)
    assert {len(word) for word in WORDS} == {4}
    assert len(set(WORDS)) == 256


# ── prompts of a file ────────────────────────────────────────────────────────────────────────


def test_texts_are_sent_in_order_behind_a_nonce() -> None:
    texts = ["Who was Ada?", "Sort these: \"b\", 'ä'", "Why?"]
    prompts = tuple(Prompt((("system", "Be brief."), ("user", one))) for one in texts)
    with caching() as server:
        measured(server, prompts=prompts, input_tokens=None, warmup=2)
    sent = [one.body["messages"] for one in server.generated[3:]]
    assert [one[1]["content"] for one in sent] == texts * 4
    begins = [one[0]["content"].split("\n") for one in sent]
    assert {rest for _, rest in begins} == {"Be brief."}
    assert len({first for first, _ in begins}) == 12


def test_a_trace_keeps_its_lengths_and_what_its_prompts_share() -> None:
    prompts = (
        Prompt(input_tokens=1_200, output_tokens=3, blocks=(7, 8, 9)),
        Prompt(input_tokens=1_100, output_tokens=2, blocks=(7, 8, 10)),
        Prompt(input_tokens=700, output_tokens=2, blocks=(11, 12)),
    )
    plan: dict[str, Any] = {"prompts": prompts, **OF_FILE, "requests": 3}
    with caching() as server:
        for _ in range(2):
            stream = stream_of(measured(server, schedule_s=(0.0, 0.3, 0.6), **plan))
            assert stream.tokens.input == stream.tokens.asked_input == 3_000
            assert stream.tokens.output == 7
    preflight, *others = [one.cached for one in server.generated[:4]]
    assert preflight == 0
    assert others == [1_184, 1_024, 0], "its own text again, two blocks of 512, nothing"
    assert server.generated[4].cached == 0, "another run begins otherwise"


def test_a_tokenizer_counts_in_the_servers_place(tmp_path: Path) -> None:
    vocabulary = {"<unk>": 0}
    tokens = tokenizers.Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokens.pre_tokenizer = Whitespace()
    path = str(tmp_path / "tokenizer.json")
    tokens.save(path)
    prompts = (Prompt((("user", "Who?"),), answer="Ada, of course."), Prompt(input_tokens=50))
    with caching(How(tells_usage=False)) as server:
        made_up = measured(server, tokenizer=path)
        measured(server, tokenizer=path, prompts=prompts, requests=2, **OF_FILE)
    assert made_up.plan["language"]["rest"]["counted_by"] == "tokenizer"
    assert "words_guessed" not in codes(made_up)
    assert limit_of(server.generated[-2].body) == 5, "as long as the recorded answer"
    assert len(server.generated[-1].tokens) == 50 + len(TEMPLATE)


def test_a_file_that_is_no_tokenizer() -> None:
    with caching() as server, pytest.raises(UsageError, match=r"give a tokenizer\.json"):
        run(plan_for(server, tokenizer=__file__))

"""OpenAI's interface: what is asked for, what comes, and what is refused."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest
import requests

from server_middleware.vocabulary import STREAM_TIMING_HEADER
from tests.example.language.conftest import PLACES
from tests.example.programs import LIMIT_S
from tracebench.example.language.decoder import CONTEXT
from tracebench.example.language.tokenizer import END, decode, encode
from tracebench.example.serve import Addresses

Json = dict[str, Any]
PROMPT, MESSAGES = " ba" * 10, [{"role": "user", "content": " ba" * 10}]


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.fixture(scope="module")
def ask(servers: Addresses, session: requests.Session) -> Any:
    def ask(route: str, status: int = 200, **body: Any) -> requests.Response:
        url = f"{servers.rest_url}/v1/{route}"
        reply = session.post(url, json=body, timeout=LIMIT_S)
        assert reply.status_code == status, reply.text
        return reply

    return ask


def events(reply: requests.Response) -> list[Json]:
    """What is in the events of a stream, which must end as OpenAI's do."""
    assert reply.headers["Content-Type"].startswith("text/event-stream")
    lines = [line for line in reply.text.split("\n\n") if line]
    assert lines.pop() == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def test_a_completion(ask: Any) -> None:
    said = ask("completions", prompt=PROMPT, max_tokens=5, ignore_eos=True).json()
    (choice,) = said["choices"]
    assert said["object"] == "text_completion"
    assert choice["finish_reason"] == "length"
    assert len(encode(choice["text"])) >= 1
    assert (
        said["usage"].items()
        >= {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
        }.items()
    )


def test_a_conversation(ask: Any) -> None:
    said = ask("chat/completions", messages=MESSAGES, max_tokens=5, ignore_eos=True).json()
    (choice,) = said["choices"]
    assert said["object"] == "chat.completion"
    assert choice["message"]["role"] == "assistant"
    assert said["usage"]["prompt_tokens"] == len(encode(f"user: {PROMPT}\nassistant:"))


def test_a_stream_says_the_same(ask: Any) -> None:
    body = {"prompt": PROMPT, "max_tokens": 6, "ignore_eos": True, "seed": 3}
    whole = ask("completions", **body).json()["choices"][0]["text"]
    come = events(ask("completions", **body, stream=True))
    assert len(come) == 6
    assert "".join(one["choices"][0]["text"] for one in come) == whole
    reasons = [one["choices"][0]["finish_reason"] for one in come]
    assert reasons == [None] * 5 + ["length"]
    assert not any("usage" in one for one in come)


def test_a_streamed_conversation_begins_with_its_role(ask: Any) -> None:
    asked = {"messages": MESSAGES, "max_completion_tokens": 3, "ignore_eos": True}
    usage = {"include_usage": True}
    role, *tokens, last = events(
        ask("chat/completions", **asked, stream=True, stream_options=usage)
    )
    assert role["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert [bool(one["choices"][0]["delta"]["content"]) for one in tokens] == [True] * 3
    assert (last["choices"], last["usage"]["completion_tokens"]) == ([], 3)
    assert {one["object"] for one in (role, *tokens, last)} == {"chat.completion.chunk"}


def test_what_adds_load_comes_only_where_it_is_asked_for(ask: Any) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    body = {"prompt": PROMPT, "max_tokens": 3, "ignore_eos": True, "stream": True}
    *come, _ = events(ask("completions", **body, stream_options=options, return_token_ids=True))
    assert [one["usage"]["completion_tokens"] for one in come] == [1, 2, 3]
    for one in come:
        (choice,) = one["choices"]
        assert decode(choice["token_ids"]) == choice["text"]


def test_a_prompt_of_tokens(ask: Any) -> None:
    tokens = encode(PROMPT)
    body = {"max_tokens": 3, "ignore_eos": True}
    text, ids = (ask("completions", prompt=one, **body).json() for one in (PROMPT, tokens))
    assert text["choices"] == ids["choices"]


def test_what_is_cached_is_told(ask: Any) -> None:
    body = {"prompt": " zu" * 30, "max_tokens": 1}
    cached = [
        ask("completions", **body).json()["usage"]["prompt_tokens_details"]["cached_tokens"]
        for _ in range(2)
    ]
    assert cached[0] < 29 == cached[1]


def test_a_text_may_end_by_itself(ask: Any) -> None:
    said = ask("chat/completions", messages=MESSAGES).json()
    assert said["choices"][0]["finish_reason"] == "stop"
    assert 0 < said["usage"]["completion_tokens"] < CONTEXT - 100


def test_completions_have_a_usual_length(ask: Any) -> None:
    assert (
        ask("completions", prompt=PROMPT, ignore_eos=True).json()["usage"]["completion_tokens"]
        == 16
    )


def test_the_connection_is_kept_behind_a_stream(servers: Addresses) -> None:
    body = json.dumps({"prompt": PROMPT, "max_tokens": 2, "stream": True})
    headers = {"Content-Type": "application/json"}
    kept = HTTPConnection(servers.rest_url.removeprefix("http://"), timeout=LIMIT_S)
    kept.connect()
    own = kept.sock
    for _ in range(3):
        kept.request("POST", "/v1/completions", body, headers)
        reply = kept.getresponse()
        assert reply.headers["Transfer-Encoding"] == "chunked"
        assert reply.read().endswith(b"data: [DONE]\n\n")
        assert kept.sock is own
    kept.close()


def test_the_connection_ends_where_that_is_asked_for(servers: Addresses) -> None:
    body = {"prompt": PROMPT, "max_tokens": 2, "stream": True}
    url, close = f"{servers.rest_url}/v1/completions", {"Connection": "close"}
    reply = requests.post(url, json=body, headers=close, timeout=LIMIT_S)
    assert reply.headers["Connection"] == "close"


def test_the_timing_comes_behind_the_stream(servers: Addresses) -> None:
    reply = requests.post(
        f"{servers.rest_url}/v1/completions",
        json={"prompt": PROMPT, "max_tokens": 3, "ignore_eos": True, "stream": True},
        headers={"X-Benchmark": "1"},
        timeout=LIMIT_S,
    )
    comments = dict(
        line.removeprefix(": ").split(": ", 1)
        for line in reply.text.splitlines()
        if line.startswith(": ")
    )
    told = json.loads(comments["X-Timing-Info"])
    assert told.keys() >= {"queue", "preprocessing", "prefill", "decode", "server_processing"}
    assert len(json.loads(comments[STREAM_TIMING_HEADER])["chunks"]) >= 3


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        ({"prompt": ""}, 400, "prompt is empty"),
        ({}, 400, "prompt must be"),
        ({"prompt": ["a", "b"]}, 400, "one only"),
        ({"prompt": [END]}, 400, f"token {END}"),
        ({"prompt": [-1]}, 400, "token -1"),
        ({"prompt": "a", "max_tokens": 0}, 400, "max_tokens is 0"),
        ({"prompt": "a", "max_tokens": "9"}, 400, "max_tokens is '9'"),
        ({"prompt": "a", "max_tokens": CONTEXT}, 400, f"maximum context length is {CONTEXT}"),
        ({"prompt": " ba" * CONTEXT}, 400, f"maximum context length is {CONTEXT}"),
        ({"prompt": "a", "temperature": 3}, 400, "temperature is 3"),
        ({"prompt": "a", "n": 2}, 400, "n is 2"),
        ({"prompt": "a", "stop": ["x"]}, 400, "'stop' is not supported"),
        ({"prompt": "a", "stream_options": 1}, 400, "stream_options is 1"),
        ({"prompt": "a", "model": "gpt"}, 404, "'gpt' does not exist"),
    ],
)
def test_what_cannot_be_answered(ask: Any, body: Json, status: int, why: str) -> None:
    error = ask("completions", status, **body).json()["error"]
    assert why in error["message"]
    assert error["code"] == status


@pytest.mark.parametrize("messages", [[], [{}], [{"role": "user", "content": 5}], "hello"])
def test_no_conversation(ask: Any, messages: Any) -> None:
    assert "message" in ask("chat/completions", 400, messages=messages).json()["error"]["message"]


def test_a_conversation_in_parts(ask: Any) -> None:
    parts = [{"type": "text", "text": PROMPT[:6]}, {"type": "text", "text": PROMPT[6:]}]
    bodies = (MESSAGES, [{"role": "user", "content": parts}])
    one, other = (
        ask("chat/completions", messages=messages, max_tokens=3, ignore_eos=True).json()
        for messages in bodies
    )
    assert one["choices"] == other["choices"]


@pytest.mark.parametrize(("content", "status"), [(b"{", 400), (b"[]", 400), (b"", 400)])
def test_no_json(servers: Addresses, content: bytes, status: int) -> None:
    headers = {"Content-Type": "application/json"}
    url = f"{servers.rest_url}/v1/completions"
    reply = requests.post(url, content, headers=headers, timeout=LIMIT_S)
    assert reply.status_code == status
    assert reply.json()["error"]["message"]


def test_an_unknown_route(ask: Any) -> None:
    assert ask("embeddings", 404).json()["error"]["code"] == 404


def test_its_name(servers: Addresses) -> None:
    said = requests.get(f"{servers.rest_url}/v1/models", timeout=LIMIT_S).json()
    assert [one["id"] for one in said["data"]] == ["tracebench-syllables"]


def test_metrics(servers: Addresses) -> None:
    said = requests.get(f"{servers.rest_url}/metrics", timeout=LIMIT_S).text
    samples = dict(line.split() for line in said.splitlines() if not line.startswith("#"))
    assert samples["tracebench_example_requests_running"] == "0"
    assert int(samples["tracebench_example_generated_tokens_total"]) > 0
    assert float(samples["tracebench_example_kv_cache_usage_ratio"]) == 0


def test_who_hangs_up_makes_room(servers: Addresses, ask: Any) -> None:
    body = {"prompt": PROMPT, "max_tokens": 1500, "ignore_eos": True, "stream": True}
    url = f"{servers.rest_url}/v1/completions"
    for _ in range(PLACES):
        reply = requests.post(url, json=body, stream=True, timeout=LIMIT_S)
        next(reply.iter_content(1))
        reply.close()
    reply = ask("completions", prompt=PROMPT, max_tokens=2, ignore_eos=True)
    metrics = requests.get(f"{servers.rest_url}/metrics", timeout=LIMIT_S).text
    assert reply.json()["usage"]["completion_tokens"] == 2
    assert "tracebench_example_requests_waiting 0" in metrics

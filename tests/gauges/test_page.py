import math

import pytest

from tests.gauges import pages
from tracebench.gauges.page import PageError, Wanted, lines_of, samples, value_of

RUNNING = Wanted("running", "vllm:num_requests_running")


def test_the_lines_that_matter_say_the_same() -> None:
    lines = lines_of(pages.VLLM, [RUNNING.metric])
    assert len(lines.splitlines()) == 2
    assert value_of(RUNNING, samples(lines)) == value_of(RUNNING, samples(pages.VLLM)) == 7


def test_a_longer_name_is_another_metric() -> None:
    assert value_of(Wanted("a", "a"), samples("a_b 3\n")) is None


@pytest.mark.parametrize("value", ["NaN", "+Inf"])
def test_no_number_is_no_value(value: str) -> None:
    wanted, page = Wanted("a", "a"), samples(f'a{{x="1"}} {value}\n')
    assert math.isfinite(page[0].value) is False
    assert value_of(wanted, page) is None
    assert value_of(wanted, [*page, *samples('a{x="2"} 5\n')]) == 5


@pytest.mark.parametrize(
    "text", ["<html><body>x</body></html>", '{"a": 1}', "hello\n", "404 page not found", "a b c\n"]
)
def test_another_format(text: str) -> None:
    with pytest.raises(PageError, match="not in Prometheus's text format"):
        samples(text)


def test_an_empty_page() -> None:
    assert samples("") == []

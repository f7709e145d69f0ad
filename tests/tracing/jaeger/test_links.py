"""Links into Jaeger's UI, in the form that it reads."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.report.samples import target
from tests.tracing.samples import REST, RUN, SUCCESS
from tracebench.model.errors import UsageError
from tracebench.model.record.requests import Requests
from tracebench.tracing.jaeger.links import trace_url, with_search, with_traces
from tracebench.tracing.jaeger.query_api import base_url

UI = "http://jaeger:16686/base"


def test_a_trace_is_shown_with_its_root_singled_out() -> None:
    assert trace_url(UI, "ab" * 16, "cd" * 8) == f"{UI}/trace/{'ab' * 16}?uiFind={'cd' * 8}"


def test_every_exemplar_is_linked() -> None:
    bare = target()
    made = [SUCCESS._replace(trace_id=one.trace_id) for one in bare.exemplars]
    linked = with_traces(UI, bare, Requests.of([*made, SUCCESS]))
    assert [one.url for one in linked.exemplars] == [
        f"{UI}/trace/{one.trace_id}?uiFind={SUCCESS.span_id}" for one in bare.exemplars
    ]


def test_what_was_not_traced_is_not_linked() -> None:
    assert with_traces(UI, target(), Requests.of([SUCCESS])) == target()


def test_the_search_finds_all_root_spans_of_the_run() -> None:
    later = SUCCESS._replace(scheduled_ns=7_000_000_000, done_ns=7_005_250_001)
    url = with_search(UI, target(), Requests.of([later, SUCCESS]), REST, RUN).search_url
    assert url is not None
    parts = urlsplit(url)
    query = {name: value for name, (value,) in parse_qs(parts.query).items()}
    assert (parts.netloc, parts.path) == ("jaeger:16686", "/base/search")
    assert json.loads(query.pop("tags")) == {
        "tracebench.run.id": "run-1",
        "tracebench.protocol": "rest",
    }
    assert query == {
        "service": "tracebench",
        "start": "1764000001000000",
        "end": "1764000002005251",  # a microsecond more than in part
        "lookback": "custom",
        "limit": "20",
    }


def test_a_run_without_requests_has_no_search() -> None:
    assert with_search(UI, target(), Requests.of([]), REST, RUN).search_url is None


@pytest.mark.parametrize("text", ["http://h", "https://h:1/", "http://[::1]:16686/a/b/"])
def test_base_urls(text: str) -> None:
    assert base_url("--jaeger", text) == text.rstrip("/")


@pytest.mark.parametrize(
    "text",
    [
        *("", "jaeger:16686", "ftp://h", "http://", "http://h:x", "http://h:70000", "http://h:0"),
        *("http://h/?a=b", "http://h/#f", "http://h /", "http://[::1", "http://user:secret@h"),
    ],
)
def test_what_is_no_base_url_is_refused_in_a_line(text: str) -> None:
    with pytest.raises(UsageError, match="--trace-ui") as refused:
        base_url("--trace-ui", text)
    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)

"""Many traces at once where a search finds them; each by its id where it does not."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.servers import reply
from tests.tracing.jaeger.jaegers import LEGACY, NOTHING, OTLP, ROOT, TRACE, answering
from tracebench.model.record.span import Span
from tracebench.tracing.jaeger.fetch import ReadBack, Waits, read_back

PATIENT = Waits(settle_s=0, quiet_s=60, longest_s=60, pause_s=0)
START_NS = 1_764_000_000_000_000_000
TRACES = [f"{number:032x}" for number in range(1, 601)]
STARTS_NS = {one: START_NS + number * 1_000_001 for number, one in enumerate(TRACES)}


def whole(trace_id: str) -> Any:
    return json.loads(OTLP.replace(TRACE.encode(), trace_id.encode()))["result"]["resourceSpans"]


class Store:
    """Answers by id, and searches as `finds` says; remembers what it was asked."""

    def __init__(self, finds: Callable[[list[str]], bytes]) -> None:
        self.finds = finds
        self.searches: list[dict[str, str]] = []
        self.ids: list[str] = []

    def __call__(self, path: str) -> bytes:
        parts = urlsplit(path)
        if parts.path.startswith("/api/v3/traces/"):
            self.ids.append(parts.path.rpartition("/")[2])
            return answer([self.ids[-1]])
        query = {name: value for name, (value,) in parse_qs(parts.query).items()}
        self.searches.append(query)
        first, last = query["query.start_time_min"], query["query.start_time_max"]
        within = [one for one in TRACES if first <= written(STARTS_NS[one]) <= last]
        return self.finds(within)


def written(time_ns: int) -> str:
    """As the API has it; all within the one minute that the epoch time begins."""
    seconds, rest_ns = divmod(time_ns - START_NS, 10**9)
    return f"2025-11-24T16:00:{seconds:02d}.{rest_ns // 1_000:06d}Z"


def answer(traces: list[str]) -> bytes:
    spans = [one for trace_id in traces for one in whole(trace_id)]
    return reply(json.dumps({"result": {"resourceSpans": spans}}, separators=(",", ":")).encode())


def read_from(store: Callable[[str], bytes]) -> tuple[ReadBack, Counter[str]]:
    taken: list[Span] = []
    roots = dict.fromkeys(TRACES, ROOT)
    with answering(store) as api:
        found = read_back(api, roots, taken.extend, PATIENT, starts_ns=STARTS_NS)
    return found, Counter(span.trace_id for span in taken)


def test_what_a_search_finds_is_not_asked_for_again() -> None:
    store = Store(answer)
    assert read_from(store) == (ReadBack(600, 0, ""), dict.fromkeys(TRACES, 5))
    assert store.ids == []
    assert [query["query.num_traces"] for query in store.searches] == ["512", "512", "176"]
    assert store.searches[0] == {
        "query.service_name": "tracebench",
        "query.start_time_min": written(STARTS_NS[TRACES[600 - 256]]),
        "query.start_time_max": written(STARTS_NS[TRACES[-1]] + 1_000),
        "query.num_traces": "512",
        "query.raw_traces": "true",
    }


@pytest.mark.parametrize(
    "nothing",
    [NOTHING, reply(b"?", "400 Bad Request"), reply(b'{"result":7}'), reply(b" " * (17 << 20))],
    ids=["none", "refused", "malformed", "large"],
)
def test_where_a_search_finds_nothing_each_is_asked_for_by_its_id(nothing: bytes) -> None:
    store = Store(lambda within: nothing)
    assert read_from(store) == (ReadBack(600, 0, ""), dict.fromkeys(TRACES, 5))
    assert sorted(store.ids) == TRACES
    assert len(store.searches) == 1  # their root spans are somewhere else


def test_what_a_search_leaves_out_is_asked_for_by_its_id() -> None:
    store = Store(lambda within: answer(within[1:]))
    assert read_from(store) == (ReadBack(600, 0, ""), dict.fromkeys(TRACES, 5))
    assert len(store.searches) == len(store.ids) == 3


def test_traces_of_others_are_left_alone() -> None:
    store = Store(lambda within: answer([*within, "f" * 32]))
    assert read_from(store) == (ReadBack(600, 0, ""), dict.fromkeys(TRACES, 5))


def test_without_exported_root_spans_nothing_is_searched_for() -> None:
    store = Store(answer)
    with answering(store) as api:
        read_back(api, {TRACE: ROOT}, lambda spans: None, PATIENT)
    assert (store.searches, store.ids) == ([], [TRACE])


def test_an_old_jaeger_is_not_searched() -> None:
    def old(path: str) -> bytes:
        assert "?service" not in path
        return reply(LEGACY) if TRACE in path else reply(b'{"data":[]}', *status(path))

    def status(path: str) -> tuple[str, ...]:
        return ("404 Not Found",) if "v3" in path else ()

    with answering(old) as api:
        api.check()
        assert api.search("tracebench", START_NS, START_NS, 1) == []
        found = read_back(
            api, {TRACE: ROOT}, lambda spans: None, PATIENT, starts_ns={TRACE: START_NS}
        )
    assert found == ReadBack(1, 0, "")

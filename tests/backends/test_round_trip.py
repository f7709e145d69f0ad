"""One run seen from all sides: in Jaeger, in the collector's metrics and file, and read back."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.backends.conftest import LIMIT_S, Collector, Jaeger, eventually
from tests.example.pictures import COFFEE
from tests.example.programs import program, told
from tracebench.benchmark import run
from tracebench.model.plan import Payload, Payloads, Plan, SpanRoutes, Targets, Workload
from tracebench.model.record.span import Span
from tracebench.model.results.result import Result
from tracebench.tracing.jaeger.fetch import Waits, read_back
from tracebench.tracing.jaeger.query_api import QueryApi

pytestmark = pytest.mark.slow

REQUESTS = 200
TARGETS = ("rest", "grpc")
DECOMPOSED_AT_LEAST = 0.995


@dataclass(frozen=True, slots=True)
class Seen:
    """A run, and where its traces are."""

    result: Result
    jaeger: Jaeger
    collector: Collector

    @property
    def run_id(self) -> str:
        return self.result.tool["run_id"]


@pytest.fixture(scope="module")
def seen(jaeger: Jaeger, collector: Collector) -> Iterator[Seen]:
    """The example server sends its spans through the collector, and so does tracebench."""
    ports = ("--rest-port=0", "--grpc-port=0")
    with program(
        "-m", "tracebench", "serve", *ports, f"--otlp-endpoint={collector.otlp}"
    ) as server:
        rest_url, grpc_server = (line.split()[1] for line in told(server))
        plan = Plan(
            Payloads(Payload(COFFEE, "image/png", "coffee.png", "image")),
            Targets(rest_url=rest_url, grpc_server=grpc_server),
            load=Workload(requests=REQUESTS, concurrency=4),
            traces=SpanRoutes(otlp_endpoint=collector.otlp, jaeger=jaeger.ui),
        )
        yield Seen(run(plan), jaeger, collector)


def found(search_url: str) -> list[dict[str, Any]]:
    """What the UI's search page would list, without its limit."""
    query = {name: one for name, (one,) in parse_qs(urlsplit(search_url).query).items()}
    query["limit"] = str(10 * REQUESTS)
    api = search_url.partition("/search?")[0] + "/api/traces"
    reply = requests.get(api, params=query, timeout=LIMIT_S)
    traces: list[dict[str, Any]] = reply.json()["data"]
    return traces


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_read_back_decomposes_the_run(seen: Seen, target: str) -> None:
    result = seen.result.targets[target]
    assert result.requests.succeeded == REQUESTS
    assert result.server_timing_source["backend"] >= DECOMPOSED_AT_LEAST * REQUESTS
    assert {"preprocessing", "inference", "postprocessing"} <= result.components.keys()
    assert all(finding.code != "traces_missing" for finding in result.verdict.findings)


@pytest.mark.parametrize("target", TARGETS)
def test_the_run_is_found_whole_by_its_id(seen: Seen, target: str) -> None:
    url = seen.result.targets[target].search_url
    assert url is not None
    assert seen.run_id in url
    traces = eventually(lambda: len(some := found(url)) >= REQUESTS and some)
    assert len(traces) == REQUESTS
    assert all(is_connected(trace) for trace in traces)


def is_connected(trace: dict[str, Any]) -> bool:
    """Spans of both sides in one tree, of which tracebench's is the root."""
    spans = {span["spanID"]: span for span in trace["spans"]}
    parents = {
        id: next((reference["spanID"] for reference in span["references"]), None)
        for id, span in spans.items()
    }
    services = {
        id: trace["processes"][span["processID"]]["serviceName"] for id, span in spans.items()
    }
    roots = [services[id] for id, parent in parents.items() if parent is None]
    known = all(parent is None or parent in spans for parent in parents.values())
    both = set(services.values()) == {"tracebench", "tracebench-example"}
    return known and both and roots == ["tracebench"]


@pytest.mark.parametrize("target", TARGETS)
def test_links_of_exemplars_resolve(seen: Seen, target: str) -> None:
    exemplars = seen.result.targets[target].exemplars
    assert len(exemplars) == 5
    for exemplar in exemplars:
        assert exemplar.url is not None
        assert requests.get(exemplar.url, timeout=LIMIT_S).ok  # the page, which asks for:
        page, _, query = exemplar.url.partition("?uiFind=")
        api = page.replace("/trace/", "/api/traces/")
        reply = requests.get(api, timeout=LIMIT_S)
        assert reply.status_code == 200
        (trace,) = reply.json()["data"]
        assert query in {span["spanID"] for span in trace["spans"]}
        assert exemplar.trace_id == trace["traceID"]


def test_a_search_finds_what_asking_for_each_finds(seen: Seen) -> None:
    url = seen.result.targets["rest"].search_url
    assert url is not None
    traces = found(url)
    roots = {trace["traceID"]: root_of(trace) for trace in traces}
    starts_ns = {one: root["startTime"] * 1_000 for one, root in roots.items()}
    both: list[list[Span]] = [[], []]
    api = QueryApi(seen.jaeger.ui)
    for spans, known in zip(both, ({}, starts_ns), strict=True):
        ids = {one: root["spanID"] for one, root in roots.items()}
        read_back(api, ids, spans.extend, Waits(settle_s=0), starts_ns=known)
    api.close()
    each, searched = (sorted(spans, key=lambda span: span.span_id) for spans in both)
    assert each == searched
    assert len(each) > REQUESTS


def root_of(trace: dict[str, Any]) -> dict[str, Any]:
    return next(span for span in trace["spans"] if not span["references"])


def test_metrics_are_made_of_every_span(seen: Seen) -> None:
    def counted() -> bool:
        lines = requests.get(seen.collector.metrics, timeout=LIMIT_S).text.splitlines()
        ours = [line for line in lines if seen.run_id in line]
        calls = [line for line in ours if line.startswith("tracebench_calls_total{")]
        finest = [line for line in ours if "_milliseconds_bucket{" in line and 'le="0.05"' in line]
        counts = [float(line.rpartition(" ")[2]) for line in calls]
        inference = [line for line in lines if 'tracebench_component="inference"' in line]
        return counts == [REQUESTS, REQUESTS] and len(finest) == 2 and bool(inference)

    eventually(counted)


def test_the_collectors_file_tells_the_same_as_jaeger(seen: Seen, tmp_path: Path) -> None:
    def analysed() -> dict[str, Any]:
        found = tmp_path / "result.json"
        traces = (sys.executable, "-m", "tracebench", "analyze", str(seen.collector.traces))
        command = [*traces, "--output-json", str(found)]
        subprocess.run(command, check=True, capture_output=True, timeout=LIMIT_S)
        targets: dict[str, Any] = json.loads(found.read_text())["targets"]
        whole = all(one["decomposed"] == REQUESTS for one in targets.values())
        return targets if len(targets) == 2 and whole else {}

    for name, target in eventually(analysed).items():
        told = {part: one["p50_ms"] for part, one in target["components"].items()}
        assert told == {
            part: one.p50_ms for part, one in seen.result.targets[name].components.items()
        }

"""What a plan says of traces: exported, read back, linked to; each where it was asked for."""

import json

import pytest

from tests.records import record
from tests.report.samples import target
from tests.servers import reply
from tests.tracing.jaeger.jaegers import NOTHING, ROOT, TRACE, answering, modern
from tests.tracing.otlp_samples import request, span
from tests.tracing.samples import MIRROR, REST, RUN, SUCCESS, TIMED_OUT
from tracebench.model.errors import TargetError
from tracebench.model.plan import SpanRoutes
from tracebench.model.record.exchange import Undecomposed
from tracebench.model.record.requests import Requests
from tracebench.model.results.result import TargetResult
from tracebench.tracing.jaeger.fetch import Waits
from tracebench.tracing.join.exporter import JoiningExporter
from tracebench.tracing.otlp.destination import check_listening
from tracebench.tracing.traces import Traces

UI = "http://127.0.0.1:1/base"
NO_WAITS = Waits(settle_s=0, quiet_s=0, pause_s=0)
ASKED = SUCCESS._replace(
    trace_id=TRACE, span_id=ROOT, arrived_ns=7_000_000_000, done_ns=7_000_000_001
)


def linked(routes: SpanRoutes) -> TargetResult:
    result = target()
    exchanges = [SUCCESS._replace(trace_id=one.trace_id) for one in result.exemplars]
    return Traces(routes).linked(result, Requests.of(exchanges), REST, RUN)


def test_without_a_ui_nothing_is_linked() -> None:
    assert linked(SpanRoutes(otlp_endpoint="http://127.0.0.1:1")) == target()


def test_traces_are_linked_to_the_ui() -> None:
    found = linked(SpanRoutes(trace_ui=UI + "/"))
    assert all(one.url and one.url.startswith(f"{UI}/trace/") for one in found.exemplars)
    assert found.search_url is None  # nobody exports root spans, which have the run id


def test_the_run_is_linked_to_the_ui_where_its_spans_are_exported() -> None:
    url = linked(SpanRoutes(trace_ui=UI, otlp_endpoint="http://127.0.0.1:1")).search_url
    assert url is not None
    assert url.startswith(f"{UI}/search?")
    assert RUN.id in url


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1", "127.0.0.1:1"])
def test_a_collector_that_is_not_there_is_missed_before_the_load(endpoint: str) -> None:
    said = f"cannot send traces to '{endpoint}' (Connection refused): start the collector first"
    with pytest.raises(TargetError) as caught, Traces(SpanRoutes(otlp_endpoint=endpoint)):
        raise AssertionError("the load would begin")
    assert str(caught.value).startswith(said)


def test_a_collector_behind_a_proxy_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    check_listening("http://collector.test:4318")


def test_people_may_reach_jaeger_by_another_url() -> None:
    with answering(modern) as api:
        own = linked(SpanRoutes(jaeger=api.url))
        other = linked(SpanRoutes(jaeger=api.url, trace_ui=UI))
    assert str(own.exemplars[0].url).startswith(api.url)
    assert str(other.exemplars[0].url).startswith(UI)


def test_spans_that_are_read_back_decompose() -> None:
    joining = JoiningExporter()
    exchanges = [ASKED, TIMED_OUT]
    with answering(modern) as api, Traces(SpanRoutes(jaeger=api.url), waits=NO_WAITS) as traces:
        joining.add(*record(exchanges, [Undecomposed.NO_TIMING] * 2))
        found = traces.read_back(Requests.of(exchanges), joining, RUN)
    assert found == []  # a failure has no trace to wait for
    assert joining.decomposition().sources == {"backend": 1}


def test_what_jaeger_has_instead_of_missing_traces_is_told() -> None:
    own = {"resourceSpans": request(span(parentSpanId="", kind=2))["resourceSpans"]}
    searched: list[str] = []

    def answer(path: str) -> bytes:
        if path == "/api/v3/services":
            return reply(b'{"services":["tracebench","model"]}')
        if path.startswith("/api/v3/traces?"):
            searched.append(path)
            return reply(json.dumps({"result": own}).encode())
        return NOTHING

    with answering(answer) as api, Traces(SpanRoutes(jaeger=api.url), waits=NO_WAITS) as traces:
        (finding,) = traces.read_back(Requests.of([SUCCESS]), JoiningExporter(), RUN)
    assert "Instead 1 trace came that the server started by itself" in finding.message
    assert "'POST /predict' of model (1)" in finding.message
    assert all("service_name=model" in path for path in searched)


def test_traces_that_are_missing_are_a_finding_and_the_mirror_holds() -> None:
    joining = JoiningExporter()
    joining.add(*record([SUCCESS], [MIRROR]))
    waited_for: list[str] = []
    with answering(modern) as api, Traces(SpanRoutes(jaeger=api.url), waits=NO_WAITS) as traces:
        (finding,) = traces.read_back(Requests.of([SUCCESS]), joining, RUN, waited_for.append)
    assert (finding.code, finding.severity) == ("traces_missing", "warning")
    assert "100 % of the traces could not be read back (1 of 1)" in finding.message
    assert waited_for[0] == "waiting for 1 of 1 traces in Jaeger"
    assert joining.decomposition().sources == {"mirror": 1}

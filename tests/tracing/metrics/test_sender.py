"""The run's metrics reach a real OTLP receiver, and one that is gone or refuses harms nothing."""

import os
import signal
from contextlib import closing

import pytest

from tests.model.test_progress import latencies
from tests.servers import answering, free_ports, reply, serving
from tests.tracing.metrics.otlp_metrics import HOST, over_grpc, over_http
from tracebench.benchmark import run
from tracebench.model.errors import UsageError
from tracebench.model.plan import Naming, Payload, Payloads, Plan, SpanRoutes, Targets, Workload
from tracebench.model.progress import SUCCEEDED, Progress
from tracebench.model.results.result import Result
from tracebench.tracing.metrics import encode
from tracebench.tracing.metrics.messages import Measured, Setup
from tracebench.tracing.metrics.sender import Sender
from tracebench.tracing.metrics.settings import metrics_url

PAYLOAD = Payload(b"{}", "application/json", "x.json", "json")
PROGRESS = Progress(3, 1.0, 0, 1, {SUCCEEDED: latencies([1_000_000] * 3)})


def sender(endpoint: str) -> Sender:
    return Sender(Setup(endpoint, "79e9", "", "1.0", {"rest": Measured("rest", {})}, 1))


def loaded(endpoint: str, *, otlp_metrics: bool = True) -> Result:
    """A run against a server of which every tenth reply is an error."""
    replies = [reply()] * 9 + [reply(b"", "503 Service Unavailable")]
    with serving(answering(*replies)) as port:
        url = f"http://{HOST}:{port}"
        return run(
            Plan(
                Payloads(PAYLOAD),
                Targets(rest_url=url),
                load=Workload(requests=200, concurrency=2),
                traces=SpanRoutes(otlp_endpoint=endpoint, otlp_metrics=otlp_metrics),
                naming=Naming("nightly"),
            )
        )


def codes(result: Result) -> dict[str, str]:
    found = result.targets["rest"].verdict.findings
    return {one.code: one.message for one in found if one.code.startswith("metrics_")}


@pytest.mark.parametrize("way", [over_grpc, over_http])
def test_the_totals_are_those_of_the_result(way: type) -> None:
    with way() as (endpoint, taken):
        result = loaded(endpoint)
    found = result.targets["rest"]
    assert found.requests.failed > 0
    assert taken.numbers(encode.REQUESTS) == {("rest", ""): found.requests.started}
    assert taken.numbers(encode.ERRORS) == {("rest", "503"): found.requests.failed}
    assert taken.numbers(encode.IN_FLIGHT) == {("rest", ""): 0}
    histograms = taken.histograms(encode.HTTP_DURATION)
    assert histograms["rest", ""].count == found.requests.succeeded
    assert histograms["rest", "503"].count == found.requests.failed
    assert found.latency is not None
    assert histograms["rest", ""].sum * 1e3 == pytest.approx(
        found.latency.mean_ms * found.requests.succeeded
    )
    assert taken.resource()["tracebench.run.id"] == result.tool["run_id"]
    assert not codes(result)


def test_they_can_be_left_out() -> None:
    with over_grpc() as (endpoint, taken):
        assert not codes(loaded(endpoint, otlp_metrics=False))
    assert not taken.requests


def test_samples_come_while_the_run_lasts() -> None:
    with over_grpc() as (endpoint, taken), closing(sender(endpoint)) as sending:
        sending.ready()
        sending.tell("rest", PROGRESS)
        sending._await(10.0, lambda: False)
        assert sending.finish({"rest": {}}) is None
    first = taken.requests[0]
    assert len(taken.requests) == 2
    (resource,) = first.resource_metrics
    in_flight = {one.name: one for one in resource.scope_metrics[0].metrics}[encode.IN_FLIGHT]
    assert [one.as_int for one in in_flight.gauge.data_points] == [1]
    assert taken.numbers(encode.IN_FLIGHT) == {("rest", ""): 0}


def test_an_endpoint_that_takes_spans_only_is_a_note() -> None:
    with over_grpc(metrics=False) as (endpoint, _):
        result = loaded(endpoint)
    (message,) = codes(result).values()
    assert message.startswith(f"{endpoint} takes spans only")
    assert "UNIMPLEMENTED" in message


def test_over_http_that_is_a_404() -> None:
    with over_http(404) as (endpoint, taken), closing(sender(endpoint)) as sending:
        for _ in range(2):
            sending.tell("rest", PROGRESS)
            sending._due_s = 0.0
            sending._await(10.0, lambda: False)
        found = sending.finish({})
    assert found is not None
    assert found.code == "metrics_not_taken"
    assert taken.paths == ["/v1/metrics"], "it is not asked again"


def test_an_endpoint_that_is_gone_is_one_finding() -> None:
    with closing(sender(f"{HOST}:{free_ports()}")) as sending:
        sending.tell("rest", PROGRESS)
        found = sending.finish({})
    assert found is not None
    assert (found.code, found.severity) == ("metrics_lost", "warning")
    assert "of 2 times" in found.message or "of 1 time" in found.message


def test_a_process_that_has_died_is_one_finding() -> None:
    with over_grpc() as (endpoint, _), closing(sender(endpoint)) as sending:
        sending.ready()
        os.kill(sending._child.pid, signal.SIGKILL)
        sending._child._process.wait()
        for _ in range(3):
            sending.tell("rest", PROGRESS)
            sending._due_s = 0.0
        found = sending.finish({})
    assert found is not None
    assert "the process that exports them ended" in found.message


def test_a_process_that_does_not_answer_never_blocks_the_loop() -> None:
    """It gets no second sample before it has taken the first."""
    with over_grpc() as (endpoint, _), closing(sender(endpoint)) as sending:
        sending.ready()
        os.kill(sending._child.pid, signal.SIGSTOP)
        for _ in range(10_000):
            sending._due_s = 0.0
            sending.tell("rest", PROGRESS)
        found = sending.finish({}, stopped=lambda: True)
    assert found is not None
    assert "the wait was interrupted" in found.message


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://h:4318", "http://h:4318/v1/metrics"),
        ("https://h/otlp/v1/traces", "https://h/otlp/v1/metrics"),
        ("http://h:4317", "h:4317"),
        ("https://h/elsewhere", ""),
    ],
)
def test_metrics_go_beside_the_spans(endpoint: str, url: str) -> None:
    assert metrics_url(endpoint) == url


def test_a_malformed_endpoint_is_refused() -> None:
    with pytest.raises(UsageError):
        metrics_url("ftp://h")

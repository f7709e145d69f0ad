"""A run's own metrics on their way: the collector's page, Prometheus, and what the panels ask."""

import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.backends.conftest import CONFIG, CONFIGS, built, eventually, free_port, running
from tests.backends.test_dashboard import dashboard, prometheus_names
from tests.end_to_end.test_receive_otlp import exporting
from tests.servers import HOST
from tracebench.benchmark import run
from tracebench.model.plan import Naming, Payload, Payloads, Plan, SpanRoutes, Targets, Workload
from tracebench.model.results.result import Result

pytestmark = pytest.mark.live

PAYLOAD = Payload(b"{}", "application/json", "x.json", "json")


@pytest.fixture(scope="module")
def collecting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The collector of docker-compose.yml without Jaeger; where it takes OTLP, and its page."""
    otlp, otlp_grpc, health, page = (str(free_port()) for _ in range(4))
    with running(
        [built("collector"), f"--config={CONFIG / CONFIGS[0]}"],
        f"http://{HOST}:{health}",
        tmp_path_factory.mktemp("collector") / "log",
        LISTEN=HOST,
        OTLP_PORT=otlp,
        OTLP_GRPC_PORT=otlp_grpc,
        HEALTH_PORT=health,
        PROMETHEUS_PORT=page,
        METRICS_INTERVAL="500ms",
        JAEGER=f"{HOST}:{free_port()}",
    ):
        yield f"http://{HOST}:{otlp}", f"{HOST}:{page}"


@pytest.fixture(scope="module")
def prometheus(
    collecting: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Prometheus with our configuration, but for the collector's address; gives its URL."""
    program = shutil.which("prometheus") or built("prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    config = (CONFIG / "prometheus.yaml").read_text()
    (folder / "prometheus.yaml").write_text(config.replace("collector:8889", collecting[1]))
    url = f"http://{HOST}:{free_port()}"
    options = (
        f"--web.listen-address={url.removeprefix('http://')}",
        f"--storage.tsdb.path={folder / 'data'}",
    )
    command = [program, f"--config.file={folder / 'prometheus.yaml'}", *options]
    with running(command, f"{url}/-/ready", folder / "log"):
        yield url


@pytest.fixture(scope="module")
def measured(collecting: tuple[str, str], prometheus: str) -> Result:
    """A run of a few seconds against a server that sends its spans to the same collector."""
    endpoint, _ = collecting
    settings = {"OTEL_BSP_SCHEDULE_DELAY": "200"}
    with exporting("http", endpoint, "middleware", **settings) as url:
        return run(
            Plan(
                Payloads(PAYLOAD),
                Targets(rest_url=url),
                load=Workload(requests=None, duration_s=6.0, concurrency=2),
                traces=SpanRoutes(otlp_endpoint=endpoint),
                naming=Naming("nightly"),
            )
        )


def page(address: str) -> dict[tuple[str, str], Any]:
    """The samples of a page, by name and run."""
    text = requests.get(f"http://{address}/metrics", timeout=10).text
    return {
        (sample.name, sample.labels.get("tracebench_run_id", "")): sample
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_page_has_the_totals_under_the_names_that_the_dashboard_uses(
    collecting: tuple[str, str], measured: Result
) -> None:
    run_id, found = measured.tool["run_id"], measured.targets["rest"]

    def whole() -> bool:
        count = page(collecting[1]).get(("tracebench_requests_total", run_id))
        return count is not None and count.value == found.requests.started

    assert eventually(whole)
    ours = {name: one for (name, of), one in page(collecting[1]).items() if of == run_id}
    own = {name for name in ours if not name.startswith("tracebench_duration")}
    assert own - {"tracebench_calls_total", "target_info"} <= prometheus_names()
    count = ours["http_client_request_duration_seconds_count"]
    assert count.value == found.requests.succeeded
    assert count.labels["tracebench_label"] == "nightly"
    assert count.labels["instance"] == run_id
    assert ours["tracebench_requests_in_flight"].value == 0


def asked(prometheus: str, expression: str) -> list[Any]:
    reply = requests.get(f"{prometheus}/api/v1/query", {"query": expression}, timeout=10).json()
    assert reply["status"] == "success", (expression, reply)
    found: list[Any] = reply["data"]["result"]
    return [one for one in found if one["value"][1] != "NaN"]


def expressions(run_id: str) -> Iterator[tuple[str, str]]:
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            expression = target["expr"].replace("$run", run_id)
            yield panel["title"], re.sub(r"\$__rate_interval", "30s", expression)


def test_prometheus_answers_the_questions_of_the_dashboard(
    prometheus: str, measured: Result
) -> None:
    run_id = measured.tool["run_id"]
    titles = {panel["title"] for panel in dashboard()["panels"]}
    titles -= {"Failures per second", "Tokens per second"}  # there are none

    def answered() -> bool:
        return {title for title, one in expressions(run_id) if asked(prometheus, one)} >= titles

    assert eventually(answered)


def test_prometheus_takes_the_rate_from_it(prometheus: str, measured: Result) -> None:
    run_id, found = measured.tool["run_id"], measured.targets["rest"]
    increase = f'max_over_time(tracebench_requests_total{{tracebench_run_id="{run_id}"}}[5m])'

    def whole() -> bool:
        (one,) = asked(prometheus, increase)
        return float(one["value"][1]) == found.requests.started

    assert eventually(whole)
    p50 = (
        "histogram_quantile(0.5, "
        f'http_client_request_duration_seconds_bucket{{tracebench_run_id="{run_id}"}})'
    )
    (one,) = asked(prometheus, p50)
    assert found.latency is not None
    assert float(one["value"][1]) * 1e3 == pytest.approx(found.latency.p50_ms, rel=0.25)

"""The dashboard, Prometheus and the collector ask for, read and offer what is really exported."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.backends.conftest import CONFIG, ROOT
from tracebench.gauges.known import known
from tracebench.tracing.metrics import encode
from tracebench.tracing.roots import attributes

GRAFANA = CONFIG / "grafana"
OF_SPANS = {f"tracebench_duration_milliseconds_{end}" for end in ("bucket", "sum", "count")} | {
    "tracebench_calls_total"
}
"""What the collector makes of spans: `span_metrics`, with the namespace `tracebench`."""
LABELS_OF_SPANS = {"service_name", "span_name", "span_kind", "tracebench_component"}


def read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def prometheus_names() -> set[str]:
    """The names of our metrics as Prometheus spells them: dots to underscores, unit, suffix."""
    found = set()
    for name, unit in encode.UNITS.items():
        spelt = name.replace(".", "_") + ("_seconds" if unit == "s" else "")
        if unit == "s":
            found |= {f"{spelt}_{end}" for end in ("bucket", "sum", "count")}
        else:
            found.add(spelt if name == encode.IN_FLIGHT else f"{spelt}_total")
    return found


def dashboard() -> Any:
    return json.loads((GRAFANA / "load.json").read_text())


def expressions() -> Iterator[str]:
    for panel in dashboard()["panels"]:
        yield from (one["expr"] for one in panel["targets"])


def metrics_in(expression: str) -> set[str]:
    """What it selects: names before braces, and those in a regular expression for names."""
    several = re.findall(r'\{__name__=~"([^"]*)"\}', expression)
    alone = re.findall(r"([a-z_:]+)\{(?!__name__)", expression)
    return {*alone, *(name for one in several for name in one.split("|"))}


def test_panels_ask_for_metrics_that_there_are() -> None:
    gauges = {one.metric for one in known()}
    asked = {name for one in expressions() for name in metrics_in(one)}
    assert asked <= prometheus_names() | OF_SPANS | gauges
    durations = {encode.GEN_AI_DURATION.replace(".", "_")}
    unshown = {one for one in prometheus_names() - asked if not one.endswith(("_sum", "_count"))}
    assert {one.removesuffix("_seconds_bucket") for one in unshown} == durations


def test_panels_ask_for_labels_that_there_are() -> None:
    ours = {attributes.RUN_ID, attributes.TARGET, attributes.PROTOCOL, "error.type"}
    there = {name.replace(".", "_") for name in ours} | LABELS_OF_SPANS | {"le", "__name__"}
    for expression in expressions():
        by = re.findall(r"by \(([^)]*)\)", expression)
        asked = {name.strip() for one in by for name in one.split(",")}
        asked |= set(re.findall(r"[{,]\s*([a-z_]+)(?:=|!=|=~)", expression))
        assert asked <= there, expression
    legends = [one["legendFormat"] for panel in dashboard()["panels"] for one in panel["targets"]]
    assert {name for one in legends for name in re.findall(r"\{\{(\w+)\}\}", one)} <= there


def test_the_runs_are_listed_by_a_metric_that_there_is() -> None:
    (variable,) = dashboard()["templating"]["list"]
    found = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])
    assert found is not None
    assert found[1] in prometheus_names()
    assert found[2] == attributes.RUN_ID.replace(".", "_")


def test_panels_do_not_overlap_and_have_their_data_source() -> None:
    (source,) = read("collector_config/grafana/provisioning/datasources/prometheus.yaml")[
        "datasources"
    ]
    panels = dashboard()["panels"]
    assert len({one["id"] for one in panels}) == len(panels)
    taken = {
        (x, y)
        for one in panels
        for x in range(one["gridPos"]["x"], one["gridPos"]["x"] + one["gridPos"]["w"])
        for y in range(one["gridPos"]["y"], one["gridPos"]["y"] + one["gridPos"]["h"])
    }
    assert len(taken) == sum(one["gridPos"]["w"] * one["gridPos"]["h"] for one in panels)
    assert max(x for x, _ in taken) < 24
    assert {one["datasource"]["uid"] for one in panels} == {source["uid"]}


def test_the_way_from_the_run_to_the_dashboard_is_whole() -> None:
    services = read("docker-compose.yml")["services"]
    collector = read("collector_config/collector.yaml")
    metrics = collector["service"]["pipelines"]["metrics"]
    assert set(metrics["receivers"]) == {"otlp", "span_metrics"}
    assert metrics["exporters"] == ["prometheus"]
    port = re.search(r"PROMETHEUS_PORT:-(\d+)", collector["exporters"]["prometheus"]["endpoint"])
    assert port is not None
    (job,) = read("collector_config/prometheus.yaml")["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"collector:{port[1]}"]}]
    (source,) = read("collector_config/grafana/provisioning/datasources/prometheus.yaml")[
        "datasources"
    ]
    assert source["url"] == "http://prometheus:9090"
    assert {"collector", "prometheus", "grafana"} <= services.keys()
    assert "--otlp-endpoint=http://collector:4318" in services["benchmark"]["command"]


@pytest.mark.parametrize("name", ["prometheus", "grafana", "collector"])
def test_files_are_mounted_where_they_are_looked_for(name: str) -> None:
    service = read("docker-compose.yml")["services"][name]
    mounts = [one.split(":")[:2] for one in service["volumes"]]
    assert all((ROOT / here).is_dir() for here, _ in mounts)
    text = json.dumps([service.get("command"), service.get("environment")])
    if name == "grafana":
        text += (GRAFANA / "provisioning/dashboards/tracebench.yaml").read_text()
    for path in re.findall(r"/etc/tracebench/[\w./-]+", text):
        (here,) = (one for one, there in mounts if there == "/etc/tracebench")
        assert (ROOT / here / path.removeprefix("/etc/tracebench/")).exists(), path


def test_every_image_has_a_whole_version() -> None:
    services = read("docker-compose.yml")["services"].values()
    images = [one["image"] for one in services if "image" in one]
    assert len(images) == 4
    assert all(re.search(r":v?\d+\.\d+\.\d+$", image) for image in images)

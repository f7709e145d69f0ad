"""What docker-compose.yml names is accepted by the programs that it is written for."""

import json
import re
import subprocess
from typing import Any

import pytest

from tests.backends.conftest import CONFIG, CONFIGS, LIMIT_S, ROOT, built


def ran(*command: str) -> str:
    result = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("names", [CONFIGS[:1], CONFIGS], ids=" ".join)
def test_the_collector_accepts_its_configuration(names: tuple[str, ...]) -> None:
    given = [f"--config={CONFIG / name}" for name in names]
    ran(built("collector"), "validate", *given)


def test_a_wrong_configuration_would_be_noticed() -> None:
    wrong = "yaml:service::pipelines::traces::exporters: [nowhere]"
    command = [built("collector"), "validate", f"--config={CONFIG / CONFIGS[0]}", "--config", wrong]
    assert subprocess.run(command, capture_output=True, timeout=LIMIT_S).returncode != 0


@pytest.fixture(scope="module")
def composed() -> dict[str, Any]:
    """The services as compose understands them."""
    services: dict[str, Any] = json.loads(ran(built("compose"), "config", "--format=json"))[
        "services"
    ]
    return services


def test_compose_accepts_the_services(composed: dict[str, Any]) -> None:
    assert composed.keys() == {
        *("jaeger", "collector", "prometheus", "grafana"),
        *("server", "benchmark"),
    }


def test_every_image_has_a_whole_version(composed: dict[str, Any]) -> None:
    images = [service["image"] for service in composed.values() if "image" in service]
    images += re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert len(images) == 5
    assert all(re.search(r":v?\d+\.\d+\.\d+\b", image) for image in images)


def test_nothing_is_reachable_from_other_machines(composed: dict[str, Any]) -> None:
    ports = [port for service in composed.values() for port in service.get("ports", ())]
    assert ports
    assert all(port["host_ip"] == "127.0.0.1" for port in ports)


def test_every_service_waits_for_what_it_needs(composed: dict[str, Any]) -> None:
    for service in composed.values():
        for name, need in (service.get("depends_on") or {}).items():
            expected = "service_healthy" if "healthcheck" in composed[name] else "service_started"
            assert need["condition"] == expected

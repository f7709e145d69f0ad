"""A Go server with the standard health service and reflection: no code and no protos of ours."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.load import grpc_servers
from tests.plans import plan_of
from tracebench.benchmark import run
from tracebench.model.errors import TracebenchError
from tracebench.model.plan import Payload, Plan

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with grpc_servers.go(tmp_path_factory.mktemp("go"), "./health") as port:
        yield f"127.0.0.1:{port}"


def health(address: str, service: Any = "", method: str = "Check", **more: Any) -> Plan:
    content = json.dumps({"service": service}).encode()
    payload = Payload(content, "application/json", "health.json", "json")
    name = f"grpc.health.v1.Health/{method}"
    return plan_of(payload, grpc_server=address, grpc_method=name, requests=100, **more)


def test_a_check(address: str) -> None:
    found = run(health(address, concurrency=4, expect_json=("status=SERVING",))).targets["grpc"]
    assert found.requests.succeeded == 100


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"service": "nothing"}, "NOT_FOUND: unknown service"),
        ({"service": 5}, "not a grpc.health.v1.HealthCheckRequest: .*service"),
        ({"method": "Watch", "timeout_s": 0.5}, "no more of the stream within 0.5 s"),
        ({"method": "Cure"}, "the methods of grpc.health.v1.Health are Check, List, Watch"),
        ({"expect_json": ("status=NOT_SERVING",)}, "does not hold: .*SERVING"),
    ],
)
def test_what_is_wrong(address: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(TracebenchError, match=said):
        run(health(address, **options))

"""Warm-up, drift and workers of real servers, found from the outside."""

import socket
import time
from collections.abc import Callable
from itertools import count

import pytest

from tests.servers import HOST, Script, read_request, reply, serving
from tracebench.benchmark import run
from tracebench.model.plan import Payload, Payloads, Plan, Targets, Workload
from tracebench.model.results.result import TargetResult

pytestmark = pytest.mark.alone

PAYLOAD = Payload(b"x", "text/plain", "x", "data")


def taking(service_s: Callable[[int, int], float]) -> Script:
    """A server whose service time depends on the connection and on the request."""
    connections, requests = count(), count()

    def script(connection: socket.socket) -> None:
        number = next(connections)
        while read_request(connection):
            time.sleep(service_s(number, next(requests)))
            connection.sendall(reply())

    return script


def codes(result: TargetResult) -> set[str]:
    return {finding.code for finding in result.verdict.findings}


@pytest.mark.slow
def test_the_warm_up_of_a_real_server_is_cut() -> None:
    with serving(taking(lambda _, n: 0.012 if n <= 40 else 0.002)) as port:
        url = f"http://{HOST}:{port}/"
        found = run(
            Plan(
                Payloads(PAYLOAD), Targets(rest_url=url), load=Workload(requests=300, warmup="auto")
            )
        ).targets["rest"]
    assert found.warmup is not None
    assert found.warmup.method == "MSER-5"
    assert 40 <= found.warmup.cut <= 150
    assert found.requests.started == found.requests.succeeded == 300 - found.warmup.cut
    assert found.latency is not None
    assert found.warmup.cut_mean_ms is not None
    assert found.latency.mean_ms < 0.7 * found.warmup.cut_mean_ms
    assert found.warmup.kept_mean_ms == pytest.approx(found.latency.mean_ms)
    assert found.throughput_rps == pytest.approx(1e3 / found.latency.mean_ms, rel=0.1)


@pytest.mark.slow
def test_a_real_server_that_becomes_slower_is_told() -> None:
    with serving(taking(lambda _, n: 0.002 if n <= 250 else 0.006)) as port:
        found = run(
            Plan(
                Payloads(PAYLOAD),
                Targets(rest_url=f"http://{HOST}:{port}/"),
                load=Workload(requests=400),
            )
        ).targets["rest"]
    assert "not_stationary" in codes(found)
    assert not found.verdict.valid


@pytest.mark.slow
@pytest.mark.parametrize("slow_s", [0.002, 0.020])
def test_one_of_four_real_workers_is_slower(slow_s: float) -> None:
    with serving(taking(lambda connection, _: slow_s if connection % 4 == 2 else 0.002)) as port:
        url = f"http://{HOST}:{port}/"
        plan = Plan(
            Payloads(PAYLOAD),
            Targets(rest_url=url),
            load=Workload(requests=None, duration_s=1.0, concurrency=4),
        )
        found = run(plan).targets["rest"]
    assert ("uneven_slots" in codes(found)) is (slow_s > 0.002)

"""Old, hand-instrumented servers are decomposed in full, over both protocols."""

from collections.abc import Iterator

import pytest

from tests.end_to_end.old_servers import STAGES_S, old_grpc, old_rest
from tracebench.benchmark import run
from tracebench.model.plan import Payload, Payloads, Plan, Targets, Workload
from tracebench.model.results.result import Result

REQUESTS = 60


@pytest.fixture(scope="module")
def result() -> Iterator[Result]:
    payload = Payload(b"\x89PNG" * 500, "image/png", "x.png", "image")
    with old_rest() as url, old_grpc() as address:
        yield run(
            Plan(
                Payloads(payload),
                Targets(rest_url=url, grpc_server=address),
                load=Workload(requests=REQUESTS, concurrency=3),
            )
        )


@pytest.mark.parametrize("target", ["rest", "grpc"])
def test_every_request_is_decomposed(result: Result, target: str) -> None:
    found = result.targets[target]
    assert found.requests.succeeded == found.decomposed == REQUESTS
    assert found.server_timing_source["mirror"] == REQUESTS
    assert sum(found.share.values()) == pytest.approx(1, abs=1e-12)
    for stage, pause_s in STAGES_S.items():
        assert found.components[stage].count == REQUESTS
        assert found.components[stage].min_ms >= pause_s * 1e3 * 0.99


def test_the_targets_are_compared(result: Result) -> None:
    assert result.comparison is not None
    assert (result.comparison.a, result.comparison.b) == ("rest", "grpc")
    assert {"end_to_end", "network", "inference"} <= set(result.comparison.components)

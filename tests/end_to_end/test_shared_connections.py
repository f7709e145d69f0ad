"""gRPC slots that share connections: the peer's limits are kept, and nobody starves."""

import pytest

from tests.end_to_end.old_servers import old_grpc
from tracebench.benchmark import run
from tracebench.model.plan import Payload, Payloads, Plan, Targets, Workload

PAYLOAD = Payload(b"\x89PNG" * 20_000, "image/png", "x.png", "image")


@pytest.mark.parametrize(
    ("concurrency", "requests", "streams"), [(2, 2, 1), (4, 40, 1), (8, 80, 3), (8, 80, 100)]
)
def test_slots_that_share_one_connection(concurrency: int, requests: int, streams: int) -> None:
    with old_grpc(max_concurrent_streams=streams) as address:
        plan = Plan(
            Payloads(PAYLOAD),
            Targets(grpc_server=address),
            load=Workload(requests=requests, concurrency=concurrency, connections=1, timeout_s=3),
        )
        found = run(plan).targets["grpc"]
    # grpcio counts a stream for a moment after it has ended, and refuses its successor then.
    assert all("REFUSED_STREAM" in error.reason for error in found.errors)
    assert found.requests.timed_out == 0
    assert found.requests.succeeded + found.requests.failed == requests
    assert found.tcp is not None
    assert found.tcp.connections == 1


def test_connections_that_the_server_ends_are_replaced() -> None:
    with old_grpc(max_connection_age_ms=150, max_connection_age_grace_ms=1_000) as address:
        plan = Plan(
            Payloads(PAYLOAD),
            Targets(grpc_server=address),
            load=Workload(duration_s=1.0, requests=None, concurrency=2),
        )
        found = run(plan).targets["grpc"]
    assert found.requests.failed == found.requests.timed_out == 0
    assert found.tcp is not None
    assert found.tcp.connections > 2

"""A caller that samples a share of its requests gets the timings of all, and spans of those."""

from typing import Any

import httpx
import pytest

from tests.middleware import grpc_service
from tests.middleware.serving import post
from tests.middleware.span_samples import UNSAMPLED, Spans
from tests.middleware.test_both_sources import CODED, OWN, SERVERS, STANDARD
from tracebench.model.record.exchange import Reply, Timing
from tracebench.protos.inference_pb2 import PredictRequest
from tracebench.tracing.mirror import timings

UNSAMPLED_BUT_ASKING = {"traceparent": UNSAMPLED, "x-benchmark": "1"}


def asked(server: Any) -> Reply:
    """One request as `--trace-share` sends those that it does not trace."""
    if isinstance(server, str):
        reply: httpx.Response = post(f"{server}/predict", UNSAMPLED_BUT_ASKING)
        return Reply(str(reply.status_code), dict(reply.headers), reply.content)
    metadata = tuple(UNSAMPLED_BUT_ASKING.items())
    _, call = grpc_service.predict(server, PredictRequest(), metadata)
    return Reply("OK", grpc_service.trailers(call), b"")


@pytest.mark.parametrize("name", SERVERS)
def test_an_unsampled_request_has_timings_and_no_spans(spans: Spans, name: str) -> None:
    serving, _, _ = SERVERS[name]
    with serving() as server:
        timing = timings.read_timing(asked(server))
    assert isinstance(timing, Timing)
    assert timing.parts_ns.keys() >= STANDARD | OWN
    assert ("grpc" in name) == (timing.parts_ns.keys() >= CODED)
    assert spans.ended() == []

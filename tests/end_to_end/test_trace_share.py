"""A share of the requests is traced: spans of those, timings in the replies of all."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.end_to_end.test_receive_otlp import exporting
from tests.plans import plan_of
from tests.servers import HOST, answering, free_ports, read_request, reply, serving
from tracebench.archive import analyze
from tracebench.benchmark import run
from tracebench.load.prepare import rest
from tracebench.load.progress import Watcher
from tracebench.model.errors import UsageError
from tracebench.model.measurement import Record
from tracebench.model.plan import Payload
from tracebench.model.record.requests import VARIANT, Requests
from tracebench.model.results.result import TargetResult

PAYLOAD = Payload(b"{}", "application/json", "x.json", "json")
COUNT = 2_000
SHARE = 0.05


def traceparents(seen: list[bytes]) -> Any:
    def note(connection: Any) -> None:
        while head := read_request(connection):
            seen.append(head)
            connection.sendall(reply())

    return note


def test_the_choice_is_drawn_one_by_one_and_by_the_seed() -> None:
    with serving(answering(reply())) as port:
        url = f"http://{HOST}:{port}"
        plans = [plan_of(PAYLOAD, rest_url=url, trace_share=SHARE, seed=seed) for seed in (1, 1, 2)]
        drawn = []
        for plan in plans:
            variants = rest.prepare(plan).variants
            assert variants is not None
            drawn.append(np.array([next(variants) for _ in range(40_000)]))
    assert (drawn[0] == drawn[1]).all()
    assert (drawn[0] != drawn[2]).any()
    traced = drawn[0] == 0
    assert set(drawn[0].tolist()) == {0, 1}
    sd = (SHARE * (1 - SHARE) / len(traced)) ** 0.5
    assert abs(traced.mean() - SHARE) < 4 * sd
    gaps = np.diff(np.flatnonzero(traced))
    assert gaps.std() == pytest.approx((1 - SHARE) ** 0.5 / SHARE, rel=0.1), "geometric, no period"


def test_the_others_ask_for_timings_but_for_no_trace() -> None:
    seen: list[bytes] = []
    with serving(traceparents(seen)) as port:
        url = f"http://{HOST}:{port}"
        several = (PAYLOAD, Payload(b'{"a": 1}', "application/json", "y.json", "json"))
        plan = plan_of(several, rest_url=url, trace_share=0.3, requests=200, concurrency=3)
        kept: list[Requests] = []
        result = run(plan, Keeping(kept))
    sent = seen[-200:]
    assert all(b"X-Benchmark: 1" in one for one in sent)
    flags = [one.partition(b"traceparent: 00-")[2][49:52] for one in sent]
    assert set(flags) == {b"-01", b"-00"}
    (requests,) = kept
    assert len(requests.traced()) == flags.count(b"-01")
    assert set(requests.columns.whole(VARIANT).tolist()) == {0, 1}, "which payload, not which copy"
    ids = dict(requests.ids_at(requests.traced().tolist()))
    for one, flag in zip(sent, flags, strict=True):
        trace_id = one.partition(b"traceparent: 00-")[2][:32].decode()
        assert (trace_id in ids) == (flag == b"-01")
    assert result.plan["trace_share"] == 0.3
    assert result.plan["sent"]["rest"]["count"] == 2


class Keeping(Watcher):
    """A watcher that keeps the requests."""

    def __init__(self, kept: list[Requests]) -> None:
        self._kept = kept

    def measured(self, target: str, record: Record) -> None:
        self._kept.append(record.requests)


def shared(port: int, url: str, archive: Path, **more: Any) -> TargetResult:
    """A run of which a share is traced; joined with what the server exports."""
    options = {"requests": COUNT, "concurrency": 4, "trace_share": SHARE, **more}
    routes = {"receive_otlp": f"{HOST}:{port}", "output_traces": str(archive)}
    return run(plan_of(PAYLOAD, rest_url=f"{url}", **options, **routes)).targets["rest"]


def codes(found: TargetResult) -> dict[str, str]:
    return {one.code: one.message for one in found.verdict.findings}


@pytest.mark.slow
def test_without_timings_in_replies_components_are_of_the_traced(tmp_path: Path) -> None:
    port = free_ports()
    with exporting("grpc", f"http://{HOST}:{port}", OTEL_BSP_SCHEDULE_DELAY="200") as url:
        found = shared(port, url, tmp_path / "t.jsonl")
    traced = found.decomposed
    assert abs(traced - COUNT * SHARE) < 5 * (COUNT * SHARE) ** 0.5
    assert found.server_timing_source["otlp"] == traced
    assert found.server_timing_source["none"] == COUNT - traced
    assert found.requests.succeeded == COUNT
    assert found.latency is not None
    assert found.latency.count == COUNT
    assert found.components["inference"].count == traced
    assert found.components["inference"].min_ms >= 2
    said = codes(found)
    assert f"{traced} of the {COUNT:,} requests were traced" in said["traced_share"]
    assert f"of the {traced} requests that could be decomposed" in said["traced_share"]
    assert not said.keys() & {"low_join_share", "not_decomposed", "no_server_timing"}
    archived = analyze([str(tmp_path / "t.jsonl")]).targets["rest"]
    assert archived.requests.started == traced
    assert archived.components["inference"] == found.components["inference"]
    assert "untraced_missing" in codes(archived)
    assert {one.trace_id for one in found.exemplars} == {
        one.trace_id for one in archived.exemplars
    }, "a trace can be looked up"


@pytest.mark.live
def test_the_middleware_tells_the_timings_of_all(tmp_path: Path) -> None:
    port = free_ports()
    settings = {"OTEL_BSP_SCHEDULE_DELAY": "200"}
    with exporting("grpc", f"http://{HOST}:{port}", "middleware", **settings) as url:
        found = shared(port, url, tmp_path / "t.jsonl", requests=400)
    assert found.decomposed == 400
    traced = found.server_timing_source["otlp"]
    assert found.server_timing_source["mirror"] == 400 - traced
    assert 0 < traced < 60
    assert f"{traced} of the 400 requests were traced" in codes(found)["traced_share"]
    assert "divided by the timings in their replies" in codes(found)["traced_share"]
    assert "low_join_share" not in codes(found)


def test_a_server_without_any_timing_is_told_from_that() -> None:
    with serving(answering(reply())) as port:
        url = f"http://{HOST}:{port}"
        found = run(plan_of(PAYLOAD, rest_url=url, trace_share=0.5, requests=50)).targets["rest"]
    assert "no_server_timing" in codes(found)
    assert "traced_share" in codes(found)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"observer_effect": True}, "--trace-share and --observer-effect"),
        ({"trace_share": 0.0}, "--trace-share 0 is not a share"),
        ({"trace_share": 1.5}, "--trace-share 1.5 is not a share"),
    ],
)
def test_what_does_not_fit_is_said(more: dict[str, Any], said: str) -> None:
    plan = plan_of(PAYLOAD, **{"rest_url": "http://127.0.0.1:9", "trace_share": 0.5, **more})
    with pytest.raises(UsageError, match=said):
        run(plan)

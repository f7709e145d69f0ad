"""Twins differ in nothing but whether they ask for tracing; which is sent is drawn with a seed."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import cast

import pytest

from tests.plans import plan_of
from tests.servers import HOST, answering, reply, serving
from tracebench.load.engine.target import PreparedTarget
from tracebench.load.peers.null_server import spawned
from tracebench.load.prepare import rest, rpc
from tracebench.load.wire.grpc_request import GrpcRequest
from tracebench.load.wire.http1 import HttpRequest
from tracebench.load.wire.prompt_request import PromptRequest
from tracebench.model.plan import Influence, Order, Payload, Payloads, Plan, Targets
from tracebench.protos.inference_pb2 import PredictRequest

PAYLOAD = Payload(b"x" * 100, "image/png", "x.png", "image")


def prepared(**more: object) -> PreparedTarget:
    with serving(answering(reply())) as port:
        url = f"http://{HOST}:{port}"
        return rest.prepare(plan_of(PAYLOAD, rest_url=url, observer_effect=True, **more))


def first(one: PreparedTarget, count: int) -> list[int]:
    assert one.variants is not None
    return list(islice(one.variants, count))


def test_a_rest_twin_is_not_sampled_and_has_no_switch() -> None:
    asking = HttpRequest(
        b"POST / HTTP/1.1\r\nX-Benchmark: 1\r\na: b\r\ntraceparent: 00-", b"-01\r\n\r\n", b"x"
    )
    twin = rest.untraced(asking)
    assert twin == HttpRequest(b"POST / HTTP/1.1\r\na: b\r\ntraceparent: 00-", b"-00\r\n\r\n", b"x")


def test_a_grpc_twin_is_not_sampled_and_has_its_switch_off() -> None:
    with spawned("grpc") as port:
        plan = Plan(
            Payloads(PAYLOAD),
            Targets(grpc_server=f"{HOST}:{port}"),
            influence=Influence(observer_effect=True),
        )
        ready = rpc.prepare(plan)
    asking, twin = cast(Sequence[GrpcRequest], ready.repeated)
    assert (asking.tail, twin.tail) == (b"-01", b"-00")
    said = [PredictRequest.FromString(one.body) for one in (asking, twin)]
    assert [one.enable_timing for one in said] == [True, False]
    assert [one.image_data for one in said] == [PAYLOAD.content] * 2
    assert asking.head == twin.head
    assert ready.untraced_from == 1


def test_the_draw_is_fair_and_seeded() -> None:
    drawn = first(prepared(), 10_000)
    assert drawn == first(prepared(), 10_000)
    assert drawn != first(prepared(seed=1), 10_000)
    assert 4_800 < sum(drawn) < 5_200
    assert set(drawn) == {0, 1}


@pytest.mark.parametrize("order", ["rotate", "random"])
def test_each_payload_has_a_twin(order: Order) -> None:
    others = (PAYLOAD, replace(PAYLOAD, content=b"y"), replace(PAYLOAD, content=b"z"))
    with serving(answering(reply())) as port:
        url = f"http://{HOST}:{port}"
        plan = Plan(
            Payloads(others, order=order),
            Targets(rest_url=url),
            influence=Influence(observer_effect=True),
        )
        ready = rest.prepare(plan)
    assert len(ready.repeated) == 6
    assert len(ready.sizes()) == 3
    drawn = first(ready, 6_000)
    assert all(900 < drawn.count(place) < 1_100 for place in range(6))
    if order == "rotate":
        assert [place % 3 for place in drawn] == [0, 1, 2] * 2_000


def test_an_unsampled_copy_asks_for_timings_and_is_of_the_same_type() -> None:
    head = b"POST / HTTP/1.1\r\nX-Benchmark: 1\r\ntraceparent: 00-"
    asking = PromptRequest(head, b"-01\r\n\r\n", b"x" * 50, nonce_at=3)
    assert rest.unsampled(asking) == PromptRequest(head, b"-00\r\n\r\n", b"x" * 50, nonce_at=3)


def test_an_unsampled_grpc_call_asks_in_its_metadata_as_well() -> None:
    with spawned("grpc") as port:
        ready = rpc.prepare(plan_of(PAYLOAD, grpc_server=f"{HOST}:{port}", trace_share=0.5))
    asking, twin = cast(Sequence[GrpcRequest], ready.repeated)
    assert (asking.tail, twin.tail) == (b"-01", b"-00")
    assert asking.body == twin.body
    assert (b"x-benchmark", b"1") in twin.metadata
    assert (b"x-benchmark", b"1") not in asking.metadata
    assert ready.unsampled_from == 1
    assert ready.sizes() == [len(asking.body)]


def test_copies_of_several_payloads_keep_their_order() -> None:
    several = tuple(replace(PAYLOAD, name=f"{n}.png") for n in range(3))
    with serving(answering(reply())) as port:
        ready = rest.prepare(plan_of(several, rest_url=f"http://{HOST}:{port}", trace_share=0.3))
    drawn = first(ready, 300)
    assert [one % 3 for one in drawn] == [0, 1, 2] * 100
    assert 0 < sum(one < 3 for one in drawn) < 300

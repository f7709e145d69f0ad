"""The floor on real sockets: the null server as a process, against the engine and `requests`."""

import socket
from math import inf

import grpc
import pytest
import requests

from tests.plans import changed
from tests.servers import HOST, answering, reply, serving
from tracebench.load.engine.target import PreparedTarget
from tracebench.load.peers.floor import measure_floor
from tracebench.load.peers.null_server import spawned
from tracebench.load.prepare import rest, rpc
from tracebench.model.errors import TracebenchError
from tracebench.model.measurement import Measurement
from tracebench.model.plan import Payload, Payloads, Plan, Segment, Workload
from tracebench.model.record.exchange import Outcome, Stamp

PLAN = Plan(
    Payloads(Payload(b"x" * 30_000, "image/png", "x.png", "image")), load=Workload(concurrency=3)
)


def measured(prepared: PreparedTarget, plan: Plan) -> Measurement:
    return measure_floor(prepared, plan.load, lasts_s=0.1)


def check(load: Measurement) -> None:
    assert {one.outcome for one in list(load.requests)} == {Outcome.SUCCEEDED}
    assert {one.stamp for one in list(load.requests)} == {Stamp.KERNEL}
    assert len(list(load.requests)) > 20
    assert load.tcp is not None
    assert load.tcp.connections == 3


def test_the_floor_of_a_rest_target() -> None:
    with serving(answering(reply(b'{"label": 1}'))) as port:
        plan = changed(PLAN, rest_url=f"http://{HOST}:{port}", expect_json=("label=1",))
        prepared = rest.prepare(plan)  # the null server knows no label, and need not
        check(measured(prepared, plan))


def test_the_floor_of_a_grpc_target() -> None:
    with spawned("grpc") as port:
        plan = changed(PLAN, grpc_server=f"{HOST}:{port}")
        prepared = rpc.prepare(plan)  # grpcio is answered as well
        check(measured(prepared, plan))
        shared = changed(plan, connections=1, requests=50)
        assert len(list(measured(prepared, shared).requests)) > 20


def test_an_open_loop_is_kept() -> None:
    with spawned("rest") as port:
        rate = (Segment(100, 100, inf),)
        plan = changed(PLAN, rest_url=f"http://{HOST}:{port}", rate=rate, concurrency=256)
        load = measure_floor(rest.prepare(plan), plan.load)
        assert 90 <= len(list(load.requests)) <= 100
        late = changed(plan, rate=None, schedule_s=(5.0,))
        with pytest.raises(TracebenchError, match="nothing is due in the first 1 s"):
            measure_floor(rest.prepare(late), late.load)


def test_others_are_answered_and_the_process_ends() -> None:
    with spawned("rest") as port, requests.Session() as session:
        for size in (0, 10, 1_000_000):
            assert session.post(f"http://{HOST}:{port}/x", b"x" * size, timeout=5).text == "ok"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, port))


def test_a_client_of_another_protocol_is_hung_up_on() -> None:
    with spawned("grpc") as port:
        with socket.create_connection((HOST, port)) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            while stranger.recv(1_000):
                pass
        with grpc.insecure_channel(f"{HOST}:{port}") as channel:
            call = channel.unary_unary("/any.Service/Method", bytes, bytes)
            assert call(b"", timeout=5) == b""

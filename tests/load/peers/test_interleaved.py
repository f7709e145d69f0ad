"""Blocks by turns, against the null server; what ends them early; what cannot begin."""

import sys
import threading
from collections.abc import Sequence

import numpy as np
import pytest

from tests.plans import plan_of
from tests.servers import HOST
from tracebench.load.engine.pacing import ClosedLoop
from tracebench.load.peers import CLIENTS, clients, interleaved
from tracebench.load.peers.clients import Job, Sample, TurnLimit
from tracebench.load.peers.interleaved import Interleaved
from tracebench.load.peers.null_server import spawned
from tracebench.load.prepare import rest
from tracebench.model.errors import UsageError
from tracebench.model.plan import Influence, Payload, Payloads, Plan, Targets

PAYLOAD = Payload(b"x" * 1_000, "image/png", "x.png", "image")


def by_turns(plan: dict[str, object], send: clients.Send) -> Interleaved:
    with spawned("rest") as port:
        planned = plan_of(PAYLOAD, rest_url=f"http://{HOST}:{port}", **plan)
        libraries = {"other": send}
        return interleaved.interleaved(rest.prepare(planned), planned.load, libraries, print, 4)


def made_up(job: Job) -> Sequence[Sample]:
    return [Sample(n, n + 1_000, "") for n in range(job.bounds.requests - 1)] + [
        Sample(0, 9_000_000_000, "late")
    ]


def test_each_round_has_a_block_of_each() -> None:
    found = by_turns({"requests": 400, "concurrency": 2}, lambda job: list(made_up(job)))
    assert not found.interrupted
    assert [len(one.latency_ns) for one in found.engine] == [100] * 4
    assert all(one.latency_ns.min() > 0 and not one.errors for one in found.engine)
    for block in found.libraries["other"]:
        assert np.array_equal(block.latency_ns, [1_000] * 99)
        assert block.errors == {"late": 1}
        assert block.duration_s == 9.0


def test_short_plans_have_blocks_long_enough_for_a_percentile() -> None:
    found = by_turns({"requests": 1}, lambda job: list(made_up(job)))
    assert [len(one.latency_ns) for one in found.engine] == [20] * 4


def test_a_duration_is_divided_among_the_rounds() -> None:
    durations = []

    def send(job: Job) -> list[Sample]:
        durations.append(job.bounds.duration_ns)
        return [Sample(0, 1, "")]

    found = by_turns({"requests": None, "duration_s": 0.2}, send)
    assert durations == [50_000_000] * 4
    assert all(one.duration_s > 0.045 for one in found.engine)


def test_whole_rounds_are_kept_when_the_user_ends_it() -> None:
    begun = []

    def send(job: Job) -> list[Sample]:
        begun.append(job)
        if len(begun) == 3:
            raise KeyboardInterrupt
        return list(made_up(job))

    found = by_turns({"requests": 1}, send)
    assert found.interrupted
    assert len(found.engine) == len(found.libraries["other"]) == 2


def test_a_gate_lets_so_many_pass() -> None:
    gate = TurnLimit(ClosedLoop(requests=3))
    assert [gate.admits() for _ in range(5)] == [True, True, True, False, False]
    assert not TurnLimit(ClosedLoop(duration_ns=0)).admits()


def test_a_gate_lets_nobody_pass_once_it_is_closed() -> None:
    gate = TurnLimit(ClosedLoop())
    with gate.closing():
        assert gate.admits()
    assert not gate.admits()


def test_a_gate_counts_for_all_threads() -> None:
    gate, passed = TurnLimit(ClosedLoop(requests=10_000)), []

    def work() -> None:
        while gate.admits():
            passed.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(passed) == 10_000


def test_each_module_of_a_library_is_offered() -> None:
    assert CLIENTS == ("aiohttp", "grpc.aio", "grpcio", "httpx", "requests")


def test_a_library_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    monkeypatch.delitem(sys.modules, "tracebench.load.peers.by_aiohttp", raising=False)
    with pytest.raises(UsageError, match="--client aiohttp needs aiohttp: pip install aiohttp"):
        clients.load_libraries(
            Plan(
                Payloads(PAYLOAD),
                Targets(rest_url="http://x"),
                influence=Influence(clients=("aiohttp",)),
            )
        )


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("requests", {"grpc_server": "x:1"}, "--client requests needs a target: give --rest-url"),
        ("grpcio", {"rest_url": "http://x"}, "--client grpcio needs a target: give --grpc-server"),
        ("httpx", {"rest_url": "http://x", "observer_effect": True}, "separate runs"),
        ("httpx", {"rest_url": "http://x", "schedule_s": (1.0,)}, "closed loop"),
        ("grpc.aio", {"grpc_server": "grpcs://x:1", "insecure": True}, "--cacert"),
    ],
)
def test_what_a_library_cannot_do(name: str, given: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        clients.load_libraries(plan_of(PAYLOAD, clients=(name,), **given))

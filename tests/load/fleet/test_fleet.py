"""Several processes load real servers: what they send is exactly the plan, and nothing is lost."""

import itertools
import os
import signal
import socket
import sys
import threading
from collections import Counter
from concurrent.futures import Future
from contextlib import suppress
from math import inf
from typing import Any

import numpy as np
import pytest

from tests.load.language.caching_server import caching
from tests.load.language.test_conversations import TALK, conversations
from tests.load.language.test_prompts import measured
from tests.load.predicting import predicting
from tests.plans import plan_of
from tests.servers import HOST, Script, answering, read_request, reply, serving
from tracebench import __version__
from tracebench.benchmark import run
from tracebench.load.fleet import conductor, crew
from tracebench.load.fleet.crew import in_turn
from tracebench.load.fleet.fleet import measure_by_turns
from tracebench.load.fleet.orders import Hello
from tracebench.load.prepare.targets import prepare
from tracebench.load.progress import Watcher
from tracebench.model.errors import TargetError, UsageError
from tracebench.model.plan import Payload, Segment, Stability, Target, Workload
from tracebench.model.progress import Progress
from tracebench.model.record.requests import Requests
from tracebench.model.results.result import Result, TargetResult
from tracebench.protos.inference_pb2 import PredictResponse

PAYLOADS = tuple(
    Payload(f"payload {at}".encode(), "text/plain", f"{at}", "data") for at in range(4)
)
TIMED = reply(b"ok", "200 OK", 'X-Timing-Info: {"inference": 0.001, "server_processing": 0.0015}')


class Noting:
    """A server that notes what it is sent."""

    def __init__(self, service_s: float = 0.002) -> None:
        self.bodies, self.traces = Counter[bytes](), list[str]()
        self._answer, self._service_s = TIMED, service_s
        self._lock = threading.Lock()

    def __call__(self, connection: socket.socket) -> None:
        while request := read_request(connection):
            head, _, body = request.partition(b"\r\n\r\n")
            trace = head.lower().partition(b"traceparent: 00-")[2][:32].decode()
            with self._lock:
                self.bodies[body] += 1
                self.traces.append(trace)
            threading.Event().wait(self._service_s)
            connection.sendall(self._answer)


class Records(Watcher):
    """Keeps the requests, and the progress told."""

    def __init__(self) -> None:
        self.requests: dict[str, Requests] = {}
        self.told: list[Progress] = []

    def progress(self, progress: Progress) -> None:
        self.told.append(progress)

    def measured(self, target: str, record: Any) -> None:
        self.requests[target] = record.requests


def loaded(script: Script, watcher: Watcher | None = None, **options: Any) -> Result:
    with serving(script) as port:
        urls = {"rest_url": f"http://{HOST}:{port}", "processes": 2}
        return run(plan_of(options.pop("payload", PAYLOADS), **{**urls, **options}), watcher)


def codes(target: TargetResult) -> set[str]:
    return {one.code for one in target.verdict.findings}


def test_a_closed_loop_by_three_processes_is_exactly_the_plan() -> None:
    server, watcher = Noting(), Records()
    found = loaded(server, watcher, requests=200, concurrency=4, warmup=6, processes=3)
    target, requests = found.targets["rest"], watcher.requests["rest"]
    assert target.requests.started == target.requests.succeeded == target.decomposed == 200
    sent = Counter(requests.columns.whole("variant").tolist())
    assert sorted(sent.values()) == [50] * 4
    assert set(requests.columns.whole("slot").tolist()) == {0, 1, 2, 3}
    ids = {trace for trace, _ in requests.ids_at(range(200))}
    assert len(ids) == 200
    assert ids <= set(server.traces)
    assert sorted(one.requests for one in target.workers) == [66, 67, 67]
    assert len({one.pid for one in target.workers}) == 3
    assert all(one.cpu_s > 0 and one.p50_ms is not None for one in target.workers)
    assert target.client_cpu_s == pytest.approx(sum(one.cpu_s for one in target.workers))
    done = requests.whole(lambda rows: rows.at("done"))
    assert (done[1:] >= done[:-1]).all()


def test_what_is_told_of_a_load_ends_with_all_of_it() -> None:
    watcher = Records()
    watcher.detailed = True
    loaded(Noting(), watcher, requests=60, concurrency=2)
    last = watcher.told[-1]
    assert (last.finished, last.in_flight) == (60, 0)
    assert last.all_latencies.count == 60
    assert last.workers == "2 of 2 workers"


def test_an_open_loop_has_the_arrivals_and_payloads_of_one_schedule() -> None:
    server, watcher = Noting(0.0), Records()
    asked = {"rate": (Segment(400, 400, inf),), "arrival": "poisson", "requests": 201, "seed": 4}
    found = loaded(server, watcher, concurrency=16, warmup=5, **asked).targets["rest"]
    assert found.requests.started == 201
    sent = Counter(watcher.requests["rest"].columns.whole("variant").tolist())
    assert [sent[(5 + at) % 4] for at in range(4)] == [51, 50, 50, 50]
    assert {one.requests for one in found.workers} == {100, 101}
    assert "rate_not_met" not in codes(found)


def test_a_worker_that_dies_costs_its_own_results_only() -> None:
    class Killing(Records):
        pid = 0

        def progress(self, progress: Progress) -> None:
            super().progress(progress)
            if progress.finished > 20 and not self.pid:
                self.pid = next(iter(conductor._RUNS.values())).child.pid
                os.kill(self.pid, signal.SIGKILL)

    watcher = Killing()
    found = loaded(Noting(), watcher, requests=None, duration_s=1.0, concurrency=2)
    target = found.targets["rest"]
    (lost,) = [one for one in target.workers if one.lost]
    (left,) = [one for one in target.workers if not one.lost]
    assert (lost.pid, lost.requests) == (watcher.pid, 0)
    assert left.requests == target.requests.started > 20
    assert "worker_lost" in codes(target)
    assert target.verdict.valid
    assert watcher.told[-1].workers == "1 of 2 workers"


def test_an_interrupt_ends_all_and_keeps_what_each_measured() -> None:
    class Interrupting(Records):
        def progress(self, progress: Progress) -> None:
            if progress.finished > 20:
                signal.raise_signal(signal.SIGINT)

    target = loaded(Noting(), Interrupting(), requests=100_000, concurrency=2).targets["rest"]
    assert "interrupted" in codes(target)
    assert all(one.requests and not one.lost for one in target.workers)
    assert 20 < target.requests.started < 10_000


def test_two_targets_alternate_in_blocks_that_all_begin_together() -> None:
    with serving(answering(TIMED, service_s=0.002)) as a, serving(answering(TIMED)) as b:
        named = tuple(
            Target(name, "rest", f"http://{HOST}:{port}", f"--target {name}")
            for name, port in (("a", a), ("b", b))
        )
        asked = {"requests": None, "duration_s": 1.2, "concurrency": 2, "processes": 2}
        plan = plan_of(PAYLOADS[0], named=named, **asked)
        loads = measure_by_turns(prepare(plan), plan.load, Watcher())
    blocks = []
    for load in loads.values():
        begun = load.requests.whole(lambda rows: rows.at("ready"))
        done = load.requests.whole(lambda rows: rows.at("done"))
        assert len(load.block_ends) == 2
        for first, end in itertools.pairwise((0, *load.block_ends)):
            draws = load.requests.columns.whole("draw")[first:end]
            assert {0, 1} == set((draws % 2).tolist()), "both workers took part"
            blocks.append((int(begun[first:end].min()), int(done[first:end].max())))
    blocks.sort()
    assert all(ended < begins for (_, ended), (begins, _) in itertools.pairwise(blocks))


def test_they_end_together_once_the_latency_is_known() -> None:
    asked: dict[str, Any] = {"requests": None, "duration_s": 20.0, "concurrency": 2}
    close = Stability("p50_ms", 0.2)
    target = loaded(Noting(), until_stable=close, **asked).targets["rest"]
    assert target.duration_s < 10
    assert "not_stable" not in codes(target)


def test_no_more_processes_than_slots_take_part() -> None:
    target = loaded(answering(TIMED), requests=20, concurrency=1).targets["rest"]
    assert [one.requests for one in target.workers] == [20]
    assert "fewer_workers" in codes(target)


def test_a_worker_that_cannot_connect_says_which() -> None:
    listener = socket.create_server((HOST, 0))

    class Closing(Watcher):
        def begins(self, target: str, address: str, answer: str) -> None:
            listener.shutdown(socket.SHUT_RDWR)  # after the preflight
            listener.close()

    def accept() -> None:
        with suppress(OSError):
            while True:
                with listener.accept()[0] as connection:
                    answering(TIMED)(connection)

    threading.Thread(target=accept, daemon=True).start()
    url = f"http://{HOST}:{listener.getsockname()[1]}"
    plan = plan_of(PAYLOADS[0], rest_url=url, processes=2, concurrency=2)
    with pytest.raises(TargetError, match=r"process \d on .*: .*connections were opened"):
        run(plan, Closing())


def test_one_process_is_this_process() -> None:
    assert not Workload(processes=1).is_divided
    target = loaded(answering(TIMED), requests=20, processes=1).targets["rest"]
    assert target.workers == ()


def test_another_version_is_refused() -> None:
    class There:
        name = "tcp://there:1"

    told: Future[Hello] = Future()
    told.set_result(Hello("there", 1, "0.0.1", ""))
    with pytest.raises(TargetError, match=r"tcp://there:1 on there runs 0\.0\.1, the head"):
        crew._introduced(There(), told)  # type: ignore[arg-type]
    same: Future[Hello] = Future()
    same.set_result(Hello("there", 1, __version__, "other"))
    with pytest.raises(TargetError, match="other sources"):
        crew._introduced(There(), same)  # type: ignore[arg-type]
    absent: Future[Hello] = Future()
    absent.set_exception(ModuleNotFoundError("No module named 'tracebench'"))
    with pytest.raises(TargetError, match="cannot run tracebench"):
        crew._introduced(There(), absent)  # type: ignore[arg-type]


def test_a_cluster_needs_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with serving(answering(TIMED)) as port:
        at = {"rest_url": f"http://{HOST}:{port}", "cluster": f"tcp://{HOST}:1"}
        with pytest.raises(UsageError, match=r"pip install 'tracebench\[cluster\]'"):
            run(plan_of(PAYLOADS[0], **at))


def test_series_are_merged_in_the_order_of_time() -> None:
    found = in_turn([np.array([1, 3, 5]), None, np.array([2, 4, 6]), np.array([], np.int64)])
    assert found.tolist() == [1, 2, 3, 4, 5, 6]
    assert len(in_turn([])) == 0


def test_conversations_go_on_in_the_process_of_their_slot() -> None:
    with caching() as server:
        result = measured(server, requests=25, concurrency=3, processes=2, **TALK)
    target = result.targets["rest"]
    assert sorted(one.requests for one in target.workers) == [12, 13]
    assert target.requests.succeeded == 25
    assert target.stream is not None
    assert target.stream.tokens.output == 25 * 12
    told = conversations(server.generated[1:])
    assert all(len({one.peer for one in each}) == 1 for each in told), "on one connection"
    assert {len(each) for each in told} <= {1, 2, 3, 4}


def test_grpc_calls_on_shared_connections() -> None:
    said = PredictResponse(result="cat").SerializeToString()
    with predicting(lambda _message, _context: said) as port:
        at: dict[str, Any] = {"grpc_server": f"{HOST}:{port}", "expect_json": ("result=cat",)}
        shared = {"concurrency": 6, "connections": 3, "processes": 2, "requests": 101}
        target = run(plan_of(PAYLOADS[0], **at, **shared)).targets["grpc"]
    assert target.requests.succeeded == 101
    assert target.tcp is not None
    assert target.tcp.connections == 3

"""Connections from several local addresses, in turn: `--bind`."""

import errno
import pickle
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from time import monotonic, sleep
from typing import Any

import grpc
import pytest

from tests.load.engines import Make, request
from tests.plans import plan_of
from tests.servers import HOST, PATIENCE_S, answering, read_request, reply, serving
from tracebench.benchmark import run, try_once
from tracebench.cli.dry_run import render
from tracebench.load.engine.endpoint import Endpoint, Sources, resolve, resolve_unix, sources_of
from tracebench.load.engine.engine import Engine
from tracebench.load.engine.loop import Loop
from tracebench.load.engine.pacing import ClosedLoop
from tracebench.model.errors import TargetError, UsageError
from tracebench.model.plan import Payload
from tracebench.model.shards import Shard
from tracebench.tracing.roots.trace_ids import IdSource

SOURCES = ("127.0.0.2", "127.0.0.3", "127.0.0.4")


def engine_at(endpoint: Endpoint, make: Make, loop: Loop, slots: int) -> Engine:
    return Engine(
        loop,
        make(loop, endpoint, [request()]),
        slots=slots,
        channels=slots,
        timeout_ns=5_000_000_000,
        source=IdSource(),
    )


@pytest.mark.parametrize("close_after", [0, 1], ids=["kept", "one connection a request"])
def test_connections_are_spread_evenly(make: Make, close_after: int) -> None:
    peers = Counter[str]()
    answer = answering(reply(b"ok", "200 OK", "Connection: close" if close_after else "A: b"))

    def noted(connection: socket.socket) -> None:
        peers[connection.getpeername()[0]] += 1
        answer(connection)

    with serving(noted) as port, closing(Loop()) as loop:
        endpoint = resolve(HOST, port, None, SOURCES)
        peers.clear()  # the probe's
        engine = engine_at(endpoint, make, loop, slots=6)
        assert engine.connect(6) == ""
        window = engine.run(ClosedLoop(requests=30), lambda _progress: None)
        for channel in engine.channels:
            assert channel.is_local() or close_after
            channel.close()
    assert len(window.recorder) == 30
    assert peers.keys() == set(SOURCES)
    assert max(peers.values()) - min(peers.values()) <= 1


def test_the_probe_comes_from_there_too() -> None:
    seen: list[str] = []

    def noted(connection: socket.socket) -> None:
        seen.append(connection.getpeername()[0])
        read_request(connection)

    with serving(noted) as port:
        resolve(HOST, port, None, ["127.0.0.9"])
        until_s = monotonic() + PATIENCE_S
        while not seen and monotonic() < until_s:
            sleep(0.001)
    assert seen == ["127.0.0.9"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["192.0.2.1"], "--bind '192.0.2.1' is not an address of this machine"),
        (["eth0"], "--bind 'eth0' is not an IP address"),
        (["127.0.0.2", "::1"], "mixes IPv4 and IPv6"),
        (["127.0.0.2:80"], "is not an IP address"),
    ],
)
def test_an_address_that_cannot_be_used_is_named(given: list[str], said: str) -> None:
    with pytest.raises(UsageError) as failed:
        sources_of(given)
    assert said in str(failed.value)
    assert "\n" not in str(failed.value)


def test_the_wrong_family_is_named() -> None:
    with serving(answering(reply())) as port, pytest.raises(UsageError) as failed:
        resolve(HOST, port, None, ["::1"])
    assert f"--bind '::1' is IPv6, but '{HOST}' has only IPv4 addresses" in str(failed.value)


def test_a_unix_socket_has_no_addresses() -> None:
    with pytest.raises(UsageError, match="Unix socket '/tmp/x"):
        resolve_unix("/tmp/x.sock", SOURCES)


def test_a_server_that_cannot_be_reached_is_named_with_the_start() -> None:
    with pytest.raises(TargetError, match=r"cannot connect from 127.0.0.2 to 127.0.0.1:9 \("):
        resolve(HOST, 9, None, SOURCES[:1])


def test_each_worker_begins_with_another_address() -> None:
    local = sources_of(SOURCES)
    assert local is not None
    for first in range(4):
        copy: Sources = pickle.loads(pickle.dumps(local.dealt(Shard(first, 4))))
        with closing(socket.socket()) as made:
            assert copy.bind(made) == 0
            assert made.getsockname()[0] == SOURCES[first % 3]
    assert str(copy) == "127.0.0.2, 127.0.0.3, 127.0.0.4"


def test_shards_use_all_addresses_as_evenly_as_one_process() -> None:
    local = sources_of([f"127.0.0.{at}" for at in range(2, 10)])
    assert local is not None
    used: Counter[str] = Counter()
    for number in range(4):
        own = local.dealt(Shard(number, 4))
        for _ in range(2):
            with closing(socket.socket()) as made:
                assert own.bind(made) == 0
                used[made.getsockname()[0]] += 1
    assert (len(used), set(used.values())) == (8, {1})


class Exhausted(Sources):
    """Finds no port from the nth connection on."""

    __slots__ = ("left",)
    left: int

    def bind(self, made: socket.socket) -> int:
        self.left -= 1
        return errno.EADDRNOTAVAIL if self.left < 0 else super().bind(made)


def test_a_connection_that_finds_no_port_fails_alone(make: Make) -> None:
    """Its socket is never connected, which epoll reports at once."""
    closes = answering(reply(b"ok", "200 OK", "Connection: close"))
    with serving(closes) as port, closing(Loop()) as loop:
        endpoint = resolve(HOST, port, None, SOURCES[:1])
        local = Exhausted([(SOURCES[0], 0)], socket.AF_INET)
        local.left = 2
        changed: Any = Endpoint(HOST, port, endpoint.family, endpoint.address, None, sources=local)
        engine = engine_at(changed, make, loop, slots=1)
        assert engine.connect(1) == ""
        window = engine.run(ClosedLoop(requests=3), lambda _progress: None)
        engine.channels[0].close()
    assert window.recorder.errors == ["", "cannot assign requested address"]
    assert len(window.recorder) == 3


@contextmanager
def noting_peers() -> Iterator[tuple[int, list[str]]]:
    """A gRPC server that notes where calls come from."""
    peers: list[str] = []

    def predict(message: bytes, context: Any) -> bytes:
        peers.append(context.peer().split(":")[1])
        return b"\n\x03cat"

    handlers = {"Predict": grpc.unary_unary_rpc_method_handler(predict)}
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("inference.InferenceService", handlers),)
    )
    port = server.add_insecure_port(f"{HOST}:0")
    server.start()
    try:
        yield port, peers
    finally:
        server.stop(None).wait()


def test_grpc_calls_come_from_there_as_well() -> None:
    with noting_peers() as (port, peers):
        payload = Payload(b"x", "image/png", "x.png", "image")
        load = {"requests": 40, "concurrency": 4, "bind": SOURCES[:2]}
        result = run(plan_of(payload, grpc_server=f"{HOST}:{port}", **load))
    assert result.targets["grpc"].requests.succeeded == 40
    assert result.plan["bind"] == SOURCES[:2]
    assert set(peers[-40:]) == set(SOURCES[:2])


def test_a_dry_run_says_from_where() -> None:
    payload = Payload(b"{}", "application/json", "x.json", "json")
    with serving(answering(reply())) as port:
        plan = plan_of(payload, rest_url=f"http://{HOST}:{port}", bind=SOURCES[:2])
        (trial,) = try_once(plan).values()
    assert render("rest", trial).splitlines()[0].endswith("/predict from 127.0.0.2, 127.0.0.3")

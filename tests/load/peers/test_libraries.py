"""Each library sends what the engine sends: both are seen by a real server."""

import asyncio
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, repeat
from pathlib import Path

import grpc
import pytest
import trustme

from tests.load.predicting import predicting
from tests.servers import HOST, answering, keeping, read_request, reply, serving
from tests.tls import ca_file, context, grpc_pair, under_tls
from tracebench.load.engine.pacing import ClosedLoop
from tracebench.load.measuring.measure import measure
from tracebench.load.peers import clients
from tracebench.load.peers.clients import Job, Sample
from tracebench.load.prepare import rest, rpc
from tracebench.load.progress import Watcher
from tracebench.model.plan import Calls, Influence, Payload, Payloads, Plan, Targets, Tls, Workload

PAYLOAD = Payload(b"\x89PNG" * 10_000, "image/png", "x.png", "image")
CONTEXT = re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-01")
HTTP = ("requests", "httpx", "aiohttp")
RPC = ("grpcio", "grpc.aio")


def sent_by(name: str, planned: Plan, *, requests: int = 6, warmup: int = 2) -> list[Sample]:
    is_rest = name in HTTP
    prepared = rest.prepare(planned) if is_rest else rpc.prepare(planned)
    (send,) = clients.load_libraries(planned)["rest" if is_rest else "grpc"].values()
    return send(Job(prepared, planned.load.concurrency, ClosedLoop(warmup), ClosedLoop(requests)))


def fields(request: bytes) -> tuple[bytes, set[bytes], bytes]:
    """The first line, the headers with their names in lower case, and the body."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    named = (line.partition(b": ") for line in lines)
    return (
        first,
        {name.lower() + b": " + CONTEXT.sub(b"IDS", value) for name, _, value in named},
        body,
    )


@pytest.mark.parametrize("name", HTTP)
@pytest.mark.parametrize("path", ["", "/v1/a?b=%20c"])
def test_an_http_library_sends_what_the_engine_sends(name: str, path: str) -> None:
    requests: list[bytes] = []
    with serving(keeping(requests)) as port:
        planned = Plan(
            Payloads(PAYLOAD),
            Targets(rest_url=f"http://{HOST}:{port}{path}"),
            calls=Calls(headers=(("X-Key", "a b"),)),
            load=Workload(requests=1),
            influence=Influence(clients=(name,)),
        )
        samples = sent_by(name, planned)
        measure(rest.prepare(planned), planned.load, Watcher())
    _, *by_library, _, by_engine = requests  # with the preflight of each
    assert len(by_library) == 8
    assert [one.reason for one in samples] == [""] * 6
    assert len({match[0] for one in by_library for match in CONTEXT.finditer(one)}) == 8
    for request in by_library:
        assert without_boundary(request) == without_boundary(by_engine)


def without_boundary(request: bytes) -> tuple[bytes, set[bytes], bytes]:
    found = re.search(rb"boundary=(\w+)", request)
    assert found is not None
    return fields(request.replace(found[1], b"BOUNDARY"))


def test_a_library_with_a_loop_runs_beside_the_loop_of_a_notebook() -> None:
    async def cell(planned: Plan) -> list[Sample]:
        return sent_by("aiohttp", planned)

    with serving(answering(reply())) as port:
        planned = Plan(
            Payloads(PAYLOAD),
            Targets(rest_url=f"http://{HOST}:{port}"),
            influence=Influence(clients=("aiohttp",)),
        )
        samples = asyncio.run(cell(planned))
    assert [one.reason for one in samples] == [""] * 6


@pytest.mark.parametrize("name", HTTP)
def test_concurrent_requests_each_have_a_connection_that_is_kept(name: str) -> None:
    connections: list[socket.socket] = []

    def script(connection: socket.socket) -> None:
        connections.append(connection)
        answering(reply())(connection)

    with serving(script) as port:
        planned = Plan(
            Payloads(PAYLOAD),
            Targets(rest_url=f"http://{HOST}:{port}"),
            load=Workload(concurrency=3),
            influence=Influence(clients=(name,)),
        )
        samples = sent_by(name, planned, requests=30, warmup=6)
    assert len(samples) == 30
    assert len(connections) <= 2 + 3  # the look-up's and the preflight's


@pytest.mark.parametrize("name", HTTP)
def test_errors_have_reasons(name: str) -> None:
    replies = chain([reply()], repeat(reply(b"", "503 Busy")))  # the first is the preflight's

    def script(connection: socket.socket) -> None:
        while read_request(connection):
            connection.sendall(next(replies))

    with serving(script) as port:
        planned = Plan(
            Payloads(PAYLOAD),
            Targets(rest_url=f"http://{HOST}:{port}"),
            influence=Influence(clients=(name,)),
        )
        samples = sent_by(name, planned)
    assert [one.reason for one in samples] == ["HTTP 503"] * 6


@pytest.mark.parametrize("name", HTTP)
def test_a_server_that_never_answers_ends_in_the_timeout(name: str) -> None:
    replies = chain([reply()], repeat(b""))

    def script(connection: socket.socket) -> None:
        while read_request(connection):
            connection.sendall(next(replies))

    with serving(script) as port:
        planned = Plan(
            Payloads(PAYLOAD),
            Targets(rest_url=f"http://{HOST}:{port}"),
            load=Workload(timeout_s=0.05),
            influence=Influence(clients=(name,)),
        )
        samples = sent_by(name, planned, requests=2, warmup=0)
    assert len(samples) == 2
    assert all("Timeout" in one.reason for one in samples)
    assert all(one.ended_ns - one.began_ns >= 45_000_000 for one in samples)


@contextmanager
def echo(
    seen: list[tuple[bytes, dict[str, str | bytes]]],
    *,
    fail: bool = False,
    credentials: grpc.ServerCredentials | None = None,
) -> Iterator[int]:
    def predict(message: bytes, context: grpc.ServicerContext) -> bytes:
        seen.append((message, dict(context.invocation_metadata())))
        if fail and len(seen) > 1:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "enough")
        return b""

    with predicting(predict, credentials) as port:
        yield port


@pytest.mark.parametrize("name", RPC)
def test_grpc_calls_are_those_of_the_engine(name: str) -> None:
    seen: list[tuple[bytes, dict[str, str | bytes]]] = []
    with echo(seen) as port:
        planned = Plan(
            Payloads(PAYLOAD),
            Targets(grpc_server=f"{HOST}:{port}"),
            calls=Calls(headers=(("x-key", "a b"),)),
            load=Workload(requests=1),
            influence=Influence(clients=(name,)),
        )
        samples = sent_by(name, planned)
        measure(rpc.prepare(planned), planned.load, Watcher())
    _, *by_library, _, by_engine = seen
    assert [one.reason for one in samples] == [""] * 6
    assert {message for message, _ in by_library} == {by_engine[0]}
    assert {metadata["x-key"] for _, metadata in by_library} == {"a b"}
    assert len({metadata["traceparent"] for _, metadata in by_library}) == 8


@pytest.mark.parametrize("name", RPC)
def test_grpc_errors_have_reasons(name: str) -> None:
    with echo([], fail=True) as port:
        planned = Plan(
            Payloads(PAYLOAD),
            Targets(grpc_server=f"{HOST}:{port}"),
            load=Workload(concurrency=2),
            influence=Influence(clients=(name,)),
        )
        samples = sent_by(name, planned)
    assert [one.reason for one in samples] == ["RESOURCE_EXHAUSTED"] * 6


@pytest.mark.parametrize("name", RPC)
def test_grpc_under_tls(name: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    with echo([], credentials=grpc.ssl_server_credentials([grpc_pair(authority)])) as port:
        planned = Plan(
            Payloads(PAYLOAD),
            Targets(grpc_server=f"grpcs://{HOST}:{port}"),
            tls=Tls(cacert=ca_file(authority, tmp_path)),
            influence=Influence(clients=(name,)),
        )
        assert [one.reason for one in sent_by(name, planned)] == [""] * 6


@pytest.mark.parametrize("name", HTTP)
@pytest.mark.parametrize("insecure", [True, False])
def test_tls_is_trusted_as_the_plan_says(name: str, insecure: bool, tmp_path: Path) -> None:
    authority = trustme.CA()
    with serving(under_tls(context(authority), answering(reply()))) as port:
        planned = Plan(
            Payloads(PAYLOAD),
            Targets(rest_url=f"https://{HOST}:{port}"),
            tls=Tls(insecure=insecure, cacert=None if insecure else ca_file(authority, tmp_path)),
            influence=Influence(clients=(name,)),
        )
        assert [one.reason for one in sent_by(name, planned)] == [""] * 6

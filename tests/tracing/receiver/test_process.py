"""The receiver's process: where it listens, that it forwards, and that it ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from tests.servers import free_ports
from tests.tracing.otlp_samples import PARENT
from tests.tracing.receiver.talk import (
    JSON,
    batch,
    call,
    collected,
    json_batch,
    new_trace,
    post,
    works,
)
from tracebench.model.errors import UsageError
from tracebench.tracing.receiver.client import Receiver
from tracebench.tracing.receiver.completeness import Roots
from tracebench.tracing.receiver.messages import Fetch
from tracebench.tracing.receiver.process import fetched
from tracebench.tracing.receiver.settings import Bind, Bounds, bind_of
from tracebench.tracing.receiver.store import Batch, Store


def is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def soon(condition: Callable[[], bool], within_s: float = 10.0) -> bool:
    deadline_s = time.monotonic() + within_s
    while not condition() and time.monotonic() < deadline_s:
        time.sleep(0.01)
    return condition()


@pytest.mark.parametrize(
    ("text", "bind"),
    [
        ("127.0.0.1:4317", Bind("127.0.0.1", 4317, 4318)),
        ("localhost", Bind("localhost", 4317, 4318)),
        ("[::1]:9000", Bind("::1", 9000, 9001)),
        ("0.0.0.0:5", Bind("0.0.0.0", 5, 6)),
        ("127.0.0.1:0", Bind("127.0.0.1", 0, 0)),
    ],
)
def test_addresses(text: str, bind: Bind) -> None:
    assert bind_of(text) == bind
    assert bind.is_loopback == (bind.host != "0.0.0.0")


@pytest.mark.parametrize(
    "text", ["", ":4317", "x:y", "h:65535", "h:99999", "http://h:1", "h:", "u@h"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="cannot receive OTLP at"):
        bind_of(text)


def test_localhost_is_127_0_0_1() -> None:
    with Receiver("localhost:0") as receiver:
        port = receiver.http_address.rsplit(":", 1)[1]
        with socket.create_connection(("127.0.0.1", int(port)), timeout=10):
            assert works(receiver)


def test_ipv6() -> None:
    with Receiver("[::1]:0") as receiver:
        assert receiver.http_address.startswith("[::1]:")
        assert works(receiver)


def test_ports_as_asked() -> None:
    port = free_ports()
    with Receiver(f"127.0.0.1:{port}") as receiver:
        assert receiver.grpc_address == f"127.0.0.1:{port}"
        assert receiver.http_address == f"127.0.0.1:{port + 1}"
        with pytest.raises(UsageError, match="--receive-otlp"):
            Receiver(f"127.0.0.1:{port}")
        with pytest.raises(UsageError, match=f"{port + 1}: Address already in use"):
            Receiver(f"127.0.0.1:{port + 1}")


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_hosts_that_are_not_here(host: str) -> None:
    with pytest.raises(UsageError, match=host):
        Receiver(f"{host}:4317")


def test_it_ends_when_it_is_closed() -> None:
    with Receiver("127.0.0.1:0") as receiver:
        pid = receiver.pid
        assert is_running(pid)
    assert not is_running(pid)


def test_it_dies_with_its_parent() -> None:
    code = (
        "from tracebench.tracing.receiver.client import Receiver; import time\n"
        "print(Receiver('127.0.0.1:0').pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_running(pid)
        parent.kill()
    assert soon(lambda: not is_running(pid))


def test_its_death_loses_only_what_it_had() -> None:
    with Receiver("127.0.0.1:0") as receiver:
        os.kill(receiver.pid, signal.SIGKILL)
        assert soon(lambda: not is_running(receiver.pid))
        received = receiver.collect(Roots.of({new_trace(): PARENT}))
    assert (received.joined, list(received.spans)) == (0, [])
    assert received.ended_by == "the receiver's process no longer answers"


def test_what_cannot_be_read_is_counted_and_answered_all_the_same() -> None:
    store, trace_id = Store(Bounds()), new_trace()
    for spans, body in ((2, batch(trace_id, 2)), (3, b"no protobuf")):
        store.add(Batch("protobuf", 0, spans, body))
    answer = fetched(store, Fetch(1 << 20))
    assert (list(answer.come.spans), len(answer.come.arrivals_ns)) == ([], 0)
    [(reason, lost)] = answer.counts.items()
    assert (reason.startswith("spans that could not be read ("), lost) == (True, 5)
    store.add(Batch("protobuf", 0, 2, batch(trace_id, 2)))
    assert len(fetched(store, Fetch(1 << 20)).come.spans) == 2


def test_an_interrupt_is_for_the_parent() -> None:
    with Receiver("127.0.0.1:0") as receiver:
        os.kill(receiver.pid, signal.SIGINT)
        assert works(receiver)


@pytest.mark.parametrize("over", ["http", "grpc"])
def test_forwarding(over: str) -> None:
    with Receiver("127.0.0.1:0") as last:
        url = f"http://{last.http_address}" if over == "http" else last.grpc_address
        with Receiver("127.0.0.1:0", forward=url) as first:
            one, other = new_trace(), new_trace()
            post(first, json_batch(one), JSON)
            assert first.collect(Roots.of({one: PARENT})).forwarded == 1
            call(first, batch(other, 5))
            received = first.collect(Roots.of({other: PARENT}))
        assert (received.joined, received.forwarded, received.forward_failed) == (1, 6, 0)
        assert collected(last, one, other).joined == 2


def test_what_cannot_be_forwarded_is_counted() -> None:
    nowhere = f"http://127.0.0.1:{free_ports()}"
    with Receiver("127.0.0.1:0", nowhere, Bounds(queued_bytes=1000)) as receiver:
        trace_id = new_trace()
        post(receiver, batch(trace_id, 3))
        post(receiver, batch(trace_id, 400))  # finds no room
        received = receiver.collect(Roots.of({trace_id: PARENT}))
    assert (received.joined, received.forwarded, received.forward_failed) == (1, 0, 403)


def test_a_malformed_endpoint_is_an_error() -> None:
    with pytest.raises(UsageError, match="ftp"):
        Receiver("127.0.0.1:0", forward="ftp://x")

"""Starting and ending: in this process, as a child, and from the command line."""

import signal
import socket
import threading
from pathlib import Path

import grpc
import pytest
import requests

from tests.example.pictures import COFFEE
from tests.example.programs import LIMIT_S, program, told
from tracebench.example.serve import running, spawned
from tracebench.model.errors import TracebenchError


def reachable(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except ConnectionRefusedError:
        return False
    return True


def classified(rest_url: str) -> bool:
    reply = requests.post(f"{rest_url}/predict", data=COFFEE, timeout=LIMIT_S)
    return bool(reply.json()["predictions"][0]["label"] == "espresso")


def test_nothing_is_left_behind() -> None:
    before = threading.active_count()
    with running() as addresses, requests.Session() as session:
        kept = session.get(f"{addresses.rest_url}/healthz")
        assert kept.status_code == 200
        assert reachable(addresses.grpc_server)
        ports = [addresses.rest_url.removeprefix("http://"), addresses.grpc_server]
    assert not any(reachable(port) for port in ports)
    assert threading.active_count() <= before + 1  # grpcio keeps one for its channels


def test_a_port_may_be_used_again_at_once() -> None:
    with running() as first:
        rest_port = int(first.rest_url.rpartition(":")[2])
        grpc_port = int(first.grpc_server.rpartition(":")[2])
    with running(rest_port=rest_port, grpc_port=grpc_port) as second:
        assert second == first
        assert classified(second.rest_url)


def test_ipv6() -> None:
    with running(host="::1") as addresses:
        assert addresses.rest_url.startswith("http://[::1]:")
        assert classified(addresses.rest_url)
        with grpc.insecure_channel(addresses.grpc_server) as channel:
            grpc.channel_ready_future(channel).result(timeout=LIMIT_S)


@pytest.mark.parametrize("which", ["rest_port", "grpc_port"])
def test_a_port_that_is_taken(which: str, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ports = {which: port}
        with pytest.raises(TracebenchError) as caught, running(**ports):
            pass
    assert str(caught.value) == (
        f"cannot listen on 127.0.0.1:{port} (Address already in use): choose another host or port"
    )
    assert capfd.readouterr().err == ""


def test_both_on_one_port() -> None:
    with running() as free:
        port = int(free.rest_url.rpartition(":")[2])
    with pytest.raises(TracebenchError, match=str(port)), running(rest_port=port, grpc_port=port):
        pass


@pytest.mark.parametrize(
    ("host", "why"),
    [("192.0.2.1", "Cannot assign requested address"), ("nowhere.invalid", "not known|failure in")],
)
def test_a_host_that_is_not_ours(host: str, why: str) -> None:
    with pytest.raises(TracebenchError, match=f"{host}:0 .*({why})"), running(host=host):
        pass


def test_a_child_serves_and_ends() -> None:
    with spawned() as addresses:
        assert classified(addresses.rest_url)
        assert reachable(addresses.grpc_server)
    assert not reachable(addresses.grpc_server)


def test_a_child_ends_with_a_failure_of_ours() -> None:
    with pytest.raises(ZeroDivisionError), spawned() as addresses:
        raise ZeroDivisionError
    assert not reachable(addresses.grpc_server)


OWNER = """
from tracebench.example.serve import spawned
with spawned() as addresses:
    print("ready", addresses.grpc_server, sep="\\n", flush=True)
    input()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_child_ends_however_we_end(number: signal.Signals) -> None:
    with program("-c", OWNER) as owner:
        ready, grpc_server = told(owner)
        assert ready == "ready"
        owner.send_signal(number)
        owner.communicate(timeout=LIMIT_S)  # both held its standard error: both have ended
        assert owner.returncode == -number
    assert not reachable(grpc_server)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_told_to_end(number: signal.Signals) -> None:
    with program("-m", "tracebench", "serve", "--rest-port=0", "--grpc-port=0") as process:
        rest, rpc = told(process)
        assert rest.startswith("REST  http://127.0.0.1:")
        assert classified(rest.removeprefix("REST  ").removesuffix("/predict"))
        assert reachable(rpc.removeprefix("gRPC  "))
        process.send_signal(number)
        _, complaints = process.communicate(timeout=LIMIT_S)
        assert (process.returncode, complaints) == (0, "")


@pytest.fixture
def no_onnxruntime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = "raise ModuleNotFoundError(\"No module named 'onnxruntime'\", name='onnxruntime')"
    (tmp_path / "onnxruntime.py").write_text(missing)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


MISSING = "tracebench: the example server needs onnxruntime: pip install 'tracebench[example]'\n"


@pytest.mark.usefixtures("no_onnxruntime")
def test_a_missing_package() -> None:
    with program("-m", "tracebench", "serve", "--rest-port=0", "--grpc-port=0") as process:
        output, complaints = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, output, complaints) == (2, "", MISSING)


@pytest.mark.usefixtures("no_onnxruntime")
def test_a_child_that_does_not_start(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TracebenchError, match="did not start"), spawned():
        pass
    assert capfd.readouterr().err == MISSING


def test_help_needs_no_model() -> None:
    script = "import sys, tracebench.cli; print([m for m in sys.modules if '.example' in m])"
    with program("-c", script) as process:
        output, _ = process.communicate(timeout=LIMIT_S)
    assert output.strip() == "[]"

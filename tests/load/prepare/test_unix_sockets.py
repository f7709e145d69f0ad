"""Unix sockets: how they are written, what can be wrong with them, and the engine on one."""

import os
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.load import engines
from tests.load.engine.test_sent_again import check_times
from tests.load.engines import outcomes
from tests.records import exchanges_of
from tests.servers import Script, answering, read_request, reply, serving
from tracebench.load.engine.endpoint import Endpoint, resolve_unix
from tracebench.load.engine.engine import Engine
from tracebench.load.engine.loop import Loop
from tracebench.load.engine.memory_mapped import MappedConnection
from tracebench.load.engine.pacing import ClosedLoop
from tracebench.load.prepare import unix_sockets
from tracebench.load.wire.http1 import read_reply
from tracebench.model.errors import TargetError, UsageError
from tracebench.model.record.exchange import Exchange, Lost, Outcome, Stamp
from tracebench.tracing.roots.trace_ids import IdSource


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http+unix://%2Frun%2FModel.sock/v1/predict?x=1", None),
        ("http://127.0.0.1:5000/predict", None),
        ("http://unix:5000/predict", None),
        ("unix:/run/Model.sock", "http+unix://%2Frun%2FModel.sock"),
        ("unix:///run/Model.sock", "http+unix://%2Frun%2FModel.sock"),
        ("unix:///run/Model.sock:/v1?x=1", "http+unix://%2Frun%2FModel.sock/v1?x=1"),
        ("unix:/run/m.sock:", "http+unix://%2Frun%2Fm.sock"),
        ("unix:run/a b.sock:/v1", "http+unix://run%2Fa%20b.sock/v1"),
        ("http://unix:/run/m.sock:/v1", "http+unix://%2Frun%2Fm.sock/v1"),
        ("UNIX:/run/m.sock", "http+unix://%2Frun%2Fm.sock"),
    ],
)
def test_urls_of_unix_sockets(url: str, expected: str | None) -> None:
    assert unix_sockets.rest_url(url) == (expected or url)


@pytest.mark.parametrize(
    "url",
    ["unix://run/m.sock", "http+unix:///run/m.sock", "http+unix://", "https+unix://%2Fm.sock/"],
)
def test_urls_that_name_no_socket(url: str) -> None:
    with pytest.raises(UsageError, match=r"--rest-url .*http\+unix://%2Ftmp") as raised:
        unix_sockets.rest_url(url)
    assert url in str(raised.value)


def test_the_path_and_the_url_for_a_library() -> None:
    url = "http+unix://%2Frun%2FModel.sock/v1?x=1"
    assert unix_sockets.rest_path(url) == "/run/Model.sock"
    assert unix_sockets.over_tcp(url) == "http://localhost/v1?x=1"
    assert unix_sockets.rest_path("http://host/") is None
    assert unix_sockets.over_tcp("http://host/") == "http://host/"


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("unix:/run/m.sock", "/run/m.sock"),
        ("unix:///run/m.sock", "/run/m.sock"),
        ("unix:m.sock", "m.sock"),
        ("unix://m.sock", None),
        ("unix:", None),
        ("127.0.0.1:50051", None),
        ("unix-abstract:m", None),
    ],
)
def test_addresses_of_grpc(address: str, path: str | None) -> None:
    assert unix_sockets.grpc_path(address) == path


def test_what_can_be_wrong_with_a_path(folder: Path) -> None:
    (folder / "file").write_text("")
    stale = str(folder / "stale")
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(stale)
    for path, why in {
        str(folder / "none"): "no such file or directory): is the server running",
        str(folder / "file"): "it is not a socket): give the path",
        str(folder / "file" / "x"): "not a directory): is the server running",
        stale: "connection refused): is the server running",
        str(
            folder / ("x" * 150)
        ): f"{151 + len(str(folder))} bytes): at most 107 bytes are allowed",
    }.items():
        with pytest.raises(TargetError) as raised:
            resolve_unix(path)
        assert f"cannot connect to the Unix socket {path!r} ({why}" in str(raised.value)


def test_a_socket_of_another_kind(folder: Path) -> None:
    path = str(folder / "datagrams")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        with pytest.raises(TargetError, match="it is not a stream socket"):
            resolve_unix(path)


@pytest.fixture
def nobody() -> Iterator[None]:
    """Root may do everything; so be someone else for a while."""
    before = os.geteuid()
    if not before:
        os.seteuid(65_534)
    yield
    os.seteuid(before)


def test_a_socket_that_is_not_ours(folder: Path, request: pytest.FixtureRequest) -> None:
    path = str(folder / "closed")
    with serving(answering(reply()), path=path):
        Path(path).chmod(0)
        request.getfixturevalue("nobody")
        with pytest.raises(TargetError) as raised:
            resolve_unix(path)
    assert "(permission denied): connecting needs write permission" in str(raised.value)


def engine(endpoint: Endpoint, loop: Loop, slots: int) -> Engine:
    return Engine(
        loop,
        partial(MappedConnection, loop, endpoint, [engines.request()]),
        slots=slots,
        channels=slots,
        timeout_ns=5 * 10**9,
        source=IdSource(),
    )


def run_on(path: str, script: Script, requests: int) -> list[Exchange]:
    loop = Loop()
    with serving(script, path=path):
        one = engine(resolve_unix(path), loop, 3)
        assert one.connect(3) == ""
        assert one.channels[0].is_local()
        window = one.run(ClosedLoop(requests), lambda _progress: None)
        assert one.channels[0].path_states() == []
        for channel in one.channels:
            channel.close()
    loop.close()
    return exchanges_of(window, read_reply)


def test_the_engine_on_one(folder: Path) -> None:
    found = run_on(str(folder / "s"), answering(reply()), 60)
    assert outcomes(found) == {(Outcome.SUCCEEDED, ""): 60}
    assert {one.stamp for one in found} == {Stamp.USER}
    check_times(found)


def test_a_request_that_crosses_the_end_of_a_connection(folder: Path) -> None:
    found = run_on(str(folder / "s"), answering(reply(), close_after=1), 30)
    assert outcomes(found) == {(Outcome.SUCCEEDED, ""): 30}
    assert all(one.connect_ns > 0 for one in found[3:])
    assert Lost.CLOSED in {one.lost for one in found}
    check_times(found)


def test_a_socket_that_is_taken_away(folder: Path) -> None:
    path = folder / "s"

    def script(connection: socket.socket) -> None:
        if read_request(connection):
            path.unlink(missing_ok=True)
            connection.sendall(reply(b"ok", "200 OK", "Connection: close"))

    found = run_on(str(path), script, 6)
    reason = "cannot connect: no such file or directory"
    assert outcomes(found) == {(Outcome.SUCCEEDED, ""): 3, (Outcome.FAILED, reason): 3}


def test_a_backlog_that_is_full_is_waited_for(folder: Path) -> None:
    """A Unix socket refuses at once where TCP would send its SYN again."""
    path, loop = str(folder / "s"), Loop()
    with serving(answering(reply()), backlog=0, path=path):
        one = engine(resolve_unix(path), loop, 30)
        assert one.connect(30) == ""
        for channel in one.channels:
            channel.close()
    loop.close()


def test_a_backlog_that_stays_full_runs_into_the_time_out(folder: Path) -> None:
    path, loop = str(folder / "s"), Loop()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(0)
        endpoint = Endpoint("localhost", 0, socket.AF_UNIX, path, tls=None)
        one = Engine(
            loop,
            partial(MappedConnection, loop, endpoint, [engines.request()]),
            slots=3,
            channels=3,
            timeout_ns=50_000_000,
            source=IdSource(),
        )
        assert "of 3 connections were opened: no answer within 0.05 s" in one.connect(3)
        for channel in one.channels:
            channel.close()
    loop.close()

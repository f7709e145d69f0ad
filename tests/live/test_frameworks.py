"""The same servers with and without the middleware: the same bytes, and times that are right."""

import importlib.util
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.live.frameworks.serve import SERVERS
from tests.middleware.serving import HOST, serving_process
from tests.middleware.span_samples import TRACEPARENT
from tests.middleware.test_end_to_end import measure
from tests.middleware.timed_parts import SECONDS
from tests.servers import free_ports

pytestmark = pytest.mark.live

REQUESTS, CONCURRENCY = 200, 4
UNASKED = ""
ASKED = f"X-Benchmark: 1\r\ntraceparent: {TRACEPARENT}\r\n"
IN_PRODUCTION = f"traceparent: {TRACEPARENT}\r\n"
HOW = {"unasked": UNASKED, "asked": ASKED, "sampled": IN_PRODUCTION}

PATHS = {
    "plain": "POST /predict",
    "empty": "HEAD /predict",
    "missing": "GET /nowhere",
    "streaming": "GET /stream",
    "failing": "GET /fail",
    "failing in the body": "GET /break",
}
ANSWER = b"7 bytes of espresso"
_MIRROR = re.compile(rb"(?:x-timing-info|server-timing): .*\r\n", re.IGNORECASE)
_DATE = re.compile(rb"date: .*\r\n", re.IGNORECASE)


@contextmanager
def serving(name: str, kind: str) -> Iterator[int]:
    port = free_ports()
    command = [sys.executable, "-m", "tests.live.frameworks.serve", name, str(port), kind]
    ordered = {**os.environ, "PYTHONHASHSEED": "0"}  # `Allow` is written from a set
    with serving_process(command, port, stdout=subprocess.DEVNULL, env=ordered):
        yield port


def reply(port: int, line: str, headers: str) -> bytes:
    """All bytes of the reply to one request, on a connection of its own."""
    body = b"picture" if line.startswith("POST") else b""
    head = f"{line} HTTP/1.1\r\nHost: models.test\r\nConnection: close\r\n{headers}"
    head += f"Content-Length: {len(body)}\r\n\r\n" if body else "\r\n"
    with socket.create_connection((HOST, port), 10) as connection:
        connection.sendall(head.encode() + body)
        return b"".join(iter(lambda: _received(connection), b""))


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65_536)
    except ConnectionResetError:
        return b""


def replies(port: int) -> dict[tuple[str, str], bytes]:
    return {
        (what, how): _DATE.sub(b"", reply(port, line, headers))
        for what, line in PATHS.items()
        for how, headers in HOW.items()
    }


def hang_up(port: int) -> None:
    """Take the first bytes of an endless reply, and go."""
    with socket.create_connection((HOST, port), 10) as connection:
        request = f"GET /endless HTTP/1.1\r\nHost: models.test\r\n{ASKED}\r\n"
        connection.sendall(request.encode())
        assert b"200" in connection.recv(65_536)


@pytest.fixture(params=SERVERS)
def name(request: pytest.FixtureRequest) -> str:
    given: str = request.param
    needed = SERVERS[given].needs
    if importlib.util.find_spec(needed) is None:
        pytest.skip(f"no {needed}: make live installs it")
    return given


def test_the_bytes_are_the_same(name: str) -> None:
    with serving(name, "bare") as bare, serving(name, "timed") as timed:
        expected, found = replies(bare), replies(timed)
        assert ANSWER in expected["plain", "unasked"]
        assert b"token 2" in expected["streaming", "unasked"]
        for (what, how), bytes_ in found.items():
            mirrored = _MIRROR.findall(bytes_)
            assert _MIRROR.sub(b"", bytes_) == expected[what, how], (what, how)
            assert not mirrored or how != "unasked", (what, how)
        for what in ("plain", "streaming"):
            assert len(_MIRROR.findall(found[what, "asked"])) == 2, what


def test_a_client_that_hangs_up_leaves_a_server_that_answers(name: str) -> None:
    with serving(name, "timed") as port:
        for _ in range(8):
            hang_up(port)
        answer = reply(port, "POST /predict", ASKED)
    assert ANSWER in answer
    assert len(_MIRROR.findall(answer)) == 2


def test_every_request_is_decomposed_and_the_parts_are_right(name: str, tmp_path: Path) -> None:
    with serving(name, "timed") as port:
        target = ["--rest-url", f"http://{HOST}:{port}/predict"]
        found = measure(tmp_path, target, CONCURRENCY, REQUESTS)
        readings = httpx.get(f"http://{HOST}:{port}/readings", trust_env=False).json()
    assert found["requests"]["succeeded"] == REQUESTS
    assert found["decomposed"] >= 0.99 * REQUESTS
    assert found["components"].keys() >= SECONDS.keys()
    for part in SECONDS:  # by the server's own clock: uvloop sleeps in whole ms, or not at all
        mean_ms = found["components"][part]["mean_ms"]
        told_ms = pytest.approx(readings[part], rel=0.05, abs=0.25)  # it counts the preflight too
        assert mean_ms == told_ms, part

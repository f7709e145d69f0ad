"""What the libraries prepare is what the engine sends: both are seen by a real server."""

import re
import socket
import threading
from pathlib import Path

import pytest

from tests.plans import plan_of
from tests.servers import HOST, keeping, read_request, reply, serving
from tracebench.load.measuring.measure import measure
from tracebench.load.prepare import rest
from tracebench.load.prepare.grpc_preflight import split_address
from tracebench.load.prepare.rest import complete_url
from tracebench.load.progress import Watcher
from tracebench.model.errors import UsageError
from tracebench.model.plan import Payload, Payloads, Plan, Targets, Workload

PAYLOAD = Payload(b"\x89PNG", "image/png", "x.png", "image")
IDS = re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-01")


def seen(plan: Plan, port: int, requests: list[bytes]) -> list[bytes]:
    """Run the plan; returns the requests that the server got, ids made alike."""
    prepared = rest.prepare(plan)
    measure(prepared, plan.load, Watcher())
    return [IDS.sub(b"IDS", request) for request in requests]


def captured(url: str, payload: Payload = PAYLOAD, **more: object) -> list[bytes]:
    requests: list[bytes] = []
    with serving(keeping(requests)) as port:
        plan = plan_of(payload, rest_url=url.format(port=port), requests=3, **more)
        return [one.replace(str(port).encode(), b"PORT") for one in seen(plan, port, requests)]


def lines(request: bytes) -> set[bytes]:
    return set(request.partition(b"\r\n\r\n")[0].split(b"\r\n"))


def test_the_engine_repeats_what_requests_sent() -> None:
    preflight, *repeated = captured(f"http://{HOST}:{{port}}")
    assert len(repeated) == 3
    for request in repeated:
        assert lines(request) == lines(preflight)
        assert request.partition(b"\r\n\r\n")[2] == preflight.partition(b"\r\n\r\n")[2]


def test_a_multipart_form() -> None:
    request = captured(f"http://{HOST}:{{port}}", field="picture")[-1]
    assert request.startswith(b"POST /predict HTTP/1.1\r\n")
    assert b"Host: 127.0.0.1:PORT" in lines(request)
    assert b"X-Benchmark: 1" in lines(request)
    assert b"traceparent: IDS" in lines(request)
    assert b'name="picture"; filename="x.png"' in request
    assert b"Content-Type: image/png\r\n\r\n\x89PNG\r\n" in request


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (Payload(b"raw", "image/jpeg", "x", "data"), b"image/jpeg"),
        (Payload(b'{"a": 1}', "application/json", "x", "json"), b"application/json"),
    ],
)
def test_bodies_as_they_are(payload: Payload, kind: bytes) -> None:
    request = captured(f"http://{HOST}:{{port}}/v2/x?q=1", payload, method="PUT")[-1]
    assert request.startswith(b"PUT /v2/x?q=1 HTTP/1.1\r\n")
    assert b"Content-Type: " + kind in lines(request)
    assert request.endswith(b"\r\n\r\n" + payload.content)


def test_headers_and_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine {HOST} login me password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    request = captured(f"http://{HOST}:{{port}}", headers=(("X-Key", "k"), ("Host", "model")))[-1]
    assert {b"X-Key: k", b"Host: model", b"Authorization: Basic bWU6c2VjcmV0"} <= lines(request)


def test_a_header_of_the_users_wins_over_the_tools_own() -> None:
    request = captured(f"http://{HOST}:{{port}}", headers=(("user-agent", "mine"),))[-1]
    assert b"user-agent: mine" in {
        line.replace(b"User-Agent", b"user-agent") for line in lines(request)
    }
    assert b"tracebench" not in request


def test_ipv6() -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6 loopback address")

    def serve() -> None:
        for _ in range(3):  # the look-up's probe, the preflight, the run
            connection, _address = listener.accept()
            with connection:
                while read_request(connection):
                    connection.sendall(reply())

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    plan = Plan(
        Payloads(PAYLOAD),
        Targets(rest_url=f"http://[::1]:{listener.getsockname()[1]}"),
        load=Workload(requests=4),
    )
    load = measure(rest.prepare(plan), plan.load, Watcher())
    thread.join(5)
    listener.close()
    assert [one.reason for one in list(load.requests)] == [""] * 4


@pytest.mark.parametrize(
    ("url", "complete"),
    [
        ("http://h", "http://h/predict"),
        ("http://h:5000/", "http://h:5000/predict"),
        ("https://h/v1/x?a=b#c", "https://h/v1/x?a=b"),
        ("http://[::1]:80", "http://[::1]:80/predict"),
    ],
)
def test_urls(url: str, complete: str) -> None:
    assert complete_url(url) == complete


@pytest.mark.parametrize("url", ["", "h:5000", "ftp://h", "http://", "http://h:x", "http://[::1"])
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(UsageError, match="--rest-url"):
        complete_url(url)


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("h:1", (False, "h", 1)),
        ("grpcs://h.example:443", (True, "h.example", 443)),
        ("grpc://[::1]:50051", (False, "::1", 50051)),
    ],
)
def test_grpc_addresses(address: str, parts: tuple[bool, str, int]) -> None:
    assert split_address(address) == parts


@pytest.mark.parametrize(
    "address", ["", "h", "h:", ":1", "h:0", "h:65536", "::1:1", "a b:1", "h:1/x"]
)
def test_grpc_addresses_that_are_none(address: str) -> None:
    with pytest.raises(UsageError, match="--grpc-server"):
        split_address(address)

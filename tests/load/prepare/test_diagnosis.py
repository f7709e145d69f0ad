"""What a failed first exchange means: one line over both protocols, against real TLS servers."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from tests.load.predicting import predicting
from tests.plans import plan_of
from tests.servers import HOST, Script, answering, reply, serving
from tests.tls import context, grpc_pair, under_tls
from tracebench.load.engine.endpoint import client_tls
from tracebench.load.engine.pacing import ClosedLoop
from tracebench.load.measuring.measure import measure
from tracebench.load.peers import clients
from tracebench.load.peers.clients import Job
from tracebench.load.prepare import rest, rpc
from tracebench.load.prepare.targets import check_plan
from tracebench.load.progress import Watcher
from tracebench.model.errors import TargetError, TracebenchError, UsageError
from tracebench.model.plan import Influence, Payload, Payloads, Plan, Targets, Tls

PAYLOAD = Payload(b"{}", "application/json", "x.json", "data")
JSON = Payload(b"{}", "application/json", "x.json", "json")


@dataclass(frozen=True)
class Files:
    """PEM files of an authority, of a client that it vouches for, and of another one."""

    authority: trustme.CA
    ca: str
    cert: str
    key: str
    other_key: str
    sealed_key: str
    both: str


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder, authority = tmp_path_factory.mktemp("tls"), trustme.CA()
    client, other = authority.issue_cert("client@x"), authority.issue_cert("other@x")
    key = serialization.load_pem_private_key(client.private_key_pem.bytes(), None)
    sealed = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"hunter2"),
    )
    contents = {
        "ca": authority.cert_pem.bytes(),
        "cert": client.cert_chain_pems[0].bytes(),
        "key": client.private_key_pem.bytes(),
        "other_key": other.private_key_pem.bytes(),
        "sealed_key": sealed,
        "both": client.private_key_and_cert_chain_pem.bytes(),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return Files(authority, **{name: str(folder / name) for name in contents})


def answering_under_tls(files: Files, *, asks: bool, newest: bool = True) -> Script:
    made = context(files.authority)
    if not newest:
        made.maximum_version = ssl.TLSVersion.TLSv1_2
    if asks:
        made.verify_mode = ssl.CERT_REQUIRED
        files.authority.configure_trust(made)
    return under_tls(made, answering(reply()))


@contextmanager
def grpc_server(files: Files, *, asks: bool = False) -> Iterator[int]:
    credentials = grpc.ssl_server_credentials(
        [grpc_pair(files.authority)], files.authority.cert_pem.bytes() if asks else None, asks
    )
    with predicting(lambda _message, _context: b"", credentials) as port:
        yield port


def refusal(**options: Any) -> str:
    """Why the preflight refuses a target, in one line without a Python repr."""
    plan = plan_of(**{"payload": PAYLOAD, "timeout_s": 1.5, **options})
    with pytest.raises(TracebenchError) as refused:
        rest.prepare(plan) if plan.targets.rest_url else rpc.prepare(plan)
    said = str(refused.value)
    assert "\n" not in said
    assert "Error(" not in said
    assert "_ssl.c" not in said
    return said


def reflecting(address: str) -> dict[str, Any]:
    return {"grpc_server": address, "grpc_method": "a.B/C", "payload": JSON}


@pytest.mark.parametrize("newest", [True, False])
def test_plain_against_tls(files: Files, newest: bool) -> None:
    with serving(answering_under_tls(files, asks=False, newest=newest)) as port:
        assert "try https://" in refusal(rest_url=f"http://{HOST}:{port}")
        assert "try grpcs://" in refusal(grpc_server=f"{HOST}:{port}")
        assert "try grpcs://" in refusal(**reflecting(f"{HOST}:{port}"))
        assert "try https://" in refusal(rest_url=f"http://{HOST}:{port}", oip="m")


def test_plain_against_tls_that_asks_for_a_certificate(files: Files) -> None:
    with serving(answering_under_tls(files, asks=True)) as port:
        assert "try https://" in refusal(rest_url=f"http://{HOST}:{port}")


def test_tls_against_plain() -> None:
    def script(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(reply(b"", "400 Bad Request"))

    with serving(script) as port:
        assert "try http://" in refusal(rest_url=f"https://{HOST}:{port}")
        assert "try http://" in refusal(rest_url=f"https://{HOST}:{port}", oip="m")
        assert "try grpc://" in refusal(grpc_server=f"grpcs://{HOST}:{port}")
        assert "try grpc://" in refusal(**reflecting(f"grpcs://{HOST}:{port}"))


@pytest.mark.parametrize("newest", [True, False])
def test_a_client_certificate_that_is_not_given(files: Files, newest: bool) -> None:
    with serving(answering_under_tls(files, asks=True, newest=newest)) as port:
        said = refusal(rest_url=f"https://{HOST}:{port}", cacert=files.ca)
        assert "--cert FILE and --key FILE" in said
        assert "--insecure" not in said
        said = refusal(rest_url=f"https://{HOST}:{port}", cacert=files.ca, oip="m")
        assert "--cert FILE and --key FILE" in said
        said = refusal(grpc_server=f"grpcs://{HOST}:{port}", cacert=files.ca)
        assert "--cert FILE and --key FILE" in said


def test_grpcs_without_a_client_certificate(files: Files) -> None:
    with grpc_server(files, asks=True) as port:
        for options in (
            {"grpc_server": f"grpcs://{HOST}:{port}"},
            reflecting(f"grpcs://{HOST}:{port}"),
        ):
            assert "--cert FILE and --key FILE" in refusal(cacert=files.ca, **options)


def test_a_client_certificate_that_is_not_accepted(files: Files, tmp_path: Path) -> None:
    stranger = trustme.CA().issue_cert("stranger@x")
    cert = tmp_path / "stranger.pem"
    stranger.private_key_and_cert_chain_pem.write_to_path(str(cert))
    with serving(answering_under_tls(files, asks=True)) as port:
        said = refusal(rest_url=f"https://{HOST}:{port}", cacert=files.ca, cert=str(cert))
    assert "does not accept --cert" in said


@pytest.mark.parametrize("one_file", [True, False])
@pytest.mark.parametrize("name", ["requests", "httpx", "aiohttp"])
def test_a_client_certificate_over_rest(files: Files, name: str, one_file: bool) -> None:
    pair: dict[str, Any] = (
        {"cert": files.both} if one_file else {"cert": files.cert, "key": files.key}
    )
    with serving(answering_under_tls(files, asks=True)) as port:
        plan = plan_of(
            PAYLOAD, rest_url=f"https://{HOST}:{port}", cacert=files.ca, clients=(name,), **pair
        )
        prepared = rest.prepare(plan)
        load = measure(prepared, plan.load, Watcher())
        (send,) = clients.load_libraries(plan)["rest"].values()
        samples = send(Job(prepared, plan.load.concurrency, ClosedLoop(1), ClosedLoop(4)))
    assert {one.reason for one in load.requests} == {""}
    assert [one.reason for one in samples] == [""] * 4


@pytest.mark.parametrize("name", ["grpcio", "grpc.aio"])
def test_a_client_certificate_over_grpc(files: Files, name: str) -> None:
    with grpc_server(files, asks=True) as port:
        plan = Plan(
            Payloads(PAYLOAD),
            Targets(grpc_server=f"grpcs://{HOST}:{port}"),
            tls=Tls(cacert=files.ca, cert=files.cert, key=files.key),
            influence=Influence(clients=(name,)),
        )
        prepared = rpc.prepare(plan)
        load = measure(prepared, plan.load, Watcher())
        (send,) = clients.load_libraries(plan)["grpc"].values()
        samples = send(Job(prepared, plan.load.concurrency, ClosedLoop(1), ClosedLoop(4)))
    assert {one.reason for one in load.requests} == {""}
    assert [one.reason for one in samples] == [""] * 4


def test_certificates_that_are_not_trusted(files: Files) -> None:
    with serving(answering_under_tls(files, asks=False)) as port:
        assert "trust it with --cacert" in refusal(rest_url=f"https://{HOST}:{port}")
        assert "trust it with --cacert" in refusal(grpc_server=f"grpcs://{HOST}:{port}")
        named = refusal(rest_url=f"https://localhost:{port}", cacert=files.ca)
        assert "a host name that the certificate lists" in named


@pytest.mark.parametrize(
    ("cert", "key", "said"),
    [
        ("cert", "other_key", "does not belong to --cert"),
        ("cert", "sealed_key", "is encrypted"),
        ("cert", "ca", "cannot use --cert"),
        ("cert", None, "cannot use --cert"),
        ("none.pem", "key", "cannot read --cert 'none.pem' (no such file"),
        ("cert", "none.pem", "cannot read --key 'none.pem' (no such file"),
    ],
)
def test_pairs_that_cannot_be_used(files: Files, cert: str, key: str | None, said: str) -> None:
    plan = Plan(
        Payloads(PAYLOAD),
        tls=Tls(cert=getattr(files, cert, cert), key=key and getattr(files, key, key)),
    )
    with pytest.raises(UsageError) as refused:
        client_tls(plan.tls, protocol="h2")
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"key": "k", "rest_url": "https://h"}, "--cert FILE too"),
        ({"cert": "c", "rest_url": "http://h"}, "https:// or grpcs://"),
        ({"cert": "c", "grpc_server": "h:1"}, "https:// or grpcs://"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_plan(plan_of(PAYLOAD, **options))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "closed the connection without a reply"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", "in the middle of a reply"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n{}", "is not valid HTTP/1.1"),
        (reply(b"", "401 Unauthorized"), "HTTP 401 Unauthorized: no text"),
        (reply(b"", "302 Found", "Location: /x?token=abc"), "redirects to /x?token=REDACTED"),
    ],
)
def test_other_failures(answer: bytes, said: str) -> None:
    with serving(answering(answer, close_after=1)) as port:
        assert said in refusal(rest_url=f"http://{HOST}:{port}")


def test_a_rest_server_is_no_grpc_server() -> None:
    with serving(answering(reply())) as port:
        assert "use --rest-url for REST" in refusal(grpc_server=f"{HOST}:{port}")
        assert "use --rest-url for REST" in refusal(**reflecting(f"{HOST}:{port}"))


def test_a_closed_port() -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(TargetError, match="connection refused"):
        rest.prepare(Plan(Payloads(PAYLOAD), Targets(rest_url=f"http://{HOST}:{port}")))

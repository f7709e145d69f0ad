"""`--header` over both protocols: what reaches a real server, and what is refused in one line."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import grpc
import pytest

from tests.load.predicting import predicting
from tests.plans import plan_of
from tests.servers import HOST, keeping, serving
from tracebench.load.measuring.measure import measure
from tracebench.load.prepare import rest, rpc
from tracebench.load.prepare.headers import grpc_metadata, http_headers
from tracebench.load.progress import Watcher
from tracebench.load.wire.grpc_request import GrpcRequest
from tracebench.model.errors import UsageError
from tracebench.model.plan import Calls, Payload, Payloads, Plan, Targets, Workload

PAYLOAD = Payload(b"\x89PNG", "image/png", "x.png", "data")
Headers = tuple[tuple[str, str], ...]


def over_rest(url: str = "http://{address}/p", **more: Any) -> list[str]:
    """The header lines of a measured request."""
    requests: list[bytes] = []
    with serving(keeping(requests)) as port:
        plan = plan_of(PAYLOAD, rest_url=url.format(address=f"{HOST}:{port}"), requests=1, **more)
        measure(rest.prepare(plan), plan.load, Watcher())
    preflight, repeated = (one.partition(b"\r\n\r\n")[0].decode("latin-1") for one in requests)
    told = [line for line in repeated.split("\r\n")[1:] if not line.startswith("traceparent")]
    assert [line for line in told if line not in preflight.split("\r\n")] == []
    return told


@contextmanager
def telling(seen: list[Any]) -> Iterator[str]:
    def predict(_message: bytes, context: grpc.ServicerContext) -> bytes:
        seen.append([tuple(one) for one in context.invocation_metadata()])
        return b""

    with predicting(predict) as port:
        yield f"{HOST}:{port}"


def over_grpc(headers: Headers) -> Sequence[tuple[str, str | bytes]]:
    """The metadata of a measured call."""
    seen: list[Any] = []
    with telling(seen) as address:
        plan = Plan(
            Payloads(PAYLOAD),
            Targets(grpc_server=address),
            calls=Calls(headers=headers),
            load=Workload(requests=1),
        )
        measure(rpc.prepare(plan), plan.load, Watcher())
    told: Sequence[tuple[str, str | bytes]] = seen[-1]
    return told


def test_repeated_and_empty_headers_stay_in_order_over_both() -> None:
    headers = (("X-A", "1"), ("X-B", ""), ("x-a", "2"))
    assert [line for line in over_rest(headers=headers) if line[:2].lower() == "x-"][-3:] == [
        "X-A: 1",
        "X-B: ",
        "x-a: 2",
    ]
    told = [one for one in over_grpc(headers) if one[0].startswith("x-")]
    assert told == [("x-a", "1"), ("x-b", ""), ("x-a", "2")]


def test_authorization_and_user_agent_are_those_given_over_both() -> None:
    headers = (("Authorization", "Bearer tok"), ("User-Agent", "mine"))
    assert {"Authorization: Bearer tok", "User-Agent: mine"} <= set(over_rest(headers=headers))
    told = over_grpc(headers)
    assert ("authorization", "Bearer tok") in told
    assert ("user-agent", "mine") in told


@pytest.mark.parametrize("text", ["AAEC", "AAEC=", "AP8", "AP8=", ""])
def test_values_of_bin_names_are_base64(text: str) -> None:
    told = dict(over_grpc((("X-Ctx-Bin", text),)))
    expected = {"AAEC": b"\0\1\2", "AAEC=": b"\0\1\2", "AP8": b"\0\xff", "AP8=": b"\0\xff", "": b""}
    assert told["x-ctx-bin"] == expected[text]


@pytest.mark.parametrize("text", ["A", "AA-C", "not base64!"])
def test_other_values_of_bin_names_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not base64"):
        grpc_metadata((("x-bin", text),), rest_too=False)


@pytest.mark.parametrize(
    "name",
    ["te", "grpc-timeout", "grpc-encoding", ":path", "Connection", "Content-Length", "Upgrade"],
)
def test_what_gRPC_says_itself_is_refused(name: str) -> None:  # noqa: N802 - its name
    with pytest.raises(UsageError, match=rf"--header '{name.lower()}' is reserved by gRPC"):
        grpc_metadata(((name, "x"),), rest_too=False)


def test_gRPC_takes_ascii_alone_and_the_value_is_not_repeated() -> None:  # noqa: N802 - as above
    with pytest.raises(UsageError, match="only printable ASCII") as refused:
        grpc_metadata((("x", "secré"),), rest_too=False)
    assert "secr" not in str(refused.value)


@pytest.mark.parametrize("reading", [http_headers, partial(grpc_metadata, rest_too=False)])
def test_what_asks_for_timings_is_not_changed_in_silence(reading: Callable[[Any], Any]) -> None:
    for header in (("Traceparent", "00-1-2-01"), ("X-Benchmark", "0")):
        with pytest.raises(UsageError, match=rf"--header '{header[0]}' is set by tracebench"):
            reading((header,))
    assert reading((("X-Benchmark", "1"),)) == ()


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding"])
def test_where_a_rest_request_ends_is_not_for_a_header_to_say(name: str) -> None:
    with pytest.raises(UsageError, match="is derived from the body"):
        http_headers(((name, "1"),))


def test_a_content_type_is_for_rest_where_both_are_measured() -> None:
    headers = (("Content-Type", "application/json"),)
    assert grpc_metadata(headers, rest_too=True) == ()
    with pytest.raises(UsageError, match="reserved"):
        grpc_metadata(headers, rest_too=False)


def test_host_names_the_authority() -> None:
    headers = (("Host", "model.example"),)
    assert "Host: model.example" in over_rest(headers=headers)
    seen: list[Any] = []
    with telling(seen) as address:
        prepared = rpc.prepare(
            Plan(Payloads(PAYLOAD), Targets(grpc_server=address), calls=Calls(headers=headers))
        )
    [request] = cast(Sequence[GrpcRequest], prepared.repeated)
    assert request.authority == b"model.example"
    assert all(name != "host" for name, _ in seen[-1])


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "netrc"
    file.write_text(f"machine {HOST} login alice password hunter2\n")
    file.chmod(0o600)
    monkeypatch.setenv("NETRC", str(file))


@pytest.mark.usefixtures("netrc")
@pytest.mark.parametrize(
    ("url", "headers", "sent"),
    [
        ("http://{address}/p", (), "Basic YWxpY2U6aHVudGVyMg=="),
        ("http://{address}/p", (("authorization", "Bearer tok"),), "Bearer tok"),
        ("http://me:s%40cret@{address}/p", (), "Basic bWU6c0BjcmV0"),
        ("http://me:secret@{address}/p", (("Authorization", "Bearer tok"),), "Bearer tok"),
    ],
)
def test_what_is_said_outright_wins(url: str, headers: Headers, sent: str) -> None:
    told = [line for line in over_rest(url, headers=headers) if line.lower().startswith("authori")]
    assert [line.partition(": ")[2] for line in told] == [sent]

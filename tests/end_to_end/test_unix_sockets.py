"""Runs against servers on Unix sockets, over REST and gRPC: what is measured, and what is told."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_bad_input import complaint
from tests.cli.test_bad_input import run as command
from tests.end_to_end.old_servers import old_grpc, old_rest
from tests.load import oip_server
from tests.plans import plan_of
from tracebench.archive import analyze
from tracebench.benchmark import run, try_once
from tracebench.model.plan import (
    Calls,
    Influence,
    Payload,
    Payloads,
    Plan,
    SpanRoutes,
    Targets,
    Workload,
)
from tracebench.model.results.result import TargetResult

PAYLOAD = Payload(b"\x89PNG" * 500, "image/png", "x.png", "image")
HTTP_CLIENTS = ("requests", "httpx", "aiohttp")


def codes(target: TargetResult) -> list[str]:
    return [one.code for one in target.verdict.findings]


def check(target: TargetResult, count: int) -> None:
    assert (target.requests.succeeded, target.decomposed) == (count, count)
    assert target.components["inference"].p50_ms >= 4
    assert target.stamps == {"kernel": 0, "user": count, "shared": 0}
    assert target.tcp is None
    assert codes(target).count("unix_socket") == 1
    assert "no_kernel_stamps" not in codes(target)


def test_both_protocols_their_traces_and_the_floor(folder: Path) -> None:
    path = folder / "traces.jsonl"
    with old_rest(folder) as url, old_grpc(folder) as address:
        plan = Plan(
            Payloads(PAYLOAD),
            Targets(rest_url=url, grpc_server=address),
            load=Workload(requests=30, concurrency=3),
            traces=SpanRoutes(output_traces=str(path)),
            influence=Influence(floor=True),
        )
        targets = run(plan).targets
    rest, rpc = targets["rest"], targets["grpc"]
    check(rest, 30)
    check(rpc, 30)
    assert rest.address == f"http+unix://{str(folder).replace('/', '%2F')}%2Frest.sock/predict"
    assert rpc.address == f"unix:{folder}/grpc.sock"
    for target in (rest, rpc):
        assert target.floor is not None
        assert 0 < target.floor.end_to_end.p50_ms < target.components["end_to_end"].p50_ms
    check(analyze([str(path)]).targets["rest"], 30)
    check(analyze([str(path)]).targets["grpc"], 30)
    attributes = [{one["key"]: one["value"] for one in span["attributes"]} for span in spans(path)]
    servers = {one["server.address"]["stringValue"] for one in attributes}
    assert servers == {f"{folder}/rest.sock", f"{folder}/grpc.sock"}
    assert not any("server.port" in one for one in attributes)


def spans(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text().splitlines():
        for resource in json.loads(line)["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                yield from scope["spans"]


def test_what_is_sent_names_localhost(folder: Path) -> None:
    with old_rest(folder) as url, old_grpc(folder) as address:
        trials = try_once(Plan(Payloads(PAYLOAD), Targets(rest_url=url, grpc_server=address)))
    assert "\nHost: localhost\n" in trials["rest"].prepared.request
    assert f"at unix:{folder}/grpc.sock" in trials["grpc"].prepared.request


@pytest.mark.live
@pytest.mark.parametrize("names", [HTTP_CLIENTS, ("grpcio", "grpc.aio")])
def test_libraries_go_the_same_way(folder: Path, names: tuple[str, ...]) -> None:
    is_rest = names == HTTP_CLIENTS
    with old_rest(folder) as url, old_grpc(folder) as address:
        targets = {"rest_url": url} if is_rest else {"grpc_server": address}
        plan = plan_of(PAYLOAD, **targets, requests=20, clients=names)
        (found,) = run(plan).targets.values()
    assert set(found.clients) == set(names)
    assert all(one.failed == 0 and one.latency is not None for one in found.clients.values())


def test_the_open_inference_protocol(folder: Path) -> None:
    with oip_server.serving(folder) as served:
        plan = Plan(
            Payloads(()),
            Targets(rest_url=served.rest_url),
            calls=Calls(oip="sums"),
            load=Workload(requests=5),
        )
        plan_of_both = Plan(
            Payloads(()),
            Targets(rest_url=served.rest_url, grpc_server=served.grpc_server),
            calls=Calls(oip="sums"),
            load=Workload(requests=5),
        )
        assert run(plan).targets["rest"].requests.succeeded == 5
        assert run(plan_of_both).targets["grpc"].requests.succeeded == 5


@pytest.mark.parametrize(
    ("option", "address", "said"),
    [
        ("--rest-url", "unix:{}/none.sock", "no such file or directory): is the server running"),
        ("--grpc-server", "unix:{}/none.sock", "no such file or directory): is the server"),
        ("--rest-url", "unix:{}/file", "it is not a socket): give the path"),
        ("--grpc-server", "unix:///{}/file", "it is not a socket): give the path"),
        ("--rest-url", "unix:{}/" + "x" * 200, "at most 107 bytes are allowed"),
        (
            "--rest-url",
            "http+unix:///tmp/x.sock/v1",
            "does not name a Unix socket: give http+unix://%2F",
        ),
        ("--grpc-server", "unix:", "or unix:/path/of.sock"),
        ("--grpc-server", "grpcs://unix:/x.sock", "or unix:/path/of.sock"),
    ],
)
def test_what_a_user_can_get_wrong(folder: Path, option: str, address: str, said: str) -> None:
    (folder / "file").write_text("")
    given = address.format(str(folder).removeprefix("/") if "///" in address else folder)
    line = complaint(command("--image", "tracebench/example/coffee.png", option, given), 2)
    assert said in line

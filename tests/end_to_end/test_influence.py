"""The tool's own influence, from the plan to the result, against servers that really answer."""

import json
import os
import re
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.cli.test_bad_input import run as command
from tests.plans import plan_of
from tests.servers import HOST, Script, answering, read_request, reply, serving
from tracebench.benchmark import run
from tracebench.load.peers.clients import Job, Sample
from tracebench.model.errors import TargetError
from tracebench.model.plan import Influence, Payload, Payloads, Plan, Targets
from tracebench.model.results.result import TargetResult
from tracebench.report.files import result_file

PAYLOAD = Payload(b"x" * 1_000, "image/png", "x.png", "image")


def measured(script: Script, **more: object) -> TargetResult:
    with serving(script) as port:
        result = run(plan_of(PAYLOAD, rest_url=f"http://{HOST}:{port}", **more))
    text = result_file.dumps(result)
    assert result_file.dumps(result_file.loads(text)) == text
    return result.targets["rest"]


def codes(target: TargetResult) -> set[str]:
    return {finding.code for finding in target.verdict.findings}


@pytest.mark.alone
def test_the_floor_stands_beside_a_target() -> None:
    target = measured(answering(reply(), service_s=0.01), requests=20, floor=True)
    assert target.floor is not None
    assert target.floor.end_to_end.p50_ms < 5 < target.components["end_to_end"].p50_ms
    assert not codes(target) & {"close_to_floor", "floor_unknown"}


@pytest.mark.alone
def test_a_fast_target_without_a_floor_is_told_of_it() -> None:
    target = measured(answering(reply()), requests=100)
    assert target.floor is None
    assert target.latency is not None
    assert ("floor_unknown" in codes(target)) is (target.latency.p50_ms < 1)


@pytest.mark.alone
def test_a_library_stands_beside_the_engine() -> None:
    target = measured(answering(reply()), requests=100, clients=("requests",))
    (cost,) = target.clients.values()
    assert cost.failed == 0
    assert cost.latency is not None
    assert cost.latency.count == 200
    assert cost.cost_ms["p50_ms"].delta > 0
    assert target.requests.started == 100  # the blocks are no part of the run


def test_ctrl_c_among_the_libraries_keeps_the_run(tmp_path: Path) -> None:
    count, before = 0, set(threading.enumerate())

    def script(connection: socket.socket) -> None:
        nonlocal count
        while read_request(connection):
            count += 1
            if count == 40:  # the preflight, the run, and some of the libraries' blocks
                os.kill(os.getpid(), signal.SIGINT)
            connection.sendall(reply())

    target = measured(script, requests=10, clients=("requests",))
    assert "interrupted" in codes(target)
    assert target.requests.succeeded == 10
    assert set(target.clients) == {"requests"}
    for one in set(threading.enumerate()) - before:  # the server's end soon after their connections
        one.join(5)
        assert not one.is_alive(), one.name


def test_a_server_that_goes_away_among_the_libraries_keeps_the_run() -> None:
    with serving(answering(reply())) as port, pytest.MonkeyPatch.context() as patch:
        gone = TargetError("connection refused")

        def send(_job: Job) -> list[Sample]:
            raise gone

        patch.setattr("tracebench.load.peers.by_requests.send", send)
        plan = Plan(
            Payloads(PAYLOAD),
            Targets(rest_url=f"http://{HOST}:{port}"),
            influence=Influence(clients=("requests",)),
        )
        target = run(plan).targets["rest"]
    (finding,) = [one for one in target.verdict.findings if one.code == "clients_cut_short"]
    assert finding.message.endswith("ended after 0 rounds: connection refused")
    assert target.requests.succeeded == 100


def test_the_command_line_says_what_is_missing() -> None:
    with serving(answering(reply())) as port:
        url = f"http://{HOST}:{port}"
        done = command("--data", "README.md", "--rest-url", url, "--client", "grpcio")
    assert done.returncode == 2
    assert "--client grpcio needs a target: give --grpc-server" in done.stderr


@pytest.mark.slow
def test_all_of_it_from_the_command_line(tmp_path: Path) -> None:
    saved = tmp_path / "result.json"
    with serving(answering(reply())) as port:
        done = command(
            "--data",
            "README.md",
            "--rest-url",
            f"http://{HOST}:{port}",
            "--floor",
            *("--client", "httpx", "--client", "aiohttp"),
            *("--output-json", str(saved)),
        )
    told = " ".join(done.stdout.split())
    assert "a server that does nothing: p50 " in told
    assert re.search(r"by aiohttp: [-+−]?\d", told)
    target = json.loads(saved.read_text())["targets"]["rest"]
    assert set(target["floor"]) >= {"end_to_end", "network", "client", "throughput_rps"}
    assert set(target["clients"]["httpx"]) >= {"latency", "throughput_rps", "cost_ms"}
    assert set(target["clients"]["httpx"]["cost_ms"]["mean_ms"]) >= {"delta", "ci95"}


def timed(sleeps_s: float) -> Script:
    """A server that times itself where it is asked to, and takes longer then."""

    def script(connection: socket.socket) -> None:
        while got := read_request(connection):
            asked = b"\r\nX-Benchmark: 1\r\n" in got
            assert asked is (re.search(rb"traceparent: 00-\w{32}-\w{16}-01", got) is not None)
            time.sleep(0.001 + sleeps_s * asked)
            timing = ('X-Timing-Info: {"server_processing": 0.001}',) if asked else ()
            connection.sendall(reply(b"ok", "200 OK", *timing))

    return script


@pytest.mark.alone
def test_the_observer_effect_of_a_server_that_pays_for_tracing(tmp_path: Path) -> None:
    spans = tmp_path / "spans.jsonl"
    target = measured(timed(0.002), requests=300, observer_effect=True, output_traces=str(spans))
    effect = target.observer_effect
    assert effect is not None
    assert effect.traced + effect.untraced == target.requests.succeeded == 300
    for difference in (effect.mean_ms, effect.p50_ms):
        assert difference.ci95 is not None
        low, high = difference.ci95
        assert 1.5 < low <= high < 3.5
    # Who was not asked for timings is no doubt about those who were, and left no trace.
    assert target.decomposed == effect.traced
    assert target.server_timing_source == {
        "otlp": 0,
        "mirror": effect.traced,
        "backend": 0,
        "none": 0,
    }
    assert not codes(target) & {"not_decomposed", "no_server_timing"}
    assert spans.read_text().count('"traceId"') == effect.traced


def test_an_observer_that_does_not_ask_is_not_seen() -> None:
    assert measured(answering(reply()), requests=20).observer_effect is None

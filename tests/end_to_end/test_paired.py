"""Several targets in one run, from the command line to the result: who is compared, and how."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.old_servers import old_grpc, old_rest
from tests.end_to_end.stream_server import TOKENS
from tests.end_to_end.test_receive_otlp import exporting
from tests.end_to_end.test_streams import serving as streaming
from tests.plans import plan_of
from tests.servers import HOST, Script, free_ports, read_request, reply, serving
from tracebench.benchmark import run
from tracebench.model.components import CLIENT_PARTS
from tracebench.model.plan import Payload, Target
from tracebench.model.results.result import Result
from tracebench.report.answer.table import render
from tracebench.report.files.result_file import dumps, loads

ROOT = Path(__file__).parents[2]
PAYLOAD = Payload(b"\x89PNG" * 200, "image/png", "x.png", "image")
IMAGE = "tracebench/example/coffee.png"


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[str, str, str]]:
    with old_rest() as one, old_rest() as other, old_grpc() as grpc:
        yield one, other, grpc


def named(*urls: str) -> tuple[Target, ...]:
    return tuple(Target(f"t{n}", "rest", url, "--target") for n, url in enumerate(urls))


def test_rest_and_grpc_alternate_by_themselves(servers: tuple[str, str, str]) -> None:
    rest, _, grpc = servers
    found = run(plan_of(PAYLOAD, rest_url=rest, grpc_server=grpc, requests=40, concurrency=2))
    assert list(found.targets) == ["rest", "grpc"]
    assert found.comparison is not None
    assert (found.comparison.a, found.comparison.b) == ("rest", "grpc")
    assert found.comparison.pairs == 1
    assert "too few pairs of blocks" in found.comparison.caveat
    assert found.comparisons == ()
    assert found.plan["sequential"] is False


def test_each_of_three_is_compared_with_the_first(servers: tuple[str, str, str]) -> None:
    one, other, grpc = servers
    plan = plan_of(PAYLOAD, grpc_server=grpc, named=named(one, other), requests=30)
    found = run(plan)
    assert found.comparison is None
    assert [(one.a, one.b) for one in found.comparisons] == [("grpc", "t0"), ("grpc", "t1")]
    assert loads(dumps(found)).comparisons == found.comparisons
    text = render(found)
    assert "t0 against grpc, by 1 pair of blocks" in text
    assert "t1 against grpc" in text
    assert max(map(len, text.splitlines())) <= 80


def test_sequential_says_what_it_does_not_cover(servers: tuple[str, str, str]) -> None:
    one, other, _ = servers
    found = run(plan_of(PAYLOAD, named=named(one, other), requests=30, sequential=True))
    assert found.comparison is not None
    assert found.comparison.pairs == 0
    assert "measured one after the other" in found.comparison.caveat


@pytest.fixture(scope="module")
def paired(servers: tuple[str, str, str]) -> Result:
    one, other, _ = servers
    load: dict[str, Any] = {"requests": None, "duration_s": 5.0, "warmup": "auto", "floor": True}
    return run(plan_of(PAYLOAD, named=named(one, other), **load))


@pytest.mark.slow
def test_a_longer_run_has_intervals_and_words(paired: Result) -> None:
    assert paired.comparison is not None
    assert 1 <= paired.comparison.pairs <= 10
    assert paired.comparison.block_s >= 0.5
    told = paired.comparison.components["inference"]
    assert all(one.verdict is not None for one in told.values())
    if paired.comparison.pairs >= 6:  # blocks are longer on a busy machine
        assert told["mean_ms"].ci95 is not None
    sums = sum(
        one["mean_ms"].delta
        for name, one in paired.comparison.components.items()
        if name in CLIENT_PARTS
    )
    assert sums == pytest.approx(paired.comparison.components["end_to_end"]["mean_ms"].delta)
    assert all(one.floor is not None for one in paired.targets.values())


@pytest.mark.slow
def test_the_same_rounds_are_cut_of_all(paired: Result) -> None:
    cuts = [one.warmup for one in paired.targets.values()]
    assert all(one is not None and one.method == "MSER-5" for one in cuts)
    for target in paired.targets.values():
        assert target.duration_s <= 5.3
        assert target.throughput_rps == pytest.approx(target.requests.succeeded / target.duration_s)
        assert "connection_churn" not in {one.code for one in target.verdict.findings}


def test_each_target_gets_its_own_spans() -> None:
    """The receiver has the spans of both before either is looked at."""
    port = free_ports()
    with ExitStack() as stack:
        servers = [exporting("http", f"http://127.0.0.1:{port + 1}") for _ in range(2)]
        urls = [stack.enter_context(one) for one in servers]
        plan = plan_of(PAYLOAD, named=named(*urls), requests=30, receive_otlp=f"127.0.0.1:{port}")
        found = run(plan)
    for target in found.targets.values():
        assert target.server_timing_source["otlp"] == target.requests.succeeded == 30


@pytest.mark.live
def test_client_libraries_follow(servers: tuple[str, str, str]) -> None:
    one, other, _ = servers
    found = run(plan_of(PAYLOAD, named=named(one, other), requests=20, clients=("requests",)))
    assert all("requests" in target.clients for target in found.targets.values())


@pytest.mark.slow
def test_streams_are_told_of_their_blocks_alone() -> None:
    """The rate of tokens is that while requests are under way, not of the whole time."""
    with streaming("flask") as options:
        urls = named(options["rest_url"], options["rest_url"])
        load: dict[str, Any] = {"requests": None, "duration_s": 3.0, "concurrency": 2}
        found = run(plan_of(Payload(b"{}", "application/json", "x", "json"), named=urls, **load))
    assert found.comparison is not None
    assert found.comparison.pairs >= 2
    for target in found.targets.values():
        stream = target.stream
        assert stream is not None
        assert stream.tokens.output == TOKENS * target.requests.succeeded
        assert stream.output_tokens_per_s == pytest.approx(
            stream.tokens.output / target.duration_s, rel=0.3
        )


def slowing(over_s: float) -> Script:
    """A server that takes 20 ms at first, and 20 % more after so long."""
    began_s: list[float] = []

    def script(connection: socket.socket) -> None:
        while read_request(connection):
            began_s[:] = began_s or [time.monotonic()]
            time.sleep(0.020 * (1 + 0.2 * (time.monotonic() - began_s[0]) / over_s))
            connection.sendall(reply())

    return script


@pytest.mark.alone
@pytest.mark.live
@pytest.mark.parametrize("sequential", [False, True])
def test_a_planted_drift_disappears_by_turns_alone(sequential: bool) -> None:
    with serving(slowing(12.0)) as port:
        urls = named(*[f"http://{HOST}:{port}/"] * 2)
        load: dict[str, Any] = {"requests": None, "duration_s": 6.0, "sequential": sequential}
        found = run(plan_of(PAYLOAD, named=urls, **load))
    assert found.comparison is not None
    one = found.comparison.components["end_to_end"]["p50_ms"]
    if sequential:
        assert one.delta > 1.3  # of 2: the middles of both are half of the drift apart
    else:
        low, high = one.ci95 or (-1.0, 1.0)
        assert low <= 0 <= high or abs(one.delta) < 0.7


# On the command line.


def tracebench(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tracebench", "run", "--image", IMAGE, *options]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)


@pytest.mark.slow
def test_names_and_schemes_say_what_to_call_and_how(
    servers: tuple[str, str, str], tmp_path: Path
) -> None:
    one, _, grpc = servers
    file = tmp_path / "result.json"
    with old_grpc(tmp_path) as socket:
        done = tracebench(
            *("--target", f"new-1={one}", "--target", f"remote=grpc://{grpc}"),
            *("--target", f"here=grpc+{socket}", "--requests", "10", "--output-json", str(file)),
        )
    assert done.returncode in (0, 3), done.stderr  # a busy machine makes numbers not valid
    data = json.loads(file.read_text())
    assert list(data["targets"]) == ["new-1", "remote", "here"]
    assert [one["b"] for one in data["comparisons"]] == ["remote", "here"]
    assert data["plan"]["named"]["new-1"] == one
    for name in data["targets"]:
        assert f"{name} answers" in done.stderr


URL = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--target", URL], "has no name"),
        (["--target", f"a b={URL}"], "has no name of letters, digits"),
        (["--target", f"={URL}"], "has no name"),
        (["--target", "a=localhost:5000"], "a='localhost:5000' says no protocol"),
        (["--target", f"a={URL}", "--target", f"a={URL}"], "2 targets are called 'a'"),
        (["--rest-url", URL, "--target", f"rest={URL}"], "2 targets are called 'rest'"),
        (["--target", "a=http://"], "--target a 'http://' is not an http(s) URL"),
        (["--target", "a=grpc://nowhere"], "--target a 'grpc://nowhere' is not HOST:PORT"),
        (["--target", f"a={URL}"], "cannot connect to 127.0.0.1:9"),
    ],
)
def test_what_is_wrong_with_a_target_is_one_line(options: Sequence[str], said: str) -> None:
    done = tracebench(*options)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_password_of_a_target_is_in_no_output(
    servers: tuple[str, str, str], tmp_path: Path
) -> None:
    one, other, _ = servers
    file = tmp_path / "result.json"
    secret = one.replace("http://", "http://me:swordfish@")
    done = tracebench(
        *("--target", f"a={secret}", "--target", f"b={other}"),
        *("--requests", "5", "--output-json", str(file)),
    )
    assert done.returncode in (0, 3), done.stderr  # a busy machine makes numbers not valid
    assert "swordfish" not in done.stdout + done.stderr + file.read_text()

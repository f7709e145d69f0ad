"""Replies whose head brings the server's timing long before the rest: streams, and large ones."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.servers import read_request, serving
from tracebench.archive import analyze
from tracebench.benchmark import run, try_once
from tracebench.cli import dry_run
from tracebench.model.plan import Payload, Payloads, Plan, SpanRoutes, Targets, Workload
from tracebench.model.results.result import Result
from tracebench.report.answer.table import render
from tracebench.report.files.result_file import dumps

pytestmark = pytest.mark.alone

REQUESTS, PIECES, PAUSE_S = 12, 5, 0.004
CHUNKED = b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
TIMING = b'X-Timing-Info: {"server_processing": 0.0001}\r\n'
LARGE = bytes(2**20)

Answer = Callable[[socket.socket], None]


def event_stream(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n" + CHUNKED + TIMING + b"\r\n")
    pieces(connection)
    connection.sendall(b"0\r\n\r\n")


def timing_in_trailers(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"Trailer: Server-Timing\r\n\r\n")
    began_s = time.perf_counter()
    pieces(connection)
    total_ms = (time.perf_counter() - began_s) * 1e3
    connection.sendall(b"0\r\nServer-Timing: total;dur=%.3f\r\n\r\n" % total_ms)


def timing_in_comments(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n" + CHUNKED + TIMING + b"\r\n")
    began_s = time.perf_counter()
    pieces(connection)
    total_s = time.perf_counter() - began_s
    told = {"prefill": total_s / 4, "decode": total_s / 2, "server_processing": total_s}
    comments = f": X-Timing-Info: {json.dumps(told)}\n\n".encode()
    connection.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(comments), comments))


def pieces(connection: socket.socket) -> None:
    for _ in range(PIECES):
        connection.sendall(b"9\r\ndata: x\n\n\r\n")
        time.sleep(PAUSE_S)


def large_over_a_slow_path(connection: socket.socket) -> None:
    """What a link of 50 MB/s makes of a megabyte."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % len(LARGE)
    connection.sendall(head + TIMING + b"\r\n")
    part = len(LARGE) // PIECES + 1
    for at in range(0, len(LARGE), part):
        connection.sendall(LARGE[at : at + part])
        time.sleep(PAUSE_S)


def measured(answer: Answer, traces: Path) -> Result:
    with served(answer) as url:
        return run(replace(plan(url), traces=SpanRoutes(output_traces=str(traces))))


@contextmanager
def served(answer: Answer) -> Iterator[str]:
    def script(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while read_request(connection):
            answer(connection)

    with serving(script) as port:
        yield f"http://127.0.0.1:{port}/p"


def plan(url: str) -> Plan:
    payload = Payload(b"{}", "application/json", "in.json", "json")
    return Plan(Payloads(payload), Targets(rest_url=url), load=Workload(requests=REQUESTS))


@pytest.mark.parametrize(
    ("answer", "code"),
    [(event_stream, "streamed_reply"), (large_over_a_slow_path, "long_body")],
)
def test_the_rest_of_a_reply_stands_apart(answer: Answer, code: str, tmp_path: Path) -> None:
    result = measured(answer, tmp_path / "t.jsonl")
    target = result.targets["rest"]
    assert target.decomposed == REQUESTS
    assert target.components["body"].min_ms >= (PIECES - 1) * PAUSE_S * 1e3 * 0.99
    assert target.share["body"] > 0.5
    codes = {one.code: one.hint for one in target.verdict.findings}
    assert "--receive-otlp" in codes[code]
    assert "network_after_reply_began" not in codes
    shown = render(result, detail="all")
    assert "workers" not in shown
    assert ("stream" in shown) is (code == "streamed_reply")
    assert "\n  body " in shown


@pytest.mark.parametrize("answer", [event_stream, large_over_a_slow_path, timing_in_trailers])
def test_an_archive_tells_the_same_of_it(answer: Answer, tmp_path: Path) -> None:
    result = measured(answer, tmp_path / "t.jsonl")
    again = analyze([str(tmp_path / "t.jsonl")])
    assert json.loads(dumps(again)) == json.loads(dumps(result))


def test_timing_in_trailers_covers_the_stream(tmp_path: Path) -> None:
    target = measured(timing_in_trailers, tmp_path / "t.jsonl").targets["rest"]
    assert target.decomposed == REQUESTS
    assert "body" not in target.components
    assert target.share["server_other"] > 0.8


def test_so_does_timing_in_comments_behind_the_last_event(tmp_path: Path) -> None:
    target = measured(timing_in_comments, tmp_path / "t.jsonl").targets["rest"]
    assert target.decomposed == REQUESTS
    assert "body" not in target.components
    assert target.parts_of == {"inference": ("prefill", "decode")}
    assert target.share["inference"] > 0.6
    assert target.stream is not None
    assert target.stream.count == REQUESTS


def test_a_dry_run_hears_them_too() -> None:
    with served(timing_in_comments) as url:
        [trial] = try_once(plan(url)).values()
    lines = [line.split()[0] for line in dry_run.render("rest", trial).splitlines() if line]
    at = lines.index("inference")
    assert lines[at : at + 4] == ["inference", "prefill", "decode", "server_other"]
    assert "body" not in lines

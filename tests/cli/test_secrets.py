"""No credential is in any output or message of a command, whatever fails."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from tests.load.predicting import predicting
from tests.servers import HOST, Script, answering, read_request, reply, serving

HEADERS = ("Authorization: Bearer SECRETBEARER", "X-Api-Key: SECRETKEY", "Cookie: a=SECRETCOOKIE")
QUERY = "api_key=SECRETQUERY&X-Amz-Signature=SECRETSIG&size=3#SECRETFRAGMENT"
EXPORTED = {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=SECRETEXPORT"}
SECRETS = (b"SECRET", b"U0VDUkVU")  # as it is, and in base64


def command(folder: Path, *options: str) -> str:
    """Run a command in a folder; returns what it printed, and sees that no secret is in that."""
    (folder / "in.json").write_text('{"enable_timing": true}')
    headers = [part for header in HEADERS for part in ("--header", header)]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tracebench",
            options[0],
            "--json",
            "in.json",
            *headers,
            *options[1:],
        ],
        capture_output=True,
        cwd=folder,
        env=os.environ | EXPORTED | {"PYTHONPATH": str(Path(__file__).parents[2])},
        timeout=60,
    )
    printed = done.stdout + done.stderr
    assert b"Traceback" not in printed
    outputs = {one.name: one.read_bytes() for one in folder.iterdir() if one.is_file()}
    for name, content in {"the terminal": printed, **outputs}.items():
        for secret in SECRETS:
            assert secret not in content, f"{name}: {content!r}"
    return printed.decode()


def url(port: int) -> str:
    return f"http://SECRETUSER:SECRETPASS@{HOST}:{port}/p?{QUERY}"


ALL = (
    *("--output-json", "r.json", "--output-traces", "t.jsonl"),
    *("--output-plot", "p.svg", "--output-html", "p.html"),
)


def echoing(status: str, good: int) -> Script:
    """Answers so many requests well, then repeats in every other way what it was sent."""
    served = 0

    def script(connection: socket.socket) -> None:
        nonlocal served
        while got := read_request(connection):
            served += 1
            head = got.partition(b"\r\n\r\n")[0]
            location = head.split()[1].decode()
            failed = reply(head, status, f"Location: {location}", "Set-Cookie: id=SECRETSET")
            connection.sendall(reply() if served <= good else failed)

    return script


@pytest.mark.parametrize("status", ["500 Oops", "302 Found", "401 Unauthorized"])
def test_a_server_that_repeats_what_it_was_sent(status: str, tmp_path: Path) -> None:
    with serving(echoing(status, 6)) as port:
        said = command(tmp_path, "run", "--rest-url", url(port), "--requests", "9", *ALL)
    assert f"HTTP {status[:3]}" in said
    assert "REDACTED:REDACTED@" in said
    with serving(echoing(status, 0)) as port:
        assert "REDACTED" in command(tmp_path, "run", "--rest-url", url(port))


def test_answers_and_dry_runs(tmp_path: Path) -> None:
    with serving(echoing("200 OK", 0)) as port:
        assert "answers" in command(tmp_path, "run", "--rest-url", url(port), "--requests", "3")
        shown = command(tmp_path, "run", "--rest-url", url(port), "--dry-run")
    assert "Authorization: (hidden)" in shown
    assert "set-cookie: (hidden)" in shown


def test_sweeps(tmp_path: Path) -> None:
    options = ("--concurrency", "1,2", "--requests", "4", *ALL)
    with serving(echoing("500 Oops", 9)) as port:
        command(tmp_path, "sweep", "--rest-url", url(port), *options)


@pytest.mark.parametrize(
    "options",
    [
        ("--rest-url", "http://SECRETUSER:SECRET/PASS@h/"),
        ("--rest-url", "SECRETUSER:SECRETPASS@h:1/"),
        ("--rest-url", f"http://SECRETUSER:SECRETPASS@no.such.host.invalid/?{QUERY}"),
        ("--rest-url", f"http://SECRETUSER:SECRETPASS@127.0.0.1:9/?{QUERY}"),
        ("--rest-url", f"https://SECRETUSER:SECRETPASS@127.0.0.1:9/?{QUERY}", "--oip", "m"),
        ("--grpc-server", "SECRETUSER:SECRETPASS@h:1"),
        ("--rest-url", "http://h", "--header", "SECRETTOKEN"),
        ("--rest-url", "http://h", "--header", "Bearer SECRETTOKEN: x"),
        ("--rest-url", "http://h", "--header", "X: SECRETTOKEN日"),
        ("--rest-url", "http://h", "--otlp-endpoint", "gopher://SECRETUSER:SECRETPASS@h"),
        ("--rest-url", "http://h", "--otlp-endpoint", "http://SECRETUSER:SECRETPASS@127.0.0.1:9"),
        ("--rest-url", "http://h", "--jaeger", "http://SECRETUSER:SECRETPASS@h"),
        ("--rest-url", "http://h", "--metrics-url", "ftp://SECRETUSER:SECRETPASS@h/"),
        ("--rest-url", "http://h", "--jaeger", "http://h/?token=SECRETQUERY"),
        ("--rest-url", "http://h", "--trace-ui", "http://SECRETUSER:SECRETPASS@h:x/"),
        ("--grpc-server", "h:1", "--header", "x: SECRETé"),
        ("--grpc-server", "h:1", "--header", "x-bin: SECRET!"),
    ],
)
def test_options_that_are_wrong(options: tuple[str, ...], tmp_path: Path) -> None:
    assert command(tmp_path, "run", *options).startswith("tracebench: ")


@contextmanager
def refusing_spans() -> Iterator[str]:
    with serving(answering(reply(b"no SECRETEXPORT", "401 Unauthorized"))) as port:
        yield f"http://SECRETUSER:SECRETPASS@{HOST}:{port}/v1/traces?token=SECRETQUERY"


def test_a_collector_that_refuses(tmp_path: Path) -> None:
    with serving(answering(reply())) as port, refusing_spans() as endpoint:
        options = ("--requests", "3", "--otlp-endpoint", endpoint, *ALL)
        said = command(tmp_path, "run", "--rest-url", url(port), *options)
    assert "span" in said


@contextmanager
def echoing_grpc(good: int) -> Iterator[str]:
    """Answers so many calls well, then says in its error what it was sent."""
    served = 0

    def predict(_message: bytes, context: grpc.ServicerContext) -> bytes:
        nonlocal served
        served += 1
        if served > good:
            told = ", ".join(f"{name}={value!r}" for name, value in context.invocation_metadata())
            context.abort(grpc.StatusCode.PERMISSION_DENIED, told)
        return b""

    with predicting(predict) as port:
        yield f"{HOST}:{port}"


@pytest.mark.parametrize("good", [0, 5])
def test_a_grpc_server_that_repeats_what_it_was_sent(good: int, tmp_path: Path) -> None:
    with echoing_grpc(good) as address:
        said = command(tmp_path, "run", "--grpc-server", address, "--requests", "9", *ALL)
    assert "PERMISSION_DENIED" in said

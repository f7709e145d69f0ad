"""What a user can get wrong: one line on standard error, the right exit status, no traceback."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.old_servers import old_grpc
from tests.report.samples import both
from tests.servers import HOST, Script, answering, read_request, reply, serving
from tracebench.cli.run import run as command
from tracebench.model.errors import TracebenchError
from tracebench.report.files.result_file import dumps
from tracebench.system import input_files

IMAGE = "tracebench/example/coffee.png"
ROOT = Path(__file__).parents[2]


def tracebench(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tracebench", *options],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | environment,
        timeout=60,
    )


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return tracebench("run", *options)


def complaint(done: subprocess.CompletedProcess[str], status: int) -> str:
    """The one line on standard error."""
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    assert 1 <= len(lines) <= 2, done.stderr
    assert lines[0].startswith("tracebench: ")
    return lines[0]


URL = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--image", IMAGE], "--rest-url"),
        (["--image", "missing.png", "--rest-url", URL], "missing.png"),
        (["--image", "tests", "--rest-url", URL], "tests"),
        (["--rest-url", URL], "--image"),
        (["--image", IMAGE, "--rest-url", URL, "--warmup", "-1"], "nor 'auto'"),
        (["--image", IMAGE, "--rest-url", URL, "--warmup", "soon"], "'soon' is neither a number"),
        (["--image", IMAGE, "--data", IMAGE, "--rest-url", URL], "one of"),
        (["--json", "tests", "--rest-url", URL], "a folder without matching files"),
        (["--json", IMAGE, "--rest-url", URL], "is not valid JSON"),
        (["--payloads", "missing.jsonl", "--rest-url", URL], "missing.jsonl"),
        (["--payloads", "README.md", "--rest-url", URL], "line 1, is not valid JSON"),
        (["--image", IMAGE, "--rest-url", URL, "--order", "any"], "--order"),
        (["--image", IMAGE, "--rest-url", URL, "--expect-status", "ok"], "'ok' is not a status"),
        (["--image", IMAGE, "--rest-url", URL, "--expect-json", "=1"], "is not PATH[=VALUE]"),
        (["--oip", "m", "--rest-url", URL], "connection refused"),
        (["--image", IMAGE, "--rest-url", "localhost:5000"], "localhost:5000"),
        (["--image", IMAGE, "--rest-url", "http://"], "http://"),
        (["--image", IMAGE, "--rest-url", URL, "--jaeger", "localhost:16686"], "not a base URL"),
        (["--image", IMAGE, "--rest-url", URL, "--jaeger", URL], f"--jaeger {URL!r}"),
        (["--image", IMAGE, "--rest-url", URL, "--trace-ui", "x"], "--trace-ui 'x'"),
        (["--image", IMAGE, "--rest-url", URL, "--trace-share", "1"], "write e.g. 1% or 0.01"),
        (["--image", IMAGE, "--rest-url", URL, "--trace-share", "0%"], "above 0% and up to 100%"),
        (["--image", IMAGE, "--rest-url", URL, "--bind", "192.0.2.1"], "not an address of this"),
        (["--image", IMAGE, "--rest-url", URL, "--bind", "127.0.0.2,"], "has an empty address"),
        (["--image", IMAGE, "--rest-url", URL, "--receive-otlp", "x:y"], "OTLP at 'x:y'"),
        (["--image", IMAGE, "--rest-url", URL, "--forward-otlp", URL], "add --receive-otlp"),
        (["--image", IMAGE, "--rest-url", "http://127.0.0.1:99999"], "99999"),
        (["--image", IMAGE, "--rest-url", "ftp://127.0.0.1"], "ftp://"),
        (["--image", IMAGE, "--rest-url", "http://no.such.host.invalid"], "no.such.host.invalid"),
        (["--image", IMAGE, "--rest-url", URL], "connection refused"),
        (["--image", IMAGE, "--grpc-server", "127.0.0.1:9"], "connection refused"),
        (["--image", IMAGE, "--grpc-server", "127.0.0.1"], "HOST:PORT"),
        (["--image", IMAGE, "--grpc-server", "http://127.0.0.1:9"], "HOST:PORT"),
        (["--image", IMAGE, "--grpc-server", "127.0.0.1:70000"], "70000"),
        (["--image", IMAGE, "--rest-url", URL, "--requests", "0"], "--requests"),
        (["--image", IMAGE, "--rest-url", URL, "--concurrency", "-1"], "--concurrency"),
        (["--image", IMAGE, "--rest-url", URL, "--timeout", "0"], "--timeout"),
        (["--image", IMAGE, "--rest-url", URL, "--timeout", "nan"], "--timeout"),
        (["--image", IMAGE, "--rest-url", URL, "--duration", "inf"], "--duration"),
        (["--image", IMAGE, "--rest-url", URL, "--requests", "5", "--duration", "1"], "exclude"),
        (["--image", IMAGE, "--rest-url", URL, "--header", "nonsense"], "has no ':'"),
        (["--image", IMAGE, "--rest-url", URL, "--header", "two words: x"], "no valid name"),
        (["--image", IMAGE, "--rest-url", URL, "--header", "X: 日本"], "'日'"),
        (["--image", IMAGE, "--rest-url", URL, "--method", "HEAD"], "HEAD"),
        (["--image", IMAGE, "--rest-url", URL, "--output-json", "/no/such/x.json"], "/no/such"),
        (["--image", IMAGE, "--rest-url", URL, "--output-plot", "/no/such/x.png"], "/no/such"),
        (["--image", IMAGE, "--rest-url", URL, "--output-plot", "x.bmp"], "x.bmp"),
        (["--image", IMAGE, "--rest-url", URL, "--output-html", "/no/such/x.html"], "/no/such"),
        (
            ["--image", IMAGE, "--rest-url", URL, "--output-html", "x", "--output-json", "./x"],
            "is also --output-json",
        ),
        (["--image", IMAGE, "--rest-url", URL, "--output-traces", "/no/such/t"], "/no/such"),
        (["--image", IMAGE, "--rest-url", URL, "--otlp-endpoint", "gopher://x"], "gopher"),
        (["--image", IMAGE, "--rest-url", URL, "--output-json", IMAGE], "is also an input file"),
        (
            ["--image", IMAGE, "--rest-url", URL, "--output-json", "x", "--output-traces", "./x"],
            "'./x' is also --output-json",
        ),
        (["--image", IMAGE, "--rest-url", URL, "--nonsense"], "--nonsense"),
        (["--image", IMAGE, "--rest-url", URL, "--metrics-url", "h:1/metrics"], "'h:1/metrics'"),
        (["--image", IMAGE, "--rest-url", URL, "--metric", "a"], "add --metrics-url"),
        (["--image", IMAGE, "--rest-url", "https://127.0.0.1:9", "--cacert", "no.pem"], "no.pem"),
    ],
)
def test_wrong_usage(options: list[str], said: str) -> None:
    assert said in complaint(run(*options), 2)


def slowly(answer: bytes) -> Script:
    """A server that takes long enough for the tool not to be the larger part of it."""
    return answering(answer, service_s=0.01)


def with_server(script: Script, *options: str) -> subprocess.CompletedProcess[str]:
    with serving(script) as port:
        return run("--image", IMAGE, "--rest-url", f"http://{HOST}:{port}", *options)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (reply(b"model not loaded", "500 Internal Server Error"), "500"),
        (reply(b"model not loaded", "500 Internal Server Error"), "model not loaded"),
        (reply(b"nothing here", "404 Not Found"), "404"),
        (reply(b"", "302 Found", "Location: http://elsewhere/x"), "http://elsewhere/x"),
        (reply(b"", "304 Not Modified"), "HTTP 304"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "does not speak HTTP/1.1"),
    ],
)
def test_a_target_that_does_not_answer_well(answer: bytes, said: str) -> None:
    assert said in complaint(with_server(answering(answer)), 2)


def test_a_server_that_never_answers() -> None:
    ended = threading.Event()

    def script(_connection: object) -> None:
        ended.wait(20)

    said = complaint(with_server(script, "--timeout", "0.3"), 2)
    ended.set()
    assert "no answer within 0.3 s" in said


def test_tls_failures() -> None:
    with serving(lambda connection: connection.sendall(reply())) as port:
        done = run("--image", IMAGE, "--rest-url", f"https://{HOST}:{port}")
        assert "TLS failed" in complaint(done, 2)
        done = run("--image", IMAGE, "--grpc-server", f"grpcs://{HOST}:{port}", "--timeout", "3")
        assert complaint(done, 2)


def test_a_grpc_server_is_no_http_server() -> None:
    with old_grpc() as address:
        done = run("--image", IMAGE, "--rest-url", f"http://{address}")
    assert "use --grpc-server for gRPC" in complaint(done, 2)


def test_an_http_server_is_no_grpc_server() -> None:
    with serving(answering(reply())) as port:
        done = run("--image", IMAGE, "--grpc-server", f"{HOST}:{port}", "--timeout", "3")
    assert complaint(done, 2)


def test_a_proxy_in_the_environment_is_not_used_and_said_so() -> None:
    with serving(slowly(reply())) as port:
        done = tracebench(
            *("run", "--image", IMAGE, "--rest-url", f"http://{HOST}:{port}", "--requests", "3"),
            HTTP_PROXY="http://127.0.0.1:9",
        )
    assert done.returncode in (0, 3), done.stderr  # a busy machine makes any run not valid
    assert "note: ignoring HTTP_PROXY" in done.stderr


@pytest.mark.parametrize(
    "header",
    ["garbage", '{"server_processing": -1}', '{"server_processing": NaN}', "[1]", "{}"],
)
def test_unreadable_timings_leave_the_request_undecomposed(header: str, tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    answer = reply(b"ok", "200 OK", f"X-Timing-Info: {header}")
    done = with_server(slowly(answer), "--requests", "20", "--output-json", str(file))
    assert done.returncode == 0, done.stderr
    target = result(file)
    assert target["requests"]["succeeded"] == 20
    assert target["decomposed"] == 0


def result(file: Path, name: str = "rest") -> dict[str, Any]:
    target: dict[str, Any] = json.loads(file.read_text())["targets"][name]
    return target


def accounted(target: dict[str, Any]) -> dict[str, int]:
    """The request counts, whose sum must hold."""
    counts: dict[str, int] = target["requests"]
    ended = ("succeeded", "failed", "timed_out", "cancelled")
    assert counts["started"] == sum(counts[name] for name in ended)
    return counts


def test_a_server_that_is_killed_in_mid_run(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    served = 0

    with serving(lambda connection: script(connection)) as port:

        def script(connection: object) -> None:
            nonlocal served
            while read_request(connection):  # type: ignore[arg-type] # a socket
                served += 1
                if served > 40:
                    return
                connection.sendall(reply())  # type: ignore[attr-defined] # as above

        done = run(
            *("--image", IMAGE, "--rest-url", f"http://{HOST}:{port}", "--requests", "60"),
            *("--concurrency", "2", "--output-json", str(file)),
        )
    assert done.returncode == 3, done.stderr
    target = result(file)
    counts = accounted(target)
    assert counts["succeeded"] >= 38
    assert counts["failed"] > 0
    assert target["errors"]
    assert "NOT VALID" in done.stdout


def test_a_server_that_stops_answering_in_mid_run(tmp_path: Path) -> None:
    file, served, ended = tmp_path / "result.json", 0, threading.Event()

    def script(connection: object) -> None:
        nonlocal served
        while read_request(connection):  # type: ignore[arg-type] # a socket
            served += 1
            if served > 30:
                ended.wait(20)
                return
            connection.sendall(reply())  # type: ignore[attr-defined] # as above

    done = with_server(script, "--requests", "34", "--timeout", "0.3", "--output-json", str(file))
    ended.set()
    assert done.returncode == 3, done.stderr
    counts = accounted(result(file))
    assert counts["timed_out"] == 5
    assert counts["succeeded"] == 29


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_saves_what_was_measured(number: signal.Signals, tmp_path: Path) -> None:
    file, busy = tmp_path / "result.json", threading.Event()

    def script(connection: object) -> None:
        while read_request(connection):  # type: ignore[arg-type] # a socket
            connection.sendall(reply())  # type: ignore[attr-defined] # as above
            busy.set()
            time.sleep(0.005)

    with serving(script) as port:
        command = [sys.executable, "-m", "tracebench", "run", "--image", IMAGE]
        command += ["--rest-url", f"http://{HOST}:{port}", "--duration", "60"]
        process = subprocess.Popen(
            [*command, "--output-json", str(file)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert busy.wait(20)
        time.sleep(1.5)
        process.send_signal(number)
        printed, complained = process.communicate(timeout=30)
    assert process.returncode == 130, complained
    assert "Traceback" not in complained
    counts = accounted(result(file))
    assert counts["succeeded"] > 0
    assert "client" in printed


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda target: target.update(components={}), "KeyError 'end_to_end'"),
        (lambda target: target.pop("requests"), "rest has no requests"),
    ],
)
def test_a_result_that_contradicts_itself(
    change: Callable[[dict[str, Any]], object], said: str, tmp_path: Path
) -> None:
    file, plot, page = tmp_path / "r.json", tmp_path / "p.png", tmp_path / "p.html"
    data = json.loads(dumps(both()))
    change(data["targets"]["rest"])
    file.write_text(json.dumps(data))
    outputs = ("--output-plot", str(plot), "--output-html", str(page))
    told = complaint(tracebench("report", str(file), *outputs), 2)
    assert told.startswith(f"tracebench: {file} is not a tracebench result (")
    assert said in told
    assert not plot.exists()
    assert not page.exists()


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/full", "/no/such", ".", IMAGE])
@pytest.mark.parametrize("command", ["report", "analyze", "spans"])
def test_what_is_no_file_of_ours(command: str, path: str) -> None:
    assert path in complaint(tracebench(command, path), 2)


READING = ("--image", "--data", "--json", "--payloads", "--mapping", "--arrivals", "--cacert")
OF_GRPC = ("--proto", "--descriptor")


OF_FOLDERS = ("--image", "--data", "--json")
ENDLESS = ("/dev/zero", "/dev/full", "pipe", "folder", "huge")


@pytest.mark.parametrize(
    ("option", "path"),
    [
        (option, path)
        for option in (*READING, *OF_GRPC)
        for path in ENDLESS
        if path != "folder" or option not in OF_FOLDERS
    ],
)
def test_no_option_reads_for_ever(
    option: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(input_files, "_QUIET_S", 0.05)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(2**40)
    where = path if path.startswith("/dev") else str(tmp_path / path)
    said = refused(option, where)
    assert where in said
    assert "\n" not in said


def refused(option: str, path: str) -> str:
    """What is said of a run that is given a file; in this process, so that a pipe waits less."""
    with old_grpc() as address:
        arguments = [option, path, "--rest-url", "https://127.0.0.1:9"]
        if option in OF_GRPC:
            arguments[2:] = ["--grpc-server", address, "--grpc-method", "a.B/C"]
            arguments += ["--json", "tests/recorded/triton-1.json"]
        elif option in ("--mapping", "--arrivals", "--cacert"):
            arguments += ["--image", IMAGE]
        with pytest.raises(TracebenchError) as error:
            command.main(arguments, standalone_mode=False)
    return str(error.value)


def test_what_runs_before_an_option_is_refused_is_light() -> None:
    """`--help`, a mistyped option and completion wait for neither numpy nor gRPC."""
    heavy = ("numpy", "matplotlib", "rich", "grpc", "requests", "opentelemetry")
    code = f"import sys, tracebench.cli; print([m for m in {heavy!r} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"

"""A run against servers that end kept connections: what is told of it, here and in an archive."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.old_servers import old_grpc, old_rest
from tests.servers import HOST, answering, free_ports, reply, serving
from tracebench.archive import analyze
from tracebench.benchmark import run
from tracebench.model.plan import Payload, Payloads, Plan, SpanRoutes, Targets, Workload
from tracebench.model.results.result import Finding, TargetResult

pytestmark = pytest.mark.alone

PAYLOAD = Payload(b"\x89PNG" * 500, "image/png", "x.png", "image")
CONFIG = """
daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi; keepalive_requests 10;
  server {{ listen {host}:{port} {http2}; location / {{ {forward}; }} }} }}
"""


def findings(target: TargetResult) -> dict[str, Finding]:
    return {one.code: one for one in target.verdict.findings}


def test_a_server_that_closes_after_each_reply_without_a_word(tmp_path: Path) -> None:
    path = str(tmp_path / "traces.jsonl")
    with serving(answering(reply(), close_after=1)) as port:
        plan = Plan(
            Payloads(PAYLOAD),
            Targets(rest_url=f"http://{HOST}:{port}"),
            load=Workload(requests=40, timeout_s=5),
            traces=SpanRoutes(output_traces=path),
        )
        found = run(plan).targets["rest"]
    assert (found.requests.started, found.requests.succeeded) == (40, 40)
    assert found.requests.sent_again >= 30, "all but those whose FIN came before they were due"
    assert findings(found)["connection_churn"].severity == "warning"
    again = findings(found)["sent_again"]
    assert again.severity == "info", "connection_churn names the cause"
    assert f"({found.requests.sent_again} as the server closed the connection)" in again.message
    archived = analyze([path]).targets["rest"]
    assert archived == found


@contextmanager
def nginx(folder: Path, forward: str, http2: str) -> Iterator[int]:
    """Debian's nginx in front of a server; it ends each connection after ten requests."""
    if shutil.which("nginx") is None:
        pytest.skip("nginx is not installed")
    folder.chmod(0o755)
    port = free_ports()
    text = CONFIG.format(folder=folder, host=HOST, port=port, http2=http2, forward=forward)
    (folder / "nginx.conf").write_text(text)
    command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            while not (folder / "pid").exists() and process.poll() is None:
                time.sleep(0.01)
            yield port
        finally:
            process.terminate()


@pytest.mark.parametrize(("concurrency", "connections"), [(20, 1), (8, 2), (3, None)])
def test_nginx_ends_http2_connections(
    tmp_path: Path, concurrency: int, connections: int | None
) -> None:
    with old_grpc() as address, nginx(tmp_path, f"grpc_pass grpc://{address}", "http2") as port:
        plan = Plan(
            Payloads(PAYLOAD),
            Targets(grpc_server=f"{HOST}:{port}"),
            load=Workload(requests=200, concurrency=concurrency, connections=connections),
        )
        found = run(plan).targets["grpc"]
    assert (found.requests.started, found.requests.succeeded) == (200, 200)
    if connections == 1:
        assert found.requests.sent_again > 0
        assert "GOAWAY" in findings(found)["sent_again"].message


def test_nginx_ends_http1_connections(tmp_path: Path) -> None:
    with old_rest() as url, nginx(tmp_path, f"proxy_pass {url}", "") as port:
        plan = Plan(
            Payloads(PAYLOAD),
            Targets(rest_url=f"http://{HOST}:{port}"),
            load=Workload(requests=200, concurrency=4),
        )
        found = run(plan).targets["rest"]
    assert (found.requests.started, found.requests.succeeded) == (200, 200)
    assert found.requests.sent_again == 0, "nginx announces the end with Connection: close"

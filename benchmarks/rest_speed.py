"""REST throughput against nginx, 24 KB bodies: tracebench, wrk, hey and requests in threads.

nginx answers 200 with a timing header, so that every request is decomposed. It has core 0, the
client core 1.
"""

import sys
import tempfile
import time
from pathlib import Path

from benchmarks.side_by_side import missing, output, rounds, running, table, tracebench

PORT, BODY_BYTES, SECONDS, ROUNDS = 18_090, 24_576, 2, 3
URL = f"http://127.0.0.1:{PORT}/predict"
NGINX = """
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 1000000000; client_body_buffer_size 1m;
  client_body_temp_path {folder}/body;
  server {{ listen 127.0.0.1:{port}; location / {{
    add_header X-Timing-Info '{{"server_processing": $request_time}}'; return 200 "ok"; }} }} }}
"""
WRK = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "image/jpeg"
local file = io.open("{body}", "rb")
wrk.body = file:read("*a")
"""


def main() -> None:
    if absent := missing("nginx", "wrk", "hey", "taskset"):
        print(f"skipped: rest_speed needs {', '.join(absent)}")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        body, script, config = folder / "body.bin", folder / "post.lua", folder / "nginx.conf"
        body.write_bytes(bytes(range(256)) * (BODY_BYTES // 256))
        script.write_text(WRK.format(body=body))
        config.write_text(NGINX.format(folder=folder, port=PORT))
        with running("nginx", "-c", str(config)):
            time.sleep(0.5)
            for concurrency in (10, 32):
                measure(concurrency, body, script)


def measure(concurrency: int, body: Path, script: Path) -> None:
    tools = {
        "wrk": lambda: wrk(concurrency, script),
        "tracebench": lambda: ours(concurrency, body),
        "hey": lambda: hey(concurrency, body),
        "requests in threads": lambda: threads(concurrency, body),
    }
    found = rounds(tools, ROUNDS)
    table(f"REST, {BODY_BYTES} B, nginx, c = {concurrency}", found, "req/s", "wrk")


def wrk(concurrency: int, script: Path) -> float:
    text = output("wrk", "-t1", f"-c{concurrency}", f"-d{SECONDS}", "-s", str(script), URL)
    return float(text.split("Requests/sec:")[1].split()[0])


def hey(concurrency: int, body: Path) -> float:
    options = ["-z", f"{SECONDS}s", "-c", str(concurrency), "-cpus", "1", "-m", "POST"]
    text = output("hey", *options, "-T", "image/jpeg", "-D", str(body), URL)
    return float(text.split("Requests/sec:")[1].split()[0])


def ours(concurrency: int, body: Path) -> float:
    result = tracebench(
        *("--data", str(body), "--content-type", "image/jpeg", "--rest-url", URL),
        *("--concurrency", str(concurrency), "--duration", str(SECONDS), "--warmup", "1000"),
    )
    assert result["decomposed"] > 0.99 * result["requests"]["started"]
    return float(result["throughput_rps"])


def threads(concurrency: int, body: Path) -> float:
    module = ("-m", "benchmarks.threads_client")
    return float(output(sys.executable, *module, URL, str(body), str(concurrency), str(SECONDS)))


if __name__ == "__main__":
    main()

"""Where one local address has too few ports, `--bind` has as many again with each further one.

In a network namespace of its own, whose range of local ports has ten.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]
PORTS = "40000 40009"
SERVED = """
import sys
from tests.servers import answering, reply, serving
from tracebench.__main__ import main
closes = "Connection: close" if sys.argv.pop(1) == "closes" else "A: b"
with serving(answering(reply(b"ok", "200 OK", closes))) as port:
    sys.argv[1:] = [one.replace("PORT", str(port)) for one in sys.argv[1:]]
    main()
"""


def inside(how: str, *options: str) -> subprocess.CompletedProcess[str]:
    """A run in the namespace, against a server in it that keeps or closes its connections."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("no unshare or ip: network namespaces need both")
    given = ["run", "--data", "README.md", "--rest-url", "http://127.0.0.1:PORT", *options]
    script = (
        "ip link set lo up && "
        f'echo "{PORTS}" > /proc/sys/net/ipv4/ip_local_port_range && '
        "echo 0 > /proc/sys/net/ipv4/tcp_tw_reuse && "
        'exec "$@"'
    )
    command = ["unshare", "--net", "--map-root-user", "sh", "-c", script, "sh"]
    command += [sys.executable, "-c", SERVED, how, *given]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
    if "unshare failed" in done.stderr:
        pytest.skip(f"no network namespaces here: {done.stderr.strip()}")
    return done


def test_too_many_connections_for_one_address_say_what_to_do() -> None:
    done = inside("keeps", "--concurrency", "16")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "cannot assign requested address" in done.stderr
    assert "--bind" in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2


def test_with_more_addresses_there_is_room(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    options = ("--bind", "127.0.0.2,127.0.0.3", "--output-json", str(file))
    done = inside("keeps", "--concurrency", "16", *options)
    assert file.exists(), done.stderr
    found: Any = json.loads(file.read_text())["targets"]["rest"]
    assert found["requests"]["succeeded"] == 100


def test_ports_used_up_in_the_run_are_a_finding(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    inside("closes", "--concurrency", "2", "--requests", "40", "--output-json", str(file))
    found: Any = json.loads(file.read_text())["targets"]["rest"]
    codes = {one["code"]: one for one in found["verdict"]["findings"]}
    assert "--bind" in codes["no_local_port"]["hint"]
    assert codes["no_local_port"]["severity"] == "invalid"

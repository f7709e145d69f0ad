"""A Dask cluster as docs/scale.md starts it, and three hosts in network namespaces."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.servers import HOST, free_ports
from tools.house import ROOT

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

SERVER = ("-m", "benchmarks.guard.server", "rest", "5", "0")
SUBNET = "10.213.77"
RATE, SECONDS = 400, 4


class Cluster(NamedTuple):
    address: str
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]]
    log: Path


def lines_of_the_paper() -> list[str]:
    """The commands that docs/scale.md gives, without their prompt."""
    text = (ROOT / "docs" / "scale.md").read_text()
    (block,) = re.findall(r"```sh\n(# a cluster on this machine.*?)```", text, re.DOTALL)
    return [line for line in block.splitlines() if line and not line.startswith("#")]


@contextmanager
def started(
    *command: str, inside: str = "", log: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process, perhaps in a network namespace, that ends with the block."""
    within = ("ip", "netns", "exec", inside) if inside else ()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with ExitStack() as opened:
        out = opened.enter_context(log.open("ab")) if log is not None else subprocess.DEVNULL
        process = opened.enter_context(
            subprocess.Popen(
                [*within, *command],
                stdout=subprocess.PIPE if log is None else out,
                stderr=out,
                stdin=subprocess.PIPE,
                env=environment,
                start_new_session=True,
            )
        )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def serving(inside: str = "", host: str = HOST) -> Iterator[str]:
    with started(sys.executable, *SERVER, host, inside=inside) as process:
        assert process.stdout is not None
        yield f"http://{host}:{int(process.stdout.readline())}"


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """A scheduler and two workers, by the lines of the paper, on a port of our own."""
    pytest.importorskip("distributed", reason="no Dask: pip install 'tracebench[cluster]'")
    port = free_ports()
    scheduler, worker, again, run = lines_of_the_paper()
    assert again == worker
    assert run.startswith("tracebench run ")
    dask = str(Path(sys.executable).parent / "dask")
    log = folder / "cluster.log"
    address = f"tcp://{HOST}:{port}"
    with ExitStack() as opened:
        first = scheduler.removesuffix(" &").replace("8786", str(port)).split()[1:]
        head = opened.enter_context(started(dask, *first, "--dashboard-address", ":0", log=log))
        until(lambda: f":{port}" in log.read_text(), "the scheduler did not start")
        rest = worker.removesuffix(" &").replace("8786", str(port)).split()[1:]
        workers = [opened.enter_context(started(dask, *rest, log=log)) for _ in range(2)]
        until(lambda: log.read_text().count("Registered to:") >= 2, "the workers did not start")
        yield Cluster(address, head, workers, log)


def until(ready: Callable[[], bool], why: str) -> None:
    for _ in range(300):
        if ready():
            return
        time.sleep(0.1)
    pytest.fail(why)


def command(url: str, file: Path, *options: str) -> list[str]:
    to = ["--data", str(ROOT / "LICENSE"), "--rest-url", url, "--output-json", str(file), "-v"]
    return [sys.executable, "-m", "tracebench", "run", *to, *options]


def loaded(url: str, folder: Path, *options: str, inside: str = "") -> dict[str, Any]:
    file = folder / "result.json"
    within = ["ip", "netns", "exec", inside] if inside else []
    done = subprocess.run(
        [*within, *command(url, file, *options)], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode in (0, 3), done.stdout + done.stderr  # 3: the machine is too busy
    target: dict[str, Any] = json.loads(file.read_text())["targets"]["rest"]
    return target


OPEN = ("--rate", str(RATE), "--requests", str(RATE * SECONDS), "--warmup", "50")


def agree(one: dict[str, Any], several: dict[str, Any]) -> None:
    """The same load; latencies are compared where the machine was not too busy for either."""
    assert several["requests"] == one["requests"]
    assert several["decomposed"] == one["decomposed"] == RATE * SECONDS
    a, b = one["latency"]["p50_ms"], several["latency"]["p50_ms"]
    busy = {"loop_lag", "client_saturated", "noisy_neighbour", "cpu_shared"}
    found = {f["code"] for target in (one, several) for f in target["verdict"]["findings"]}
    assert found & busy or abs(a - b) <= max(0.03 * a, 0.05), (a, b)


def test_a_local_cluster_makes_the_same_load(tmp_path: Path) -> None:
    with serving() as url, cluster(tmp_path) as found:
        one = loaded(url, tmp_path, *OPEN)
        secret = ("--header", "Authorization: Bearer s3cret-value-of-a-key")
        several = loaded(url, tmp_path, *OPEN, *secret, "--cluster", found.address)
        assert "s3cret" not in found.log.read_text()
    agree(one, several)
    assert [one["requests"] for one in several["workers"]] == [RATE * SECONDS / 2] * 2
    assert all(one["clock_within_ms"] == 0 for one in several["workers"]), "one machine, one clock"


@contextmanager
def in_background(url: str, folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command(url, folder / "result.json", *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
    ) as process:
        yield process


LONG = ("--concurrency", "4", "--duration", "6")


def test_killing_a_worker_loses_its_share_only(tmp_path: Path) -> None:
    with (
        serving() as url,
        cluster(tmp_path) as found,
        in_background(url, tmp_path, *LONG, "--cluster", found.address) as running,
    ):
        until(lambda: found.log.read_text().count("'glance'") > 2, "the load did not begin")
        os.killpg(found.workers[0].pid, signal.SIGKILL)
        said, _ = running.communicate(timeout=60)
    assert running.returncode == 0, said
    target = json.loads((tmp_path / "result.json").read_text())["targets"]["rest"]
    lost = [one for one in target["workers"] if one["lost"]]
    assert len(lost) == 1, said
    assert "worker_lost" in {one["code"] for one in target["verdict"]["findings"]}
    assert target["requests"]["started"] > 500
    assert target["requests"]["failed"] == 0


def test_killing_the_scheduler_ends_the_run(tmp_path: Path) -> None:
    with (
        serving() as url,
        cluster(tmp_path) as found,
        in_background(url, tmp_path, *LONG, "--cluster", found.address) as running,
    ):
        until(lambda: found.log.read_text().count("'glance'") > 2, "the load did not begin")
        os.killpg(found.scheduler.pid, signal.SIGKILL)
        said, _ = running.communicate(timeout=60)
    assert running.returncode == 3, said
    assert "scheduler went away" in said
    assert "Traceback" not in said


@contextmanager
def three_hosts() -> Iterator[tuple[str, str, str]]:
    """Three network namespaces on one bridge: two for the load, one for the server."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("no rights to make network namespaces")
    names = tuple(f"tb{os.getpid() % 10_000}{letter}" for letter in "abs")
    bridge = f"tb{os.getpid() % 10_000}"

    def ip(*words: str) -> None:
        done = subprocess.run(["ip", *words], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no network namespaces here: {done.stderr.strip()}")

    try:
        ip("link", "add", bridge, "type", "bridge")
        ip("addr", "add", f"{SUBNET}.254/24", "dev", bridge)
        ip("link", "set", bridge, "up")
        for at, name in enumerate(names):
            ip("netns", "add", name)
            ip("link", "add", f"{name}o", "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", f"{name}o", "master", bridge, "up")
            ip("-n", name, "addr", "add", f"{SUBNET}.{at + 1}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield names  # type: ignore[misc]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
            subprocess.run(["ip", "link", "del", f"{name}o"], capture_output=True)
        subprocess.run(["ip", "link", "del", bridge], capture_output=True)


def test_three_hosts_make_the_same_load(tmp_path: Path) -> None:
    """One worker's monotonic clock is an hour ahead, as another machine's may be."""
    pytest.importorskip("distributed", reason="no Dask: pip install 'tracebench[cluster]'")
    dask = str(Path(sys.executable).parent / "dask")
    log, address = tmp_path / "cluster.log", f"tcp://{SUBNET}.1:8786"
    log.touch()
    work = (dask, "worker", "--nthreads", "1", "--dashboard-address", ":0", address)
    ahead = ("unshare", "--time", "--monotonic", "3600", "--fork", "--kill-child", *work)
    with three_hosts() as (a, b, s), ExitStack() as opened:
        url = opened.enter_context(serving(s, f"{SUBNET}.3"))
        head = (dask, "scheduler", "--host", f"{SUBNET}.1", "--port", "8786")
        opened.enter_context(started(*head, "--dashboard-address", ":0", inside=a, log=log))
        until(lambda: ":8786" in log.read_text(), "the scheduler did not start")
        opened.enter_context(started(*work, inside=a, log=log))
        opened.enter_context(started(*ahead, inside=b, log=log))
        until(lambda: log.read_text().count("Registered to:") >= 2, "the workers did not start")
        one = loaded(url, tmp_path, *OPEN, inside=a)
        several = loaded(url, tmp_path, *OPEN, "--cluster", address, inside=a)
    agree(one, several)
    assert [one["requests"] for one in several["workers"]] == [RATE * SECONDS / 2] * 2
    assert sum(one["clock_within_ms"] > 0 for one in several["workers"]) == 1
    found = {one["code"] for one in several["verdict"]["findings"]}
    assert not found & {"worker_lost", "rate_not_met", "clock_moved"}
    assert abs(several["duration_s"] - one["duration_s"]) < 0.2

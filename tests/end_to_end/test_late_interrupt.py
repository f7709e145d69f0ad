"""Ctrl-C after the load has ended: what was measured is not lost any more."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.old_servers import old_grpc, old_rest
from tests.servers import HOST, answering, reply, serving
from tracebench import benchmark
from tracebench.analysis.summary import summary
from tracebench.load.progress import Watcher
from tracebench.model.plan import Payload, Payloads, Plan, Targets, Workload
from tracebench.model.progress import Progress
from tracebench.report.answer.table import render

ROOT = Path(__file__).parents[2]


def test_while_one_target_is_analysed_the_other_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    summarise = summary.summarise

    def interrupted(*arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return summarise(*arguments)

    monkeypatch.setattr(benchmark, "summarise", interrupted)
    payload = Payload(b"\x89PNG", "image/png", "x.png", "image")
    with old_rest() as url, old_grpc() as address:
        plan = Plan(
            Payloads(payload),
            Targets(rest_url=url, grpc_server=address, sequential=True),
            load=Workload(requests=20),
        )
        [(name, target)] = benchmark.run(plan).targets.items()
    assert (name, target.decomposed) == ("rest", 20)
    [message] = [one.message for one in target.verdict.findings if one.code == "interrupted"]
    assert "before the other targets' turn" in message


def test_while_targets_measured_by_turns_are_analysed_all_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    summarise = summary.summarise

    def interrupted(*arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return summarise(*arguments)

    monkeypatch.setattr(benchmark, "summarise", interrupted)
    payload = Payload(b"\x89PNG", "image/png", "x.png", "image")
    with old_rest() as url, old_grpc() as address:
        targets = Targets(rest_url=url, grpc_server=address)
        plan = Plan(Payloads(payload), targets, load=Workload(requests=20))
        found = benchmark.run(plan).targets
    assert {name: one.decomposed for name, one in found.items()} == {"rest": 20, "grpc": 20}


class Impatient(Watcher):
    """Presses Ctrl-C when some requests have come back."""

    def progress(self, progress: Progress) -> None:
        if progress.finished >= 10:
            os.kill(os.getpid(), signal.SIGINT)


def test_in_the_midst_of_the_load_it_is_told_how_far_it_came() -> None:
    payload = Payload(b"\x89PNG", "image/png", "x.png", "image")
    with old_rest() as url:
        plan = Plan(Payloads(payload), Targets(rest_url=url), load=Workload(requests=100_000))
        result = benchmark.run(plan, Impatient())
    target = result.targets["rest"]
    assert target.interrupted_at is not None
    assert 0 < target.interrupted_at < 0.1
    assert "INTERRUPTED AT " in render(result)  # and not valid, on a busy machine


@pytest.mark.slow
def test_while_the_result_is_written(tmp_path: Path) -> None:
    plot, file = tmp_path / "result.png", tmp_path / "result.json"
    with serving(answering(reply())) as port:
        command = [sys.executable, "-m", "tracebench", "run", "--image", __file__]
        command += ["--rest-url", f"http://{HOST}:{port}", "--requests", "200"]
        command += ["--output-plot", str(plot), "--output-json", str(file)]
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        while not file.exists() and process.poll() is None:
            time.sleep(0.002)  # the plot comes after it, and takes a second
        process.send_signal(signal.SIGINT)
        _, complained = process.communicate(timeout=30)
    assert "still writing; press Ctrl-C again to abandon it" in complained
    assert process.returncode in (0, 3), complained
    assert plot.stat().st_size > 1_000
    assert json.loads(file.read_text())["targets"]["rest"]["requests"]["succeeded"] == 200

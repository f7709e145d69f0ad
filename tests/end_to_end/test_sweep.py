"""Sweeps over real servers whose limit is known: each must be found, and named."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path

import pytest
from flask import Flask, request
from PIL import Image

from server_middleware import component, instrument
from tests.example.pictures import COFFEE
from tests.example.programs import program, told
from tests.middleware.serving import waitress_serving
from tests.servers import HOST, answering, reply, serving
from tools.house import ROOT
from tracebench.load.progress import SweepWatcher, Watcher
from tracebench.model.plan import Payload, Payloads, Plan, Targets, Workload
from tracebench.model.results.sweep import Sweep
from tracebench.studies.sweep import sweep

PAYLOAD = Payload(b"x" * 1000, "application/octet-stream", "x", "data")
SERVICE_S = 0.02


@contextmanager
def workers(count: int) -> Iterator[str]:
    """A pool of threads, each of which takes 20 ms, and no core, for a request."""
    app = Flask(__name__)

    @app.post("/predict")
    def predict() -> str:
        request.get_data()
        with component("inference"):
            time.sleep(SERVICE_S)
        return "ok"

    instrument(app)
    with waitress_serving(app, count) as url:
        yield url


def swept(url: str, *loads: float) -> Sweep:
    plan = Plan(
        Payloads(PAYLOAD), Targets(rest_url=url), load=Workload(requests=None, duration_s=0.7)
    )
    return sweep(plan, "concurrency", loads)


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize(("count", "loads"), [(1, (1, 2, 4)), (4, (1, 4, 16))])
def test_a_pool_of_workers(count: int, loads: tuple[float, ...]) -> None:
    with workers(count) as url:
        found = swept(url, *loads).scaling["rest"]
    assert found.bottleneck is not None
    assert (found.bottleneck.component, found.bottleneck.cause) == ("network", "waiting")
    assert found.bottleneck.load > count
    assert found.bottleneck.at_a_time == pytest.approx(count, rel=0.25)
    assert found.knee == pytest.approx(count, rel=0.25)
    assert found.capacity_rps is not None
    assert 0.7 * count / SERVICE_S < found.capacity_rps < 1.02 * count / SERVICE_S
    assert found.sentence.startswith("the server's pool of workers (or cores) saturates first")
    assert "waiting before the server's span" in found.sentence
    for point in found.points:
        assert sum(point.in_flight.values()) == pytest.approx(point.load, rel=0.15)


@pytest.mark.alone
@pytest.mark.slow
def test_rates_are_doubled_until_one_is_not_met() -> None:
    with workers(2) as url:
        plan = Plan(
            Payloads(PAYLOAD),
            Targets(rest_url=url),
            load=Workload(requests=None, duration_s=0.7, concurrency=32),
        )
        found = sweep(plan, "rate", None)
    assert found.steps[-1].load in (80, 160)
    assert found.ended.endswith("/s was not reached")
    assert found.valid
    scaling = found.scaling["rest"]
    assert scaling.knee == pytest.approx(2 / SERVICE_S, rel=0.3)
    assert scaling.sentence.startswith("the server's pool of workers (or cores) saturates first")


@pytest.mark.alone
@pytest.mark.slow
def test_the_example_server_with_one_model_instance() -> None:
    arguments = ("-m", "tracebench", "serve", "--rest-port", "0", "--grpc-port", "0")
    with program(*arguments, "--instances", "1") as process:
        rest, grpc = (line.split()[1] for line in told(process))
        plan = Plan(
            Payloads(Payload(_small(COFFEE), "image/jpeg", "coffee.jpg", "image")),
            Targets(rest_url=rest, grpc_server=grpc),
            load=Workload(requests=None, duration_s=1.0),
        )
        found = sweep(plan, "concurrency", (1, 4))  # well past the knee: neighbours make noise
    for scaling in found.scaling.values():
        assert scaling.sentence.startswith("inference saturates first"), scaling.sentence
        assert "one model instance" in scaling.sentence
        assert "add model instances" in scaling.sentence


def _small(picture: bytes) -> bytes:
    """The picture as the model takes it, so that decoding it is no larger part than the model."""
    buffer = BytesIO()
    with Image.open(BytesIO(picture)) as opened:
        opened.convert("RGB").resize((256, 256)).save(buffer, "JPEG")
    return buffer.getvalue()


class Ending(SweepWatcher):
    """Ends the server before the third step."""

    def __init__(self, server: ExitStack) -> None:
        self._server = server

    def begins(self, load: float) -> Watcher:
        if load == 3:
            self._server.close()
        return Watcher()


@pytest.mark.parametrize("loads", [(1, 2, 3, 4), (2, 3)])
def test_a_step_that_fails_leaves_what_was_measured(loads: tuple[float, ...]) -> None:
    with ExitStack() as server:
        port = server.enter_context(serving(answering(reply(), service_s=0.005)))
        plan = Plan(
            Payloads(PAYLOAD), Targets(rest_url=f"http://{HOST}:{port}"), load=Workload(requests=20)
        )
        found = sweep(plan, "concurrency", loads, Ending(server))
    assert [step.load for step in found.steps] == [load for load in loads if load < 3]
    assert found.ended.startswith("the step at 3 failed: ")
    assert not found.valid
    assert not found.interrupted


@pytest.mark.alone
@pytest.mark.slow
def test_auto_ends_where_throughput_does_not_grow() -> None:
    with workers(1) as url:
        found = sweep(
            Plan(Payloads(PAYLOAD), Targets(rest_url=url), load=Workload(requests=30)),
            "concurrency",
            None,
        )
    assert [step.load for step in found.steps] in ([1, 2, 4], [1, 2, 4, 8])
    assert found.ended == "throughput stopped growing"
    assert found.valid


@pytest.mark.slow
def test_an_interrupted_sweep_saves_what_was_measured(tmp_path: Path) -> None:
    file = tmp_path / "sweep.json"
    with serving(answering(reply(), service_s=0.01)) as port:
        command = [sys.executable, "-m", "tracebench", "sweep", "--data", "README.md"]
        command += ["--rest-url", f"http://{HOST}:{port}", "--concurrency", "1,2"]
        command += ["--duration", "2", "--output-json", str(file)]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) as process:
            assert process.stderr is not None
            lines = iter(process.stderr.readline, "")
            assert any(line.startswith("concurrency 1: ") for line in lines)
            time.sleep(1.0)
            process.send_signal(signal.SIGINT)
            printed, complained = process.communicate(timeout=30)
    assert process.returncode == 130, complained
    assert "Traceback" not in complained
    saved = json.loads(file.read_text())
    assert saved["schema"] == "tracebench.sweep/1"
    assert [step["load"] for step in saved["steps"]] == [1, 2]
    assert saved["interrupted"]
    assert "ended: it was interrupted" in printed

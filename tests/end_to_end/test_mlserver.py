"""A real MLServer, over both of its protocols, from an environment of its own.

python -m venv ENV && ENV/bin/pip install mlserver
MLSERVER=ENV/bin/mlserver python -m pytest tests/end_to_end/test_mlserver.py
"""

import os
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from tracebench.benchmark import run, try_once
from tracebench.errors import TargetError
from tracebench.model.plan import Plan

pytestmark = pytest.mark.slow

MODEL = """
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceResponse, ResponseOutput


class Sums(MLModel):
    async def load(self):
        return True

    async def predict(self, payload):
        outputs = []
        for one in payload.inputs:
            if one.datatype == "BYTES":
                total = sum(map(len, StringCodec.decode_input(one)))
            else:
                total = NumpyCodec.decode_input(one).sum()
            data = [round(float(total), 4)]
            outputs.append(ResponseOutput(name=one.name, shape=[1], datatype="FP64", data=data))
        return InferenceResponse(model_name=self.name, outputs=outputs)
"""
SETTINGS = """{"name": "sums", "implementation": "model.Sums", "inputs": [
  {"name": "pixels", "datatype": "FP32", "shape": [-1, 3, 4, 4]},
  {"name": "ids", "datatype": "INT64", "shape": [-1, 8]},
  {"name": "flags", "datatype": "BOOL", "shape": [2]},
  {"name": "words", "datatype": "BYTES", "shape": [-1, 2]}]}"""


class Served(NamedTuple):
    rest_url: str
    grpc_server: str


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    program = shutil.which(os.environ.get("MLSERVER", "mlserver"))
    if program is None:
        pytest.skip("no MLServer: see the top of this file")
    folder = tmp_path_factory.mktemp("mlserver")
    (folder / "model.py").write_text(MODEL)
    (folder / "model-settings.json").write_text(SETTINGS)
    http, rpc, metrics = free_ports(3)
    ports = {"HTTP": http, "GRPC": rpc, "METRICS": metrics}
    environment = {f"MLSERVER_{name}_PORT": str(port) for name, port in ports.items()}
    environment |= {"MLSERVER_HOST": "127.0.0.1", "MLSERVER_PARALLEL_WORKERS": "0"}
    process = start(program, folder, os.environ | environment)
    try:
        await_ready(f"http://127.0.0.1:{http}/v2/models/sums/ready", process)
        yield Served(f"http://127.0.0.1:{http}", f"127.0.0.1:{rpc}")
    finally:
        process.terminate()
        process.wait(20)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def start(program: str, folder: Path, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    environment.pop("PYTHONPATH", None)  # the server's environment has packages of its own
    with (folder / "log").open("wb") as log:
        command = [program, "start", str(folder)]
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)


def await_ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s and process.poll() is None:
        with suppress(urllib.error.URLError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.2)
    pytest.fail("MLServer did not become ready")


def test_both_protocols_get_one_answer(server: Served) -> None:
    plan = Plan((), oip="sums", rest_url=server.rest_url, grpc_server=server.grpc_server)
    trials = try_once(plan)
    rest, grpc = (trial.prepared.answer for trial in trials.values())
    total = re.search(r'"data": ?\[([0-9.]+)\]', rest)
    assert total is not None
    assert f'"fp64_contents": [{total[1]}]' in grpc


def test_every_answer_is_as_expected(server: Served) -> None:
    result = run(
        Plan(
            (),
            oip="sums",
            rest_url=server.rest_url,
            grpc_server=server.grpc_server,
            requests=200,
            concurrency=4,
            expect_json=("model_name=sums", "outputs[3].name=words"),
        )
    )
    assert [one.requests.succeeded for one in result.targets.values()] == [200, 200]


def test_a_model_that_is_not_there(server: Served) -> None:
    for plan in (
        Plan((), oip="nobody", rest_url=server.rest_url),
        Plan((), oip="nobody", grpc_server=server.grpc_server),
    ):
        with pytest.raises(TargetError, match=r"Model nobody .*not found"):
            run(plan)

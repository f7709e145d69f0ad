"""A real MLServer, asked over both of its protocols by `--oip`."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.live.environments import program
from tests.live.test_live import started
from tests.servers import free_ports
from tracebench.benchmark import run, try_once
from tracebench.model.errors import TargetError
from tracebench.model.plan import Calls, Expected, Payloads, Plan, Targets, Workload

pytestmark = pytest.mark.live

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
    mlserver = program("mlserver", "mlserver")
    folder = tmp_path_factory.mktemp("mlserver")
    (folder / "model.py").write_text(MODEL)
    (folder / "model-settings.json").write_text(SETTINGS)
    port, metrics = free_ports(), free_ports()
    environment = {
        "MLSERVER_HOST": "127.0.0.1",
        "MLSERVER_HTTP_PORT": str(port),
        "MLSERVER_GRPC_PORT": str(port + 1),
        "MLSERVER_METRICS_PORT": str(metrics),
        "MLSERVER_PARALLEL_WORKERS": "0",
    }
    ready = f"http://127.0.0.1:{port}/v2/models/sums/ready"
    with started([mlserver, "start", str(folder)], environment, ready, folder):
        yield Served(f"http://127.0.0.1:{port}", f"127.0.0.1:{port + 1}")


def test_both_protocols_get_one_answer(server: Served) -> None:
    plan = Plan(
        Payloads(()),
        Targets(rest_url=server.rest_url, grpc_server=server.grpc_server),
        calls=Calls(oip="sums"),
    )
    trials = try_once(plan)
    rest, grpc = (trial.prepared.answer for trial in trials.values())
    total = re.search(r'"data": ?\[([0-9.]+)\]', rest)
    assert total is not None
    assert f'"fp64_contents": [{total[1]}]' in grpc


def test_every_answer_is_as_expected(server: Served) -> None:
    result = run(
        Plan(
            Payloads(()),
            Targets(rest_url=server.rest_url, grpc_server=server.grpc_server),
            calls=Calls(oip="sums"),
            load=Workload(requests=200, concurrency=4),
            expected=Expected(expect_json=("model_name=sums", "outputs[3].name=words")),
        )
    )
    assert [one.requests.succeeded for one in result.targets.values()] == [200, 200]


def test_a_model_that_is_not_there(server: Served) -> None:
    for plan in (
        Plan(Payloads(()), Targets(rest_url=server.rest_url), calls=Calls(oip="nobody")),
        Plan(Payloads(()), Targets(grpc_server=server.grpc_server), calls=Calls(oip="nobody")),
    ):
        with pytest.raises(TargetError, match=r"Model nobody .*not found"):
            run(plan)

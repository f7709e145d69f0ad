"""The Open Inference Protocol v2 against a server that speaks it over REST and gRPC."""

import json
from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import pytest

from tests.load.oip_server import INPUTS, Served, serving
from tests.plans import plan_of
from tests.servers import HOST, answering, reply
from tests.servers import serving as raw_server
from tracebench.benchmark import run, try_once
from tracebench.load.prepare import open_inference
from tracebench.model.errors import TargetError, TracebenchError, UsageError
from tracebench.model.plan import Calls, Payload, Payloads, Plan, Targets
from tracebench.model.results.result import Result


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with serving() as served:
        yield served


def plan(server: Served, document: Any = None, model: str = "sums", **more: Any) -> Plan:
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    payload = Payload(content, "application/json", "tensors.json", "json")
    targets = {"rest_url": server.rest_url, "grpc_server": server.grpc_server}
    options: dict[str, Any] = {"oip": model, "requests": 5, **targets, **more}
    return plan_of(() if document is None else payload, **options)


def measured(server: Served, document: Any = None, **more: Any) -> tuple[Result, Any, Any]:
    """Run; gives the result, and what each server was sent last."""
    server.seen.clear()
    result = run(plan(server, document, **more))
    assert [one.requests.succeeded for one in result.targets.values()] == [5, 5]
    posted, called, *rest = server.seen  # one each before the run
    assert all(one in (posted, called) for one in rest)  # some do not count, for they alternate
    return result, posted, called


def test_tensors_are_made_up_from_the_models_metadata(server: Served) -> None:
    result, posted, called = measured(server)
    assert [one["name"] for one in posted["inputs"]] == list(INPUTS)
    for one in posted["inputs"]:
        datatype, shape = INPUTS[one["name"]]
        assert one["datatype"] == datatype
        assert one["shape"] == [max(size, 1) for size in shape]
        assert len(one["data"]) == prod(one["shape"])
    assert called.model_name == "sums"
    assert result.plan["oip"] == "sums"
    assert result.plan["sent"]["rest"]["count"] == 1
    assert result.plan["sent"]["grpc"]["smallest_bytes"] == called.ByteSize()


def test_both_protocols_carry_the_same_tensors(server: Served) -> None:
    _, posted, called = measured(server)
    contents: list[tuple[str, Callable[[Any], Any]]] = [
        ("bool_contents", list),
        ("int64_contents", list),
        ("uint_contents", list),
        ("fp32_contents", lambda given: pytest.approx(list(given), abs=1e-6)),
        ("bytes_contents", lambda given: [one.decode() for one in given]),
    ]
    for one, tensor, (field, like) in zip(posted["inputs"], called.inputs, contents, strict=True):
        assert (one["name"], one["datatype"]) == (tensor.name, tensor.datatype)
        assert one["shape"] == list(tensor.shape)
        assert one["data"] == like(getattr(tensor.contents, field))


def test_a_seed_names_the_values(server: Served) -> None:
    first, again, other = (measured(server, seed=seed)[1] for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_tensors_from_a_file(server: Served) -> None:
    document = {
        "id": "7",
        "parameters": {"n": 1, "x": 0.5, "on": True, "s": "t"},
        "inputs": [
            {"name": "a", "shape": [2, 2], "datatype": "INT32", "data": [[1, 2], [3, -4]]},
            {"name": "b", "shape": [1], "datatype": "BYTES", "data": ["é"]},
        ],
        "outputs": [{"name": "y", "parameters": {"binary_data": False}}],
    }
    _, posted, called = measured(server, document)
    assert posted == document
    assert called.id == "7"
    assert called.parameters["n"].int64_param == 1
    assert called.parameters["x"].double_param == 0.5
    assert called.parameters["on"].bool_param is True
    assert called.parameters["s"].string_param == "t"
    assert list(called.inputs[0].contents.int_contents) == [1, 2, 3, -4]
    assert list(called.inputs[1].contents.bytes_contents) == ["é".encode()]
    assert called.outputs[0].parameters["binary_data"].WhichOneof("parameter_choice")


def test_types_without_typed_contents_are_sent_raw(server: Served) -> None:
    document = {
        "inputs": [
            {"name": "h", "shape": [2], "datatype": "FP16", "data": [1, -0.5]},
            {"name": "b", "shape": [1], "datatype": "BF16", "data": [1.0]},
            {"name": "i", "shape": [1], "datatype": "INT32", "data": [-2]},
            {"name": "s", "shape": [2], "datatype": "BYTES", "data": ["ab", ""]},
        ]
    }
    _, _, called = measured(server, document)
    assert list(called.raw_input_contents) == [
        bytes.fromhex("003c00b8"),
        bytes.fromhex("803f"),
        bytes.fromhex("feffffff"),
        b"\2\0\0\0ab\0\0\0\0",
    ]
    assert not any(tensor.HasField("contents") for tensor in called.inputs)


def test_expectations_and_what_a_dry_run_shows(server: Served) -> None:
    expect = ("model_name=sums", "outputs[1].name=ids")
    trials = try_once(plan(server, expect_json=expect))
    assert [trial.exchange.reason for trial in trials.values()] == ["", ""]
    assert json.loads(trials["grpc"].prepared.answer)["outputs"][0]["name"] == "flags"


@pytest.mark.parametrize("target", ["rest_url", "grpc_server"])
@pytest.mark.parametrize(
    ("model", "said"),
    [("nobody", "no model nobody"), ("asleep", "not ready"), ("mute", "give them with --json")],
)
def test_models_that_cannot_be_asked(server: Served, target: str, model: str, said: str) -> None:
    other = {"rest_url": "grpc_server", "grpc_server": "rest_url"}[target]
    with pytest.raises(TracebenchError) as caught:
        run(plan(server, model=model, **{other: None}))
    assert said in str(caught.value)
    assert repr(model) in str(caught.value) or model in str(caught.value)


def test_a_server_that_speaks_something_else(server: Served) -> None:
    nothing = answering(reply(b"nothing", "404 Not Found"))
    with raw_server(nothing) as port, pytest.raises(TargetError, match="does not speak the Open"):
        run(plan(server, rest_url=f"http://{HOST}:{port}", grpc_server=None))


@pytest.mark.parametrize("told", [b'{"inputs": [{"name": "a"}]}', b"[1]", b"<html>", b"[" * 9_000])
def test_metadata_that_cannot_be_read(server: Served, told: bytes) -> None:
    odd = answering(reply(b"{}"), reply(told))
    with raw_server(odd) as port, pytest.raises(TargetError, match="gives no metadata"):
        run(plan(server, rest_url=f"http://{HOST}:{port}", grpc_server=None))


def one(**changes: Any) -> dict[str, Any]:
    given = {"name": "a", "shape": [2], "datatype": "FP32", "data": [1, 2]} | changes
    return {"inputs": [{name: value for name, value in given.items() if value is not None}]}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"{", "'tensors.json' is not valid JSON"),
        ([], 'no "inputs"'),
        ({"inputs": []}, 'no "inputs"'),
        ({"inputs": [1]}, 'no "inputs"'),
        (one(name=None), 'no "name"'),
        (one(shape=[-1]), "'a' has no \"shape\""),
        (one(shape=None), "'a' has no \"shape\""),
        (one(datatype="FLOAT"), "'FLOAT': use one of BOOL"),
        (one(data=None), "'a' has no \"data\""),
        (one(data=[1]), "'a' has 1 values, which do not fill the shape [2]"),
        (one(data=[1, "x"]), "'a' has data that is not FP32"),
        (one(datatype="INT8", data=[1, 2**40]), "'a' has data that is not INT8"),
        (one(datatype="FP16", data=[1, 1e9]), "'a' has data that is not FP16"),
        (one(datatype="FP16", data=[1, "x"]), "'a' has data that is not FP16"),
        (one(datatype="BYTES"), "'a' has data that is not BYTES"),
        (one() | {"outputs": [1]}, '"outputs"'),
        (one() | {"parameters": 1}, '"parameters"'),
    ],
)
def test_requests_that_are_none(server: Served, document: Any, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        run(plan(server, document, rest_url=None))
    assert said in str(caught.value)
    assert "--json 'tensors.json'" in str(caught.value)


def test_only_json_makes_tensors(server: Served) -> None:
    image = Payload(b"\x89PNG", "image/png", "x.png", "image")
    with pytest.raises(UsageError, match="--oip takes its tensors from --json, not from --image"):
        run(Plan(Payloads(image), Targets(rest_url=server.rest_url), calls=Calls(oip="sums")))


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("http://h:8080", "http://h:8080/v2/models/a%2Fb/infer"),
        ("http://h/base/?q", "http://h/base/v2/models/a%2Fb/infer"),
    ],
)
def test_urls(url: str, where: str) -> None:
    assert open_inference.infer_url(url, "a/b") == where


def test_a_url_that_has_the_path_already() -> None:
    with pytest.raises(UsageError, match="leave '/v2/models/m/infer' out"):
        open_inference.infer_url("http://h/v2/models/m/infer", "m")


@pytest.mark.parametrize(("datatype", "shape"), [("FP8", (1,)), ("FP32", (5_000, 5_000))])
def test_inputs_that_cannot_be_made_up(datatype: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"'x'.*give it with --json"):
        open_inference.generated_tensors([open_inference.Tensor("x", datatype, shape)], 0)

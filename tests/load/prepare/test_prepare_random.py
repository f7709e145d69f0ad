"""Whatever a file or a server says is taken, or refused in words: nothing else is ever raised."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.load.zoo import SERVICE, classify
from tracebench.load.prepare import grpc_descriptors, open_inference
from tracebench.model.errors import TracebenchError
from tracebench.model.plan import Payload
from tracebench.model.record.exchange import Reply
from tracebench.protos.reflection_pb2 import Response

JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["inputs", "outputs", "name", "shape", "datatype", "data", "parameters"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
NUMBERS = st.integers(-(2**70), 2**70) | st.floats() | st.booleans() | st.none() | st.text()
TENSORS = st.fixed_dictionaries(
    {
        "name": st.text(max_size=3),
        "shape": st.lists(st.integers(0, 3), max_size=2),
        "datatype": st.sampled_from(["BOOL", "INT8", "UINT64", "FP16", "BF16", "FP64", "BYTES"]),
        "data": st.lists(NUMBERS | st.lists(NUMBERS, max_size=3), max_size=4),
    },
    optional={"parameters": JSON},
)
REQUESTS = JSON | st.fixed_dictionaries({"inputs": st.lists(TENSORS, max_size=2)})


def refusal(read: Callable[..., object], *given: object) -> str:
    try:
        read(*given)
    except TracebenchError as error:
        return str(error)
    return ""


@given(REQUESTS)
def test_tensors(document: Any) -> None:
    try:
        open_inference.check_tensors(document)
        message = open_inference.tensor_message(document, "m")
    except TracebenchError:
        return
    assert [one.name for one in message.inputs] == [one["name"] for one in document["inputs"]]


@given(st.binary(max_size=60) | REQUESTS.map(lambda one: json.dumps(one).encode()))
def test_files(content: bytes) -> None:
    payload = Payload(content, "application/json", "x.json", "json")
    for read in (open_inference.read_document, classify().encode):
        refused = refusal(read, payload)
        assert not refused or "x.json" in refused


@given(st.lists(st.binary(max_size=80), min_size=1, max_size=3), st.data())
def test_reflection(files: list[bytes], data: st.DataObject) -> None:
    def call(_method: str, _message: bytes) -> tuple[Reply, str]:
        answer = Response()
        answer.file_descriptor_response.file_descriptor_proto.extend(files)
        body = data.draw(st.just(answer.SerializeToString()) | st.binary(max_size=40))
        return Reply("OK", {}, body), ""

    assert "\n" not in refusal(grpc_descriptors.pool_of_server, call, SERVICE)

import json
from collections.abc import Iterator

import grpc
import pytest

from tests.example.pictures import BAD, COFFEE
from tracebench.example.serve import Addresses
from tracebench.protos.inference_pb2 import PredictRequest
from tracebench.protos.inference_pb2_grpc import InferenceServiceStub

LIMIT = 32 << 20
PARTS = {"preprocessing", "inference", "postprocessing"}


@pytest.fixture(scope="module")
def stub(servers: Addresses) -> Iterator[InferenceServiceStub]:
    with grpc.insecure_channel(servers.grpc_server) as channel:
        yield InferenceServiceStub(channel)  # type: ignore[no-untyped-call] # generated


@pytest.fixture(autouse=True)
def goes_on(stub: InferenceServiceStub) -> Iterator[None]:
    """Whatever a test sent: the next picture is classified."""
    yield
    assert label(stub, COFFEE) == "espresso"


def label(stub: InferenceServiceStub, content: bytes) -> str:
    response = stub.Predict(PredictRequest(image_data=content))
    return str(json.loads(response.result)["predictions"][0]["label"])


def refusal(stub: InferenceServiceStub, content: bytes) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(PredictRequest(image_data=content))
    return caught.value.code(), str(caught.value.details())


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD)
def test_bad_pictures(stub: InferenceServiceStub, content: bytes, message: str) -> None:
    code, details = refusal(stub, content)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert details.startswith(message)


@pytest.mark.parametrize("length", [LIMIT, 100_000_000])
def test_messages_over_the_limit(stub: InferenceServiceStub, length: int) -> None:
    code, details = refusal(stub, bytes(length))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert str(LIMIT) in details


def test_a_message_below_the_limit_is_read(stub: InferenceServiceStub) -> None:
    code, _ = refusal(stub, bytes(LIMIT - 64))
    assert code is grpc.StatusCode.INVALID_ARGUMENT


def test_a_message_of_another_kind(servers: Addresses) -> None:
    with grpc.insecure_channel(servers.grpc_server) as channel:
        call = channel.unary_unary("/inference.InferenceService/Predict", None, None)
        with pytest.raises(grpc.RpcError) as caught:
            call(b"\xff\xff\xff")
    assert caught.value.code() is grpc.StatusCode.INTERNAL


def test_another_method(servers: Addresses) -> None:
    with grpc.insecure_channel(servers.grpc_server) as channel:
        call = channel.unary_unary("/inference.InferenceService/Classify", None, None)
        with pytest.raises(grpc.RpcError) as caught:
            call(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_the_result_is_json(stub: InferenceServiceStub) -> None:
    predictions = json.loads(stub.Predict(PredictRequest(image_data=COFFEE)).result)["predictions"]
    assert [set(one) for one in predictions] == [{"label", "probability"}] * 5


def test_timings_are_mirrored_to_who_asks(stub: InferenceServiceStub) -> None:
    asked = stub.Predict(PredictRequest(image_data=COFFEE, enable_timing=True))
    times_ms = {one.component: one.duration_ms for one in asked.timing_info}
    assert set(times_ms) >= {*PARTS, "server_processing"}
    assert 0 < sum(times_ms[part] for part in PARTS) <= times_ms["server_processing"]
    assert not stub.Predict(PredictRequest(image_data=COFFEE)).timing_info

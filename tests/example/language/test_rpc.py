from collections.abc import Iterator

import grpc
import pytest

from tests.example.programs import LIMIT_S
from tracebench.example.language.tokenizer import encode
from tracebench.example.serve import Addresses
from tracebench.protos.completions_pb2 import CompletionChunk, CompletionRequest
from tracebench.protos.completions_pb2_grpc import CompletionsStub

PROMPT = " ba" * 10


@pytest.fixture(scope="module")
def stub(servers: Addresses) -> Iterator[CompletionsStub]:
    with grpc.insecure_channel(servers.grpc_server) as channel:
        yield CompletionsStub(channel)  # type: ignore[no-untyped-call] # generated


def answer(stub: CompletionsStub, request: CompletionRequest) -> list[CompletionChunk]:
    return list(stub.Complete(request, timeout=LIMIT_S))


def test_a_message_a_token(stub: CompletionsStub) -> None:
    come = answer(stub, CompletionRequest(prompt=PROMPT, max_tokens=5, ignore_eos=True))
    assert [len(encode(one.text)) for one in come] == [1] * 5
    assert [one.finish_reason for one in come] == [""] * 4 + ["length"]
    assert [one.HasField("usage") for one in come] == [False] * 4 + [True]
    assert (come[-1].usage.prompt_tokens, come[-1].usage.completion_tokens) == (10, 5)


def test_what_is_not_set_is_usual(stub: CompletionsStub) -> None:
    come = answer(stub, CompletionRequest(prompt=PROMPT, ignore_eos=True))
    assert come[-1].usage.completion_tokens == len(come) == 16


def test_an_end_that_it_finds_itself(stub: CompletionsStub) -> None:
    come = answer(stub, CompletionRequest(prompt=PROMPT, max_tokens=1500))
    assert come[-1].text == ""
    assert come[-1].finish_reason == "stop"
    assert come[-1].usage.completion_tokens == len(come) - 1


@pytest.mark.parametrize(
    ("request_", "code", "why"),
    [
        (CompletionRequest(), grpc.StatusCode.INVALID_ARGUMENT, "prompt is empty"),
        (
            CompletionRequest(prompt="a", max_tokens=0),
            grpc.StatusCode.INVALID_ARGUMENT,
            "max_tokens is 0",
        ),
        (CompletionRequest(prompt="a", model="gpt"), grpc.StatusCode.NOT_FOUND, "'gpt'"),
    ],
)
def test_what_cannot_be_answered(
    stub: CompletionsStub, request_: CompletionRequest, code: grpc.StatusCode, why: str
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        answer(stub, request_)
    assert caught.value.code() == code
    assert why in str(caught.value.details())


def test_who_hangs_up_makes_room(stub: CompletionsStub) -> None:
    endless = CompletionRequest(prompt=PROMPT, max_tokens=1500, ignore_eos=True)
    for _ in range(5):
        call = stub.Complete(endless, timeout=LIMIT_S)
        next(call)
        call.cancel()
    come = answer(stub, CompletionRequest(prompt=PROMPT, max_tokens=2, ignore_eos=True))
    assert len(come) == 2

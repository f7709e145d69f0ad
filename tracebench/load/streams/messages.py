"""Which messages of a gRPC stream carry tokens."""

from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf.message import DecodeError, Message

from tracebench.load.streams.tokens import Answer
from tracebench.model.errors import excerpt
from tracebench.protos.open_inference_pb2 import ModelStreamInferResponse

_FINAL = "triton_final_response"
"""The parameter that marks the last response, which may have no outputs."""


def by_path(
    parse: Callable[[bytes], Message], path: Sequence[str], answer: Answer, data: bytes
) -> int:
    """Count a token if a path into the message leads to a value; returns 0 or 1."""
    try:
        found: Any = parse(data)
        for step in path:
            found = found[int(step)] if step.isdecimal() else getattr(found, step)
    except (AttributeError, DecodeError, IndexError, TypeError):
        return 0
    answer.text = bool(found) or isinstance(found, Message)
    return int(answer.text)


def infer_response(answer: Answer, data: bytes) -> int:
    """Count a token if a response of the Open Inference Protocol's stream has outputs."""
    try:
        said = ModelStreamInferResponse.FromString(data)
    except DecodeError:
        return 0
    answer.known = answer.may_lack_end = True
    if said.error_message:
        answer.error = excerpt(said.error_message)
    answer.ended |= said.infer_response.parameters[_FINAL].bool_param
    answer.text = bool(said.infer_response.outputs) and not answer.error
    return int(answer.text)

"""Which messages of a gRPC stream carry tokens, and which tell how many there were."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
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


_TEXT: Final = "text"
_USAGE: Final = "usage"
_INPUT: Final = "prompt_tokens"
_OUTPUT: Final = "completion_tokens"
_CACHED: Final = "cached_tokens"


def tells_usage(kind: type[Message]) -> bool:
    """Whether a message has `text`, and counts tokens in `usage`, as OpenAI's completions do."""
    fields = kind.DESCRIPTOR.fields_by_name
    usage = fields[_USAGE].message_type if _USAGE in fields else None
    if usage is None or _TEXT not in fields or _OUTPUT not in usage.fields_by_name:
        return False
    numbers = [one for name in (_INPUT, _OUTPUT) if (one := usage.fields_by_name.get(name))]
    whole = all(one.cpp_type in _WHOLE for one in numbers)
    return whole and fields[_TEXT].type == FieldDescriptor.TYPE_STRING


_WHOLE: Final = (
    *(FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64),
    *(FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64),
)


def by_usage(parse: Callable[[bytes], Message], answer: Answer, data: bytes) -> int:
    """Count a token if a message has text; the server's own counts replace that in the end."""
    try:
        said: Any = parse(data)
        counted = said.HasField(_USAGE)
    except (DecodeError, ValueError):  # ValueError: it may be repeated
        return 0
    answer.known = answer.may_lack_end = True  # the call's status tells whether it ended well
    if counted:
        usage = said.usage
        answer.output = int(usage.completion_tokens)
        answer.input = int(getattr(usage, _INPUT, answer.input))
        answer.cached = int(getattr(usage, _CACHED, answer.cached))
    answer.text = bool(said.text)
    return int(answer.text)

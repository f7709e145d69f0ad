"""`--oip MODEL`: the Open Inference Protocol v2, over REST and over gRPC."""

import json
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from random import Random
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

from google.protobuf.message import DecodeError, Message

from tracebench.load.prepare.grpc_preflight import GrpcProbe
from tracebench.load.prepare.http_preflight import HttpProbe
from tracebench.model.errors import TargetError, UsageError, excerpt
from tracebench.model.plan import Payload
from tracebench.protos import open_inference_pb2 as oip
from tracebench.protos.open_inference_pb2 import InferTensor, ModelInferRequest

# Tensors of the Open Inference Protocol v2: generated, and converted from JSON to messages.
#
# The protocol: github.com/kserve/open-inference-protocol.

MOST_ELEMENTS: Final = 2**24
_CONTENTS: Final = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
_PACKED: Final = {
    "BOOL": "?",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}
_PARAMETERS: Final = {bool: "bool_param", int: "int64_param", float: "double_param"}
_ONLY_RAW: Final = ("FP16", "BF16")


@dataclass(frozen=True, slots=True)
class Tensor:
    """A model's description of one of its inputs."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    """−1: any size."""


def generated_tensors(tensors: Iterable[Tensor], seed: int) -> dict[str, Any]:
    """Generate a request for a model, in the protocol's JSON.

    Sizes left open become 1. Floats are in [0, 1), and integers are 0 or 1, which suits flags,
    masks and token ids alike. The same seed gives the same values.

    Raises:
        UsageError: an input cannot be generated.
    """
    return {"inputs": [_generated(tensor, seed) for tensor in tensors]}


def _generated(tensor: Tensor, seed: int) -> dict[str, Any]:
    shape = [1 if size < 0 else size for size in tensor.shape]
    random, count = Random(f"{seed} {tensor.name}"), prod(shape)
    where = f"the input {tensor.name!r} ({tensor.datatype}, shape {list(tensor.shape)})"
    if count > MOST_ELEMENTS:
        raise UsageError(f"{where} is too large to generate: give it with --json FILE")
    data: list[Any]
    if tensor.datatype == "BYTES":
        data = [f"{random.getrandbits(32):08x}" for _ in range(count)]
    elif tensor.datatype == "BOOL":
        data = [random.random() < 0.5 for _ in range(count)]
    elif tensor.datatype in ("FP16", "BF16", "FP32", "FP64"):
        data = [round(random.random(), 4) for _ in range(count)]
    elif tensor.datatype in _PACKED:
        data = [random.getrandbits(1) for _ in range(count)]
    else:
        raise UsageError(f"{where} has a type that cannot be generated: give it with --json FILE")
    return {"name": tensor.name, "shape": shape, "datatype": tensor.datatype, "data": data}


def tensor_message(document: Any, model: str) -> ModelInferRequest:
    """Convert the protocol's JSON, already checked, to its gRPC message.

    Values go into the typed contents; if any input has a type without typed contents (FP16, BF16),
    all inputs go into the raw contents, as the protocol requires.

    Raises:
        UsageError: an input's data does not match its type.
    """
    request = ModelInferRequest(model_name=model, id=str(document.get("id", "")))
    _take_parameters(document, request.parameters)
    raw = any(one["datatype"] in _ONLY_RAW for one in document["inputs"])
    for given in document["inputs"]:
        tensor = request.inputs.add(name=given["name"], datatype=given["datatype"])
        tensor.shape.extend(given["shape"])
        _take_parameters(given, tensor.parameters)
        values = list(_flat(given["data"]))
        try:
            if raw:
                request.raw_input_contents.append(_raw(given["datatype"], values))
            else:
                _fill(tensor, values)
        except (ArithmeticError, AttributeError, TypeError, ValueError, struct.error) as error:
            raise _wrong(given, f"has data that is not {given['datatype']} ({error})") from None
    for wanted in document.get("outputs", ()):
        output = request.outputs.add(name=str(wanted.get("name", "")))
        _take_parameters(wanted, output.parameters)
    return request


def check_tensors(document: Any) -> None:
    """Check that a JSON value is a request of the protocol.

    Raises:
        UsageError: it is not; the message names the input.
    """
    if not isinstance(document, dict) or not _are_objects(document.get("inputs")):
        raise UsageError('it has no "inputs": give [{"name", "shape", "datatype", "data"}]')
    if "outputs" in document and not _are_objects(document["outputs"]):
        raise UsageError('its "outputs" must be a list of objects with a "name"')
    for holder in (document, *document["inputs"], *document.get("outputs", ())):
        if not isinstance(holder.get("parameters", {}), dict):
            raise UsageError('its "parameters" must be an object')
    for one in document["inputs"]:
        _check_input(one)


def _check_input(given: dict[str, Any]) -> None:
    shape, datatype, data = (given.get(name) for name in ("shape", "datatype", "data"))
    if not isinstance(given.get("name"), str):
        raise _wrong(given, 'has no "name"')
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise _wrong(given, 'has no "shape": give a list of sizes')
    if datatype not in _CONTENTS and datatype not in _ONLY_RAW:
        known = ", ".join([*_CONTENTS, *_ONLY_RAW])
        raise _wrong(given, f'has the "datatype" {datatype!r}: use one of {known}')
    if not isinstance(data, list):
        raise _wrong(given, 'has no "data": give a list')
    if (count := sum(1 for _ in _flat(data))) != prod(shape):
        raise _wrong(given, f"has {count} values, which do not fill the shape {shape}")


def _are_objects(given: Any) -> bool:
    return isinstance(given, list) and bool(given) and all(isinstance(one, dict) for one in given)


def _wrong(tensor: Any, why: str) -> UsageError:
    return UsageError(f"the input {tensor.get('name')!r} {why}")


def _flat(data: Iterable[Any]) -> Iterator[Any]:
    for one in data:
        if isinstance(one, list):
            yield from _flat(one)
        else:
            yield one


def _fill(tensor: InferTensor, values: list[Any]) -> None:
    if tensor.datatype == "BYTES":
        values = [value.encode() for value in values]
    getattr(tensor.contents, _CONTENTS[tensor.datatype]).extend(values)


def _raw(datatype: str, values: list[Any]) -> bytes:
    if datatype == "BYTES":
        return b"".join(struct.pack("<I", len(text)) + text for text in map(str.encode, values))
    if datatype == "BF16":  # the upper half of an FP32
        return b"".join(struct.pack("<f", value)[2:] for value in values)
    return struct.pack(f"<{len(values)}{_PACKED[datatype]}", *values)


def _take_parameters(given: Any, parameters: Any) -> None:
    """Copy the parameters in the JSON to a message's map."""
    for name, value in given.get("parameters", {}).items():
        field = _PARAMETERS.get(type(value))
        setattr(parameters[name], field or "string_param", value if field else str(value))


# `--oip MODEL`: the Open Inference Protocol v2, over REST and over gRPC.
#
# Both ask the server whether the model is ready, and, if no request is given, for its inputs.

_SERVICE: Final = "inference.GRPCInferenceService"


def infer_url(url: str, model: str) -> str:
    """The URL to post to: the path of `url`, if any, followed by that of the protocol.

    Raises:
        UsageError: the URL already has that path.
    """
    parts = urlsplit(url)
    if "/v2" in parts.path:
        raise UsageError(f"--oip sets the path itself: leave {parts.path!r} out of --rest-url")
    path = f"{parts.path.rstrip('/')}/v2/models/{quote(model, safe='')}/infer"
    return urlunsplit(parts._replace(path=path, query="", fragment=""))


def rest_payloads(
    visit: HttpProbe, url: str, model: str, payloads: Sequence[Payload], seed: int
) -> Sequence[Payload]:
    """What to post: the payloads that are given, or a generated one.

    Args:
        visit: the probe of the server.
        url: the result of `infer_url`.
        model: the name of the model.
        payloads: the given payloads; if there are none, one is generated.
        seed: the seed of a generated payload.

    Raises:
        UsageError: a request does not follow the protocol, or none can be generated.
        TargetError: the server does not speak it, or the model is not ready.
    """
    model_url = url.removesuffix("/infer")
    _check_ready(visit, model_url, model)
    if payloads:
        for payload in payloads:
            read_document(payload)
        return payloads
    status, said, content = visit.get(model_url)
    try:
        inputs = [_tensor(one) for one in content["inputs"]] if status == 200 else None
    except (KeyError, TypeError, ValueError):
        inputs = None
    if inputs is None:
        raise TargetError(
            f"{model_url} gives no metadata (HTTP {status}: {said}): give tensors with --json FILE"
        )
    document = _made_up(inputs, model, seed)
    text = json.dumps(document).encode()
    return (Payload(text, "application/json", f"tensors for {model}", "json"),)


def grpc_messages(
    visit: GrpcProbe, model: str, payloads: Sequence[Payload], seed: int
) -> list[bytes]:
    """The messages to call ModelInfer with; see `rest_payloads`."""
    ready = _called(visit, "ModelReady", oip.ModelReadyRequest(name=model), oip.ModelReadyResponse)
    if not ready.ready:
        raise TargetError(f"{visit.target.address}: the model {model!r} is not ready")
    if payloads:
        return [_message(payload, model) for payload in payloads]
    request = oip.ModelMetadataRequest(name=model)
    told = _called(visit, "ModelMetadata", request, oip.ModelMetadataResponse)
    inputs = [Tensor(one.name, one.datatype, tuple(one.shape)) for one in told.inputs]
    return [tensor_message(_made_up(inputs, model, seed), model).SerializeToString()]


def _made_up(inputs: Sequence[Tensor], model: str, seed: int) -> dict[str, Any]:
    if not inputs:
        raise UsageError(f"the model {model!r} describes no inputs: give them with --json FILE")
    return generated_tensors(inputs, seed)


def read_document(payload: Payload) -> Any:
    """Read a request of the protocol.

    Raises:
        UsageError: it is not one.
    """
    if payload.form != "json":
        raise UsageError(f"--oip takes its tensors from --json, not from --{payload.form}")
    try:
        document = json.loads(payload.content)
        check_tensors(document)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--json {payload.name!r} is not valid JSON ({error})") from None
    except UsageError as error:
        raise UsageError(f"--json {payload.name!r}: {error}") from None
    return document


def _message(payload: Payload, model: str) -> bytes:
    content = read_document(payload)
    try:
        return tensor_message(content, model).SerializeToString()
    except UsageError as error:
        raise UsageError(f"--json {payload.name!r}: {error}") from None


def _tensor(told: Any) -> Tensor:
    return Tensor(str(told["name"]), str(told["datatype"]), tuple(map(int, told["shape"])))


def _check_ready(visit: HttpProbe, model_url: str, model: str) -> None:
    status, said, content = visit.get(f"{model_url}/ready")
    if status == 200 and not (isinstance(content, dict) and content.get("ready") is False):
        return
    live = f"{model_url.rpartition('/models/')[0]}/health/live"
    live_status, _, _ = visit.get(live)
    if live_status != 200:
        raise TargetError(
            f"{live} answers HTTP {live_status}: the server does not speak the Open Inference "
            "Protocol v2"
        )
    raise TargetError(
        f"{model_url}: the model {model!r} does not exist or is not ready: HTTP {status}: {said}"
    )


def _called(visit: GrpcProbe, name: str, request: Message, kind: type[Any]) -> Any:
    reply, reason = visit.call(f"{_SERVICE}/{name}", request.SerializeToString())
    where = visit.target.address
    if reply.status == "UNIMPLEMENTED":
        raise TargetError(f"{where}: the server does not speak the Open Inference Protocol v2")
    if reason:
        raise TargetError(f"{where}: {name}: {reason}")
    try:
        return kind.FromString(reply.body)
    except DecodeError as error:
        raise TargetError(f"{where}: {name}: {excerpt(str(error))}") from None

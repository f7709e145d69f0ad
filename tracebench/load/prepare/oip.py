"""`--oip MODEL`: the Open Inference Protocol v2, over REST and over gRPC.

Both ask the server whether the model is ready, and, where no request is given, what its inputs are.
"""

import json
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

from google.protobuf.message import DecodeError, Message

from tracebench.load.prepare import tensors
from tracebench.load.prepare.grpc_preflight import GrpcVisit
from tracebench.load.prepare.tensors import Tensor
from tracebench.load.prepare.visit import Visit
from tracebench.model.errors import TargetError, UsageError, excerpt
from tracebench.model.plan import Payload, Plan
from tracebench.protos import open_inference_pb2 as oip

_SERVICE: Final = "inference.GRPCInferenceService"


def infer_url(url: str, model: str) -> str:
    """Where to post to; the path of `url`, if any, stands before that of the protocol.

    Raises:
        UsageError: the URL has that path already.
    """
    parts = urlsplit(url)
    if "/v2" in parts.path:
        raise UsageError(f"--oip makes the path itself: leave {parts.path!r} out of --rest-url")
    path = f"{parts.path.rstrip('/')}/v2/models/{quote(model, safe='')}/infer"
    return urlunsplit(parts._replace(path=path, query="", fragment=""))


def rest_payloads(plan: Plan, visit: Visit, url: str) -> tuple[Payload, ...]:
    """What to post: the plan's own requests, or one that is made up.

    Args:
        plan: names the model.
        visit: to the server.
        url: that of `infer_url`.

    Raises:
        UsageError: a request is none of the protocol, or none can be made up.
        TargetError: the server does not speak it, or the model is not ready.
    """
    model_url = url.removesuffix("/infer")
    _check_ready(visit, model_url, plan.oip or "")
    if plan.payloads:
        for payload in plan.payloads:
            read_document(payload)
        return plan.payloads
    status, said, content = visit.get(model_url)
    try:
        inputs = [_tensor(one) for one in content["inputs"]] if status == 200 else None
    except (KeyError, TypeError, ValueError):
        inputs = None
    if inputs is None:
        raise TargetError(
            f"{model_url} gives no metadata (HTTP {status}: {said}): give --json FILE"
        )
    document = _made_up(plan, inputs)
    text = json.dumps(document).encode()
    return (Payload(text, "application/json", f"tensors for {plan.oip}", "json"),)


def grpc_messages(plan: Plan, visit: GrpcVisit) -> list[bytes]:
    """What to call ModelInfer with; see `rest_payloads`."""
    model = plan.oip or ""
    ready = _called(visit, "ModelReady", oip.ModelReadyRequest(name=model), oip.ModelReadyResponse)
    if not ready.ready:
        raise TargetError(f"{visit.target.address}: the model {model!r} is not ready")
    if plan.payloads:
        return [_message(payload, model) for payload in plan.payloads]
    request = oip.ModelMetadataRequest(name=model)
    told = _called(visit, "ModelMetadata", request, oip.ModelMetadataResponse)
    inputs = [Tensor(one.name, one.datatype, tuple(one.shape)) for one in told.inputs]
    return [tensors.message(_made_up(plan, inputs), model).SerializeToString()]


def _made_up(plan: Plan, inputs: Sequence[Tensor]) -> dict[str, Any]:
    if not inputs:
        raise UsageError(f"the model {plan.oip!r} tells of no inputs: give them with --json FILE")
    return tensors.generated(inputs, plan.seed)


def read_document(payload: Payload) -> Any:
    """Read a request of the protocol.

    Raises:
        UsageError: it is none.
    """
    if payload.form != "json":
        raise UsageError(f"--oip takes its tensors from --json, not from --{payload.form}")
    try:
        document = json.loads(payload.content)
        tensors.check(document)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--json {payload.name!r} is no JSON ({error})") from None
    except UsageError as error:
        raise UsageError(f"--json {payload.name!r}: {error}") from None
    return document


def _message(payload: Payload, model: str) -> bytes:
    content = read_document(payload)
    try:
        return tensors.message(content, model).SerializeToString()
    except UsageError as error:
        raise UsageError(f"--json {payload.name!r}: {error}") from None


def _tensor(told: Any) -> Tensor:
    return Tensor(str(told["name"]), str(told["datatype"]), tuple(map(int, told["shape"])))


def _check_ready(visit: Visit, model_url: str, model: str) -> None:
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
        f"{model_url}: the model {model!r} is not there or not ready: HTTP {status}: {said}"
    )


def _called(visit: GrpcVisit, name: str, request: Message, kind: type[Any]) -> Any:
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

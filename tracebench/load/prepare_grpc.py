"""gRPC: `grpcio` tries the call once; the engine repeats the same message and metadata."""

import re
import ssl
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import grpc
from google.protobuf import json_format

from protos import inference_pb2
from tracebench import __version__
from tracebench.errors import TargetError, UsageError
from tracebench.load import grpc_reply
from tracebench.load.connection import Connection, Owner
from tracebench.load.endpoint import Endpoint, client_tls, resolve
from tracebench.load.grpc_request import GrpcRequest
from tracebench.load.http2 import Http2Codec
from tracebench.load.ledger import Ledger
from tracebench.load.loop import Loop
from tracebench.load.measure import once
from tracebench.load.prepared import Prepared, excerpt
from tracebench.load.tls import TlsConnection
from tracebench.model.plan import Payload, Plan
from tracebench.tracing import described
from tracebench.tracing.ids import IdSource, traceparent
from tracebench.vocabulary import TRACEPARENT

METHOD = "inference.InferenceService/Predict"
_ADDRESS = re.compile(r"(?:(grpcs?)://)?(\[[0-9a-fA-F:.%]+\]|[^:/@\s\[\]]+):(\d{1,5})/?")
_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.primary_user_agent", f"tracebench/{__version__}"),
]


def prepare(plan: Plan) -> Prepared:
    """Build the message, look the target up, and see it answer once.

    Raises:
        UsageError: the address, the payload or a header is wrong.
        TargetError: the target cannot be reached, or does not answer OK.
    """
    secure, host, port = split_address(plan.grpc_server or "")
    message = _message(plan.payload).SerializeToString()
    metadata = _metadata(plan)
    tls = client_tls(plan.cacert, insecure=plan.insecure, protocol="h2") if secure else None
    endpoint = resolve(host, port, tls)
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    request = GrpcRequest(
        path=f"/{METHOD}".encode(),
        authority=authority.encode(),
        scheme=b"https" if secure else b"http",
        metadata=tuple((name.encode(), value.encode()) for name, value in metadata),
        message=message,
        timeout_s=plan.timeout_s,
    )
    prepared = Prepared(
        described=described.grpc(host, port, METHOD),
        address=authority,
        connect=partial(_connect, endpoint, tls, (request,)),
        read=grpc_reply.read,
        request=_text(authority, metadata, message),
        multiplexed=True,
    )
    if secure and plan.insecure:  # grpcio cannot be told to trust anyone: the engine tries instead
        return replace(prepared, answer=_tried(prepared, plan))
    with _channel(authority, plan, secure=secure) as channel:
        return replace(prepared, answer=_preflight(channel, authority, message, metadata, plan))


def split_address(address: str) -> tuple[bool, str, int]:
    """Split `[grpcs://]HOST:PORT` into (TLS, host, port).

    Raises:
        UsageError: it is none.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None or not 0 < int(found[3]) < 65_536:
        raise UsageError(
            f"--grpc-server {address!r} is no HOST:PORT: give one like 127.0.0.1:50051, "
            "or grpcs://HOST:PORT for TLS"
        )
    return found[1] == "grpcs", found[2].strip("[]"), int(found[3])


def _message(payload: Payload) -> inference_pb2.PredictRequest:
    message = inference_pb2.PredictRequest()
    if payload.form == "json":
        try:
            json_format.Parse(payload.content, message)
        except json_format.ParseError as error:
            raise UsageError(
                f"--json {payload.name!r} is no inference.PredictRequest: {excerpt(str(error))}"
            ) from None
    else:
        message.image_data = payload.content
    message.enable_timing = True
    return message


def _metadata(plan: Plan) -> tuple[tuple[str, str], ...]:
    metadata = tuple((name.lower(), value) for name, value in plan.headers)
    for name, value in metadata:
        if not re.fullmatch(r"[0-9a-z_.-]+", name) or not (value.isascii() and value.isprintable()):
            raise UsageError(f"--header '{name}: {value}' cannot be sent as gRPC metadata")
    return tuple((name, value) for name, value in metadata if name != TRACEPARENT)


def _channel(authority: str, plan: Plan, *, secure: bool) -> grpc.Channel:
    if not secure:
        return grpc.insecure_channel(authority, _OPTIONS)
    roots = Path(plan.cacert).read_bytes() if plan.cacert else None
    return grpc.secure_channel(authority, grpc.ssl_channel_credentials(roots), _OPTIONS)


def _tried(prepared: Prepared, plan: Plan) -> str:
    """Make the call once through the engine; returns the start of the answer."""
    exchange = once(prepared, plan)
    if exchange.reason:
        raise TargetError(f"{prepared.address}: the call failed: {exchange.reason}")
    return excerpt(inference_pb2.PredictResponse.FromString(exchange.reply.body).result)


def _preflight(
    channel: grpc.Channel,
    address: str,
    message: bytes,
    metadata: tuple[tuple[str, str], ...],
    plan: Plan,
) -> str:
    """Make the call once; returns the start of the answer."""
    call = channel.unary_unary(
        f"/{METHOD}",
        request_serializer=bytes,
        response_deserializer=inference_pb2.PredictResponse.FromString,
    )
    context = (TRACEPARENT, traceparent(IdSource().draw()))
    try:
        reply = call(message, timeout=plan.timeout_s, metadata=(*metadata, context))
    except grpc.RpcError as error:
        raise TargetError(f"{address}: {_cause(error, plan.timeout_s)}") from None
    return excerpt(reply.result)


def _cause(error: grpc.RpcError, timeout_s: float) -> str:
    """What went wrong, and what to change."""
    code, details = error.code(), excerpt(error.details() or "no text")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"no answer within {timeout_s:g} s: is it busy? --timeout S waits longer"
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return f"the server has no method {METHOD} ({details})"
    if "handshake" in details.lower() or "certificate" in details.lower():
        return f"TLS failed ({details}): see --cacert and --insecure"
    return f"the call ended with {code.name}: {details}"


def _text(authority: str, metadata: tuple[tuple[str, str], ...], message: bytes) -> str:
    lines = [f"/{METHOD} at {authority}"]
    lines += [f"{name}: {value}" for name, value in metadata]
    lines += ["traceparent: 00-<trace id>-<span id>-01", f"({len(message)} bytes)"]
    return "\n".join(lines)


def _connect(
    endpoint: Endpoint,
    tls: ssl.SSLContext | None,
    requests: Sequence[GrpcRequest],
    loop: Loop,
    owner: Owner,
    ledger: Ledger,
) -> Connection:
    codec = Http2Codec(*requests)
    if tls is not None:
        return TlsConnection(loop, endpoint, tls, codec, owner, ledger)
    return Connection(loop, endpoint, codec, owner, ledger)

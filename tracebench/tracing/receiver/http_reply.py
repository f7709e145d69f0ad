"""HTTP replies as OTLP/HTTP wants them: in the request's content type, google.rpc.Status on errors.

Source: https://opentelemetry.io/docs/specs/otlp/#otlphttp-response
"""

import json
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tracebench.tracing.receiver.intake import (
    INVALID_ARGUMENT,
    OK,
    RESOURCE_EXHAUSTED,
    RETRY_AFTER_S,
    Answer,
)
from tracebench.tracing.receiver.store import Encoding

MEDIA_TYPES: Final[Mapping[str, Encoding]] = MappingProxyType(
    {"application/x-protobuf": "protobuf", "application/json": "json"}
)
_TYPE_OF: Final = {encoding: media_type for media_type, encoding in MEDIA_TYPES.items()}
_STATUS: Final = {
    OK: HTTPStatus.OK,
    INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
}


def reply_to(answer: Answer, encoding: Encoding) -> bytes:
    """The reply that carries an answer."""
    status = _STATUS[answer.code]
    if answer.code != OK:
        headers = {"Retry-After": str(RETRY_AFTER_S)} if answer.code == RESOURCE_EXHAUSTED else {}
        return refusal(status, answer.message, encoding, headers)
    body = (_success_json if encoding == "json" else _success_protobuf)(answer)
    return _reply(status, encoding, body, {})


def refusal(
    status: HTTPStatus, message: str, encoding: Encoding, headers: Mapping[str, str] | None = None
) -> bytes:
    """A reply that says why not."""
    code = RESOURCE_EXHAUSTED if status in _EXHAUSTED else INVALID_ARGUMENT
    if encoding == "json":
        body = json.dumps({"code": code, "message": message}).encode()
    else:
        body = Status(code=code, message=message).SerializeToString()
    return _reply(status, encoding, body, headers or {})


_EXHAUSTED: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)


def _success_json(answer: Answer) -> bytes:
    if not answer.rejected:
        return b"{}"
    partial = {"rejectedSpans": str(answer.rejected), "errorMessage": answer.message}
    return json.dumps({"partialSuccess": partial}).encode()


def _success_protobuf(answer: Answer) -> bytes:
    return success(answer).SerializeToString()


def success(answer: Answer) -> ExportTraceServiceResponse:
    """The message that carries a success; empty where it is a full one."""
    response = ExportTraceServiceResponse()
    if answer.rejected:
        response.partial_success.rejected_spans = answer.rejected
        response.partial_success.error_message = answer.message
    return response


def _reply(
    status: HTTPStatus, encoding: Encoding, body: bytes, headers: Mapping[str, str]
) -> bytes:
    head = {"Content-Type": _TYPE_OF[encoding], "Content-Length": str(len(body)), **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n{lines}\r\n".encode("latin-1") + body

"""The handling of requests in both protocols: decompress, check, keep, forward and answer."""

import json
import zlib
from collections.abc import Callable, Mapping
from http import HTTPStatus
from time import monotonic_ns
from types import MappingProxyType
from typing import Final, NamedTuple

from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tracebench.tracing.otlp import read_protobuf
from tracebench.tracing.otlp.checks import OtlpError
from tracebench.tracing.otlp.read_json import read_json
from tracebench.tracing.receiver.store import RECEIVED, REJECTED, Batch, Encoding, Store

# Bounded decompression: a zip bomb takes no more memory than a legitimate body.

ENCODINGS: Final = ("identity", "gzip", "deflate")
_GZIP_OR_ZLIB: Final = zlib.MAX_WBITS | 32


class TooLargeError(ValueError):
    """A body exceeds the limit."""


class InflatedBody:
    """Collects a body that arrives in pieces.

    Args:
        encoding: one of ENCODINGS.
        limit_bytes: before and after decompression.
    """

    def __init__(self, encoding: str, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._came_bytes = 0
        self._content = bytearray()
        self._inflater = None if encoding == "identity" else zlib.decompressobj(_GZIP_OR_ZLIB)

    def feed(self, piece: bytes) -> None:
        """Take a piece.

        Raises:
            TooLargeError: the body exceeds the limit.
            zlib.error: it is not compressed as declared.
        """
        self._came_bytes += len(piece)
        room_bytes = self._limit_bytes - len(self._content)
        if self._inflater is not None:
            piece = self._inflater.decompress(piece, room_bytes + 1)
        if self._came_bytes > self._limit_bytes or len(piece) > room_bytes:
            raise TooLargeError(f"a body of more than {self._limit_bytes} bytes")
        self._content += piece

    def __len__(self) -> int:
        return len(self._content)

    def whole(self) -> bytes:
        """The whole body.

        Raises:
            zlib.error: it is truncated.
        """
        if self._inflater is not None and self._came_bytes and not self._inflater.eof:
            raise zlib.error("the compressed body ends too early")
        return bytes(self._content)


# Shared by both protocols: a request is checked, kept, forwarded, and answered.

# Codes of google.rpc.Code, which are gRPC's.
OK, INVALID_ARGUMENT, RESOURCE_EXHAUSTED = 0, 3, 8
RETRY_AFTER_S: Final = 2


class Answer(NamedTuple):
    """The reply to the exporter, in either protocol."""

    code: int
    message: str = ""
    rejected: int = 0
    """Spans that cannot be used: a partial success."""


class Intake:
    """Takes export requests.

    Args:
        store: keeps what is accepted.
        forward: called with every accepted batch.
    """

    def __init__(self, store: Store, forward: Callable[[Batch], object]) -> None:
        self.store = store
        self._forward = forward

    def refuse(self, reason: str) -> None:
        """Count a request or connection refused earlier."""
        self.store.counts[reason] += 1

    def traces(self, encoding: Encoding, body: bytes) -> Answer:
        """Take an ExportTraceServiceRequest."""
        try:
            spans, bad, why = _count(encoding, body)
        except OtlpError as error:
            self.refuse("malformed")
            return Answer(INVALID_ARGUMENT, str(error))
        batch = Batch(encoding, monotonic_ns(), spans - bad, body)
        if batch.spans and not self.store.add(batch):
            self.refuse("no room")
            return Answer(RESOURCE_EXHAUSTED, "the memory for spans is full: try again later")
        self.store.counts[RECEIVED] += batch.spans
        self.store.counts[REJECTED] += bad
        self.store.problem = self.store.problem or why
        if batch.spans:
            self._forward(batch)
        return Answer(OK, f"{bad} of {spans} spans left out: {why}" if bad else "", bad)


def _count(encoding: Encoding, body: bytes) -> tuple[int, int, str]:
    """The number of spans, of invalid ones, and what is wrong with the first of those."""
    if encoding == "protobuf":
        return read_protobuf.count(read_protobuf.parse(body))
    reasons: list[str] = []
    good = len(read_json(body, reasons.append))
    return good + len(reasons), len(reasons), reasons[0] if reasons else ""


# HTTP replies as OTLP/HTTP requires: in the request's content type, google.rpc.Status on errors.
#
# Source: https://opentelemetry.io/docs/specs/otlp/#otlphttp-response

MEDIA_TYPES: Final[Mapping[str, Encoding]] = MappingProxyType(
    {"application/x-protobuf": "protobuf", "application/json": "json"}
)
MEDIA_TYPE_OF: Final = {encoding: media_type for media_type, encoding in MEDIA_TYPES.items()}
_STATUS: Final = {
    OK: HTTPStatus.OK,
    INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
}


def reply_to(answer: Answer, encoding: Encoding) -> bytes:
    """The reply that carries an answer."""
    status = _STATUS[answer.code]
    if answer.code != OK:
        return refusal(status, answer.message, encoding, {})
    body = (_success_json if encoding == "json" else _success_protobuf)(answer)
    return _reply(status, encoding, body, {})


def refusal(
    status: HTTPStatus, message: str, encoding: Encoding, headers: Mapping[str, str]
) -> bytes:
    """An error reply with the reason, and when to retry if that may help."""
    code = RESOURCE_EXHAUSTED if status in _EXHAUSTED else INVALID_ARGUMENT
    if encoding == "json":
        body = json.dumps({"code": code, "message": message}).encode()
    else:
        body = Status(code=code, message=message).SerializeToString()
    if status is HTTPStatus.TOO_MANY_REQUESTS:
        headers = {**headers, "Retry-After": str(RETRY_AFTER_S)}
    return _reply(status, encoding, body, headers)


_EXHAUSTED: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)


def _success_json(answer: Answer) -> bytes:
    if not answer.rejected:
        return b"{}"
    partial = {"rejectedSpans": str(answer.rejected), "errorMessage": answer.message}
    return json.dumps({"partialSuccess": partial}).encode()


def _success_protobuf(answer: Answer) -> bytes:
    return success(answer).SerializeToString()


def success(answer: Answer) -> ExportTraceServiceResponse:
    """The message for a success; empty unless it is partial."""
    response = ExportTraceServiceResponse()
    if answer.rejected:
        response.partial_success.rejected_spans = answer.rejected
        response.partial_success.error_message = answer.message
    return response


def _reply(
    status: HTTPStatus, encoding: Encoding, body: bytes, headers: Mapping[str, str]
) -> bytes:
    head = {"Content-Type": MEDIA_TYPE_OF[encoding], "Content-Length": str(len(body)), **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n{lines}\r\n".encode("latin-1") + body

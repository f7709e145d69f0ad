"""OTLP over gRPC."""

import zlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
from google.protobuf.any_pb2 import Any as Detail
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from tracebench.tracing.receiver.intake import (
    OK,
    RESOURCE_EXHAUSTED,
    RETRY_AFTER_S,
    Answer,
    InflatedBody,
    Intake,
    TooLargeError,
    success,
)
from tracebench.tracing.receiver.settings import Bounds

_PACKAGE: Final = "opentelemetry.proto.collector"
TRACES: Final = f"{_PACKAGE}.trace.v1.TraceService"
DROPPED: Final = (f"{_PACKAGE}.metrics.v1.MetricsService", f"{_PACKAGE}.logs.v1.LogsService")
_COMPRESSED: Final = (b"\x1f\x8b", b"\x78")
"""The first bytes of gzip and zlib; an export request begins with 0x0a, or is empty."""
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}

Server = grpc.aio.Server
Behaviour = Callable[[bytes, Any], Awaitable[bytes]]


def server(intake: Intake, bounds: Bounds) -> grpc.aio.Server:
    """Make the server, without a port yet."""
    options = [
        ("grpc.so_reuseport", 0),  # a port in use must be an error, not shared
        ("grpc.max_receive_message_length", bounds.body_bytes),
        # grpcio would inflate a bomb in full before checking its size, so we decompress ourselves.
        ("grpc.per_message_decompression", 0),
        ("grpc.server_handshake_timeout_ms", 10_000),
        # No peer can occupy all calls, and calls whose body never arrives are ended; exporters make
        # one call at a time, and reconnect without losing anything.
        ("grpc.max_concurrent_streams", bounds.calls // 4),
        ("grpc.max_connection_age_ms", 60_000),
        ("grpc.max_connection_age_grace_ms", int(bounds.request_s * 1000)),
    ]
    made = grpc.aio.server(options=options, maximum_concurrent_rpcs=bounds.calls)

    async def export(body: bytes, context: Any) -> bytes:
        try:
            plain = _inflated(body, bounds.body_bytes)
        except TooLargeError as error:
            intake.refuse("too large")
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
        except zlib.error as error:
            intake.refuse("malformed")
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"cannot decompress: {error}")
        answer = intake.traces("protobuf", plain)
        if answer.code != OK:
            await context.abort(_CODES[answer.code], answer.message, _details(answer))
        return success(answer).SerializeToString()

    async def drop(_body: bytes, _context: Any) -> bytes:
        return b""

    made.add_generic_rpc_handlers([_service(TRACES, export), *[_service(n, drop) for n in DROPPED]])
    return made


def _service(name: str, behaviour: Behaviour) -> "grpc.GenericRpcHandler[bytes, bytes]":
    """A service with `Export`, the only method of OTLP services; bytes in, bytes out."""
    handler = grpc.unary_unary_rpc_method_handler(behaviour)
    return grpc.method_handlers_generic_handler(name, {"Export": handler})


def _inflated(body: bytes, limit_bytes: int) -> bytes:
    if not body.startswith(_COMPRESSED):
        return body
    collected = InflatedBody("gzip", limit_bytes)
    collected.feed(body)
    return collected.whole()


def _details(answer: Answer) -> tuple[tuple[str, bytes], ...]:
    """The RetryInfo without which exporters drop spans that they could resend."""
    if answer.code != RESOURCE_EXHAUSTED:
        return ()
    detail = Detail()
    detail.Pack(RetryInfo(retry_delay=Duration(seconds=RETRY_AFTER_S)))
    status = Status(code=answer.code, message=answer.message, details=[detail])
    return (("grpc-status-details-bin", status.SerializeToString()),)

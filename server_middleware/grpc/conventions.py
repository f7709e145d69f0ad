"""Attributes of a gRPC server span, named by the current semantic conventions for RPC.

https://opentelemetry.io/docs/specs/semconv/rpc/grpc/
"""

from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import grpc

from server_middleware.request import Attributes, Request

_SERVER_ERRORS = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
_STATUS_BY_NUMBER = {code.value[0]: code for code in grpc.StatusCode}


def call_attributes(method: str, peer: str) -> dict[str, Any]:
    """What is known when a call begins; `rpc.method` is also the span's name.

    Args:
        method: `/package.Service/Method`, which the server is known to serve.
        peer: in gRPC's notation: `ipv4:127.0.0.1:5000`, `ipv6:[::1]:5000`, `unix:…`; escaped.
    """
    return _call_attributes(method, peer).copy()


@lru_cache(maxsize=1_024)
def _call_attributes(method: str, peer: str) -> dict[str, Any]:
    attributes: dict[str, Any] = {"rpc.system.name": "grpc", "rpc.method": method.removeprefix("/")}
    kind, _, address = unquote(peer).partition(":")
    if kind in ("ipv4", "ipv6"):
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        attributes |= {"client.address": host, "network.peer.address": host}
        if port.isdecimal():
            attributes["network.peer.port"] = int(port)
    return attributes


def status_of(context: Any, error: BaseException | None) -> grpc.StatusCode:
    """The status that a call ends with, as far as its handler determines it."""
    try:
        code = context.code()
    except Exception:  # third-party context wrappers may lack it
        code = None
    if code is None and error is None:
        return grpc.StatusCode.OK
    status = _STATUS_BY_NUMBER.get(code) if isinstance(code, int) else code
    if isinstance(status, grpc.StatusCode) and status is not grpc.StatusCode.OK:
        return status
    if error is None:
        return grpc.StatusCode.OK
    return grpc.StatusCode.UNKNOWN if isinstance(error, Exception) else grpc.StatusCode.CANCELLED


def finish(request: Request, status: grpc.StatusCode, error: BaseException | None) -> None:
    """End the call's span; an `abort` is not recorded as an exception."""
    attributes: Attributes = {
        "rpc.response.status_code": status.name,
        **request.recorder.spanless_ns,
    }
    if status is grpc.StatusCode.OK:
        request.finish(attributes)
        return
    failed = status.name if status in _SERVER_ERRORS else None
    shown = None if failed is None or _is_abort(error) else error
    request.finish(attributes, failed=failed, error=shown)


def _is_abort(error: BaseException | None) -> bool:
    """Whether it was raised by `context.abort`: a bare exception, or one of its own type."""
    bare = type(error) is Exception and not error.args
    return bare or isinstance(error, grpc.aio.AbortError)

"""What the semantic conventions for HTTP server spans (stable since 1.23) say, for any adapter.

https://opentelemetry.io/docs/specs/semconv/http/http-spans/
"""

import re
from typing import Final

from server_middleware.request import Attributes, Request

_METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"}
)
_OTHER = "_OTHER"
_SECRET = re.compile(
    r"(?<![^&])([^=&]*(?:key|token|secret|passw|pwd|auth|credential|signature|session|jwt)[^=&]*"
    r"|sig|code)=[^&]*",
    re.IGNORECASE,
)
"""More than the four names that the conventions demand: what names a credential anywhere."""
_FIRST_SERVER_ERROR = 500


def request_attributes(
    method: str, scheme: str, path: str, query: str, protocol: str
) -> Attributes:
    """The attributes of the request line; `protocol` is `1.1`."""
    attributes: Attributes = {
        "http.request.method": method if method in _METHODS else _OTHER,
        "url.scheme": scheme,
        "url.path": path,
        "network.protocol.version": protocol,
    }
    if method not in _METHODS:
        attributes["http.request.method_original"] = method
    if query:
        attributes["url.query"] = _SECRET.sub(r"\1=REDACTED", query)
    return attributes


def add_server(attributes: Attributes, host: str, port: int | None) -> None:
    """Add the server as the client named it: `host`, `host:port`, `[::1]:port`."""
    name, colon, named_port = host.rpartition(":")
    if not colon or not named_port.isdecimal():
        name, named_port = host, ""
    attributes["server.address"] = name.strip("[]")
    if named_port or port:
        attributes["server.port"] = int(named_port or port or 0)


def add_client(attributes: Attributes, address: str, port: int | None) -> None:
    """Add the other end of the connection."""
    attributes["client.address"] = attributes["network.peer.address"] = address
    if port:
        attributes["network.peer.port"] = port


def body_attributes(size: int, read_ns: int) -> Attributes:
    """What was read of the request's body, and how long the app waited for it."""
    return {"http.request.body.size": size, "tracebench.request.read_ms": read_ns / 1e6}


def span_name(method: str, route: str | None = None) -> str:
    """`{method} {route}`, or what is known of it; never the path, which has no bounds."""
    known = method if method in _METHODS else "HTTP"
    return f"{known} {route}" if route else known


def finish(
    request: Request,
    method: str,
    route: str | None,
    status: int | None,
    error: BaseException | None,
    body: Attributes,
) -> None:
    """End the request's span.

    Args:
        request: whose span it is.
        method: of the request.
        route: the template that the path matched, where the framework tells.
        status: of the response; None where there was none.
        error: what came out of the app.
        body: attributes of the request's body.
    """
    attributes = body
    if status is not None:
        attributes["http.response.status_code"] = status
    if route:
        attributes["http.route"] = route
    failed = type(error).__qualname__ if error is not None else None
    if failed is None and status is not None and status >= _FIRST_SERVER_ERROR:
        failed = str(status)
    name = span_name(method, route) if route else None
    request.finish(attributes, name=name, failed=failed, error=error)


def queue_of(header: str, now_ns: int) -> int:
    """How long a request waited since a proxy stamped it with `X-Request-Start`, in ns.

    Args:
        header: `t=` or nothing, then seconds, ms, µs or ns since the epoch; its size tells which.
        now_ns: the wall clock.

    Returns:
        0 where that cannot be read, or lies in the future.
    """
    try:
        stamp = float(header.strip().removeprefix("t="))
    except ValueError:
        return 0
    for unit_ns in (1, 1_000, 1_000_000, 1_000_000_000):
        waited_ns = now_ns - stamp * unit_ns
        if 0 <= waited_ns <= _LONGEST_WAIT_NS:
            return int(waited_ns)
    return 0


_LONGEST_WAIT_NS: Final = 3_600 * 1_000_000_000

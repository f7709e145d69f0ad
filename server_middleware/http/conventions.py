"""The semantic conventions for HTTP server spans (stable since 1.23), for any adapter.

https://opentelemetry.io/docs/specs/semconv/http/http-spans/
"""

import re
from time import time_ns
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
"""Query parameters that may hold credentials; more than the four that the conventions require."""
_FIRST_SERVER_ERROR = 500


def request_attributes(
    method: str,
    scheme: str,
    path: str,
    query: str,
    protocol: str,
    *,
    server: tuple[str, int | None],
    client: tuple[str, int | None] | None,
    agent: str | None,
) -> Attributes:
    """The attributes of a request.

    Args:
        method: the method of the request.
        scheme: `http` or `https`.
        path: as it was sent.
        query: without its `?`.
        protocol: e.g. `1.1`.
        server: as the client named it, `host`, `host:port` or `[::1]:port`; and the port to use if
            it names none.
        client: address and port of the other end of the connection.
        agent: its `User-Agent`.
    """
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
    host, port = server
    name, colon, named_port = host.rpartition(":")
    if colon and named_port.isdecimal():
        host, port = name, int(named_port)
    attributes["server.address"] = host.strip("[]")
    if port:
        attributes["server.port"] = port
    if client:
        address, port = client
        attributes["client.address"] = attributes["network.peer.address"] = address
        if port:
            attributes["network.peer.port"] = port
    if agent:
        attributes["user_agent.original"] = agent
    return attributes


def body_attributes(size: int, read_ns: int) -> Attributes:
    """How much of the request's body was read, and how long the app waited for it."""
    return {"http.request.body.size": size, "tracebench.request.read_ms": read_ns / 1e6}


def span_name(method: str, route: str | None = None) -> str:
    """`{method} {route}`, or the known part; never the path, which has unbounded cardinality."""
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
        request: the request, whose span is ended.
        method: the method of the request.
        route: the template that the path matched, if the framework reports it.
        status: the status of the response; None if there was none.
        error: the exception that the app raised.
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


def waited_ns(stamp: str | None) -> int:
    """How long a request waited since a proxy stamped it with `X-Request-Start`, in ns.

    Args:
        stamp: optional `t=`, then seconds, ms, µs or ns since the epoch, told apart by magnitude.

    Returns:
        0 if there is none, or it is invalid or in the future.
    """
    if not stamp:
        return 0
    now_ns = time_ns()
    try:
        stamped = float(stamp.strip().removeprefix("t="))
    except ValueError:
        return 0
    for unit_ns in (1, 1_000, 1_000_000, 1_000_000_000):
        ns = now_ns - stamped * unit_ns
        if 0 <= ns <= _LONGEST_WAIT_NS:
            return int(ns)
    return 0


_LONGEST_WAIT_NS: Final = 3_600 * 1_000_000_000

"""What all root spans of one target have in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import SplitResult, unquote, urlsplit

from opentelemetry.semconv.attributes.http_attributes import (
    HTTP_REQUEST_METHOD,
    HTTP_RESPONSE_STATUS_CODE,
)
from opentelemetry.semconv.attributes.network_attributes import NETWORK_PROTOCOL_VERSION
from opentelemetry.semconv.attributes.server_attributes import SERVER_ADDRESS, SERVER_PORT
from opentelemetry.semconv.attributes.url_attributes import URL_FULL

from tracebench.system.redaction import redacted
from tracebench.tracing.roots.attributes import RPC_METHOD, RPC_STATUS, RPC_SYSTEM

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class TargetAttributes:
    """A target, in the terms of OpenTelemetry's semantic conventions."""

    protocol: Literal["rest", "grpc"]
    name: str
    """Name of its spans."""
    attributes: Mapping[str, str | int]

    def status(self, status: str) -> dict[str, str | int]:
        """The attribute for a reply's status; empty if there was no reply."""
        if not status:
            return {}
        if self.protocol == "grpc":
            return {RPC_STATUS: status}
        return {HTTP_RESPONSE_STATUS_CODE: int(status)}


def rest(method: str, url: str) -> TargetAttributes:
    """Describe requests to an absolute URL; credentials in it are not repeated."""
    parts = urlsplit(url)
    attributes: dict[str, str | int] = {
        HTTP_REQUEST_METHOD: method,
        URL_FULL: redacted(url),
        **_server(parts),
        NETWORK_PROTOCOL_VERSION: "1.1",
    }
    return TargetAttributes("rest", f"{method} {parts.path or '/'}", attributes)


def _server(parts: SplitResult) -> dict[str, str | int]:
    """A host and its port, or a Unix socket's path."""
    port = parts.port or _PORTS.get(parts.scheme)
    if port is None:
        return {SERVER_ADDRESS: unquote(parts.netloc.rpartition("@")[2])}
    return {SERVER_ADDRESS: parts.hostname or "", SERVER_PORT: port}


def grpc(host: str, port: int, method: str) -> TargetAttributes:
    """Describe calls of a method, given as `package.Service/Method`.

    Args:
        host: the host, or the path of a Unix socket.
        port: the port, or 0 for a Unix socket.
        method: the method that is called.
    """
    attributes: dict[str, str | int] = {
        RPC_SYSTEM: "grpc",
        RPC_METHOD: method,
        SERVER_ADDRESS: host,
    }
    if port:
        attributes[SERVER_PORT] = port
    return TargetAttributes("grpc", method, attributes)

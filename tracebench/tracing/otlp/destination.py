"""Where spans are sent: make OTLP exporters for endpoints as users write them."""

import os
import socket
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

import requests
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as OverGrpc
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as OverHttp
from opentelemetry.sdk.environment_variables import (
    OTEL_EXPORTER_OTLP_HEADERS,
    OTEL_EXPORTER_OTLP_METRICS_HEADERS,
    OTEL_EXPORTER_OTLP_TRACES_HEADERS,
)
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.util.re import parse_env_headers
from requests.utils import get_environ_proxies

from tracebench.model.errors import TargetError, UsageError
from tracebench.system.redaction import redacted

GRPC_PORT = 4317
_HEADERS = (
    OTEL_EXPORTER_OTLP_HEADERS,
    OTEL_EXPORTER_OTLP_TRACES_HEADERS,
    OTEL_EXPORTER_OTLP_METRICS_HEADERS,
)
TRACES_PATH = "/v1/traces"
_PATIENCE_S = 3.0
_SCHEMES = ("http", "https", "grpc", "grpcs")


class Destination(NamedTuple):
    """The receiver of spans: a URL over HTTP, or host and port over gRPC."""

    http: bool
    address: str
    secure: bool


def exporter_for(endpoint: str) -> SpanExporter:
    """Make the exporter for an endpoint; nothing is sent yet.

    It honours OTEL_EXPORTER_OTLP_HEADERS, …_CERTIFICATE and …_TIMEOUT.

    Raises:
        UsageError: the endpoint is malformed.
    """
    one = destination_of(endpoint)
    if one.http:
        return OverHttp(one.address, session=session_for(one.address))
    return OverGrpc(one.address, insecure=not one.secure)


def session_for(url: str) -> requests.Session:
    """A session in which ~/.netrc does not override an Authorization from the environment."""
    session = requests.Session()
    given = any(name.lower() == "authorization" for name, _ in exporter_headers())
    if given and urlsplit(url).username is None:
        session.auth = lambda request: request
    return session


def exporter_headers() -> list[tuple[str, str]]:
    """The headers that the environment sets for OpenTelemetry's exporters, with credentials."""
    texts = [os.environ.get(name, "") for name in _HEADERS]
    return [(name, value) for text in texts for name, value in parse_env_headers(text).items()]


def check_listening(endpoint: str) -> None:
    """Check that something listens at an endpoint; skipped behind a proxy.

    Raises:
        TargetError: nothing does.
    """
    one = destination_of(endpoint)
    scheme = "https" if one.secure else "http"
    parts = urlsplit(one.address if one.http else f"{scheme}://{one.address}")
    if get_environ_proxies(parts.geturl()):
        return
    try:
        port = parts.port or (443 if one.secure else 80)
        socket.create_connection((parts.hostname or "", port), _PATIENCE_S).close()
    except OSError as error:
        raise TargetError(
            f"cannot send traces to {redacted(endpoint)!r} ({error.strerror or error}): start the "
            "collector first, or leave --otlp-endpoint out"
        ) from None


def destination_of(endpoint: str) -> Destination:
    """Parse an endpoint as users write it.

    `HOST:PORT`, `grpc://` (`grpcs://` with TLS), and `http://` or `https://` with port 4317 and no
    path mean OTLP over gRPC. Every other `http://` or `https://` URL means OTLP over HTTP, with the
    path `/v1/traces` if it has none.

    Raises:
        UsageError: the endpoint is none of these.
    """
    parts = _split(endpoint)
    secure = parts.scheme in ("https", "grpcs")
    bare = parts.path in ("", "/") and not parts.query
    if parts.scheme.startswith("http") and not (bare and parts.port == GRPC_PORT):
        url = parts._replace(path=TRACES_PATH).geturl() if bare else endpoint
        return Destination(True, url, secure)
    if not bare or parts.username is not None:
        raise _malformed(endpoint, "a gRPC endpoint is a host and a port")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return Destination(False, f"{host}:{parts.port or GRPC_PORT}", secure)


def _split(endpoint: str) -> SplitResult:
    """Split an endpoint, and check its scheme, host and port."""
    try:
        parts = urlsplit(endpoint if "://" in endpoint else f"grpc://{endpoint}")
        port = parts.port
    except ValueError:
        raise _malformed(endpoint, "its host or its port cannot be read") from None
    if parts.scheme not in _SCHEMES:
        raise _malformed(endpoint, f"{parts.scheme!r} is not a protocol for traces")
    if not parts.hostname or any(char.isspace() for char in endpoint):
        raise _malformed(endpoint, "it has no host")
    if "://" not in endpoint and not port:
        raise _malformed(endpoint, "it has no port")
    return parts


def _malformed(endpoint: str, why: str) -> UsageError:
    return UsageError(
        f"cannot send traces to {redacted(endpoint)!r}: {why}; "
        "give http://HOST:4318, a URL with a path, or HOST:4317 for gRPC"
    )

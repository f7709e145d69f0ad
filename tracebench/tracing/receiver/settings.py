"""Where the receiver listens, and its limits."""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from tracebench.model.errors import UsageError

# The receiver's limits: everything that a peer sends is bounded.

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of one receiver."""

    body_bytes: int = 8 * _MIB
    """Limit for one request, before and after decompression. Exporters send 512 spans at a time,
    about 0.2 MB; collectors accept 4 MB (gRPC) or 20 MB (HTTP)."""
    underway_bytes: int = 128 * _MIB
    """Limit for all incomplete HTTP requests together."""
    kept_bytes: int = 256 * _MIB
    """Limit for requests held until they are fetched: about 800,000 spans."""
    kept_spans: int = 4_000_000
    queued_bytes: int = 64 * _MIB
    """Limit for requests waiting to be forwarded."""
    head_bytes: int = 64 * 1024
    """Limit for an HTTP request without its body."""
    connections: int = 512
    """Limit for HTTP connections; beyond it, those silent longest are closed."""
    calls: int = 128
    """Limit for gRPC calls in flight at once."""
    request_s: float = 20.0
    """Limit for the time from a request's first byte to its last."""
    idle_s: float = 90.0
    """Limit for the time between two requests on a connection."""


# Where the receiver listens: parsing of addresses.

GRPC_PORT = 4317  # not from otlp.destination, which loads OpenTelemetry's SDK
DEFAULT = f"127.0.0.1:{GRPC_PORT}"
_LAST_PORT = 65535


class Bind(NamedTuple):
    """A host, and its two ports; port 0 stands for any free one."""

    host: str
    grpc_port: int
    http_port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can send to it."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def bind_of(text: str) -> Bind:
    """Read `HOST:PORT`, `HOST` or `[IPv6]:PORT`: gRPC on the port, HTTP on the next one.

    Raises:
        UsageError: it is not one of these.
    """
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _malformed(text, str(error)) from None
    if not host or parts.netloc != text or parts.username is not None or text.endswith(":"):
        raise _malformed(text, "it is not HOST:PORT")
    port = GRPC_PORT if port is None else port
    if port == _LAST_PORT:
        raise _malformed(text, "HTTP needs the next port, and there is none")
    return Bind(host, port, port + 1 if port else 0)


def address(host: str, port: int) -> str:
    """`HOST:PORT`, with an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _malformed(text: str, why: str) -> UsageError:
    return UsageError(
        f"cannot receive OTLP at {text!r}: {why}; give an address of this machine, e.g. {DEFAULT}"
    )

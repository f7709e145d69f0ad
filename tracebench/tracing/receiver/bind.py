"""Where the receiver listens: from what people write to addresses."""

from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from tracebench.model.errors import UsageError

GRPC_PORT = 4317
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
        UsageError: it is none of these.
    """
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _malformed(text, str(error)) from None
    if not host or parts.netloc != text or parts.username is not None or text.endswith(":"):
        raise _malformed(text, "it is no HOST:PORT")
    port = GRPC_PORT if port is None else port
    if port == _LAST_PORT:
        raise _malformed(text, "the port after it does not exist, and HTTP needs one")
    return Bind(host, port, port + 1 if port else 0)


def address(host: str, port: int) -> str:
    """A host and a port in one, with an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _malformed(text: str, why: str) -> UsageError:
    return UsageError(
        f"cannot receive OTLP at {text!r}: {why}; give an address of this machine, like {DEFAULT}"
    )

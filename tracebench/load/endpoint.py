"""Where to connect to: resolved once, before the run, so that no name look-up is ever timed."""

import socket
import ssl
from dataclasses import dataclass
from typing import Any

from tracebench.errors import TargetError

_PROBE_S = 5.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host's socket address, and how to speak to it."""

    host: str
    port: int
    family: int
    address: Any
    tls: ssl.SSLContext | None


def resolve(host: str, port: int, tls: ssl.SSLContext | None) -> Endpoint:
    """Look the host up; the first address that accepts a connection is taken.

    Raises:
        TargetError: the host has no address, or none of its addresses accepts.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise TargetError(
            f"cannot resolve the host {host!r} ({_text(error)}): check the name"
        ) from None
    for family, _, _, _, address in found:
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.settimeout(_PROBE_S)
                probe.connect(address)
                return Endpoint(host, port, family, address, tls)
        except OSError as error:
            failure = error
    raise TargetError(
        f"cannot connect to {host}:{port} ({_text(failure)}): is the server running there?"
    )


def _text(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:]

"""Where to connect to: resolved once, before the run, so that no name look-up is ever timed."""

import errno
import os
import socket
import ssl
import stat
from dataclasses import dataclass
from typing import Any

from tracebench.model.errors import TargetError

_PROBE_S = 5.0
_UNIX = getattr(socket, "AF_UNIX", None)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A socket address, and how to speak to it."""

    host: str
    """`localhost` where it is a Unix socket, as it is called in requests."""
    port: int
    family: int
    address: Any
    tls: ssl.SSLContext | None

    @property
    def unix_path(self) -> str | None:
        """Where the Unix socket lies; None: it is not one."""
        return self.address if self.family == _UNIX else None


def resolve_unix(path: str) -> Endpoint:
    """See that a Unix socket accepts connections.

    Raises:
        TargetError: it does not.
    """
    if _UNIX is None:
        raise TargetError(f"cannot connect to the Unix socket {path!r}: this system has none")
    try:
        with socket.socket(_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(_PROBE_S)
            probe.connect(path)
    except (OSError, ValueError) as error:
        why, what_to_do = _unix_fault(path, error)
        raise TargetError(
            f"cannot connect to the Unix socket {path!r} ({why}): {what_to_do}"
        ) from None
    return Endpoint("localhost", 0, _UNIX, path, tls=None)


def _unix_fault(path: str, error: Exception) -> tuple[str, str]:
    """Why a connection to a Unix socket failed, and what to change."""
    if "path too long" in str(error):
        size = len(os.fsencode(path))
        return f"{size} bytes", "its path may have 107; give a shorter one, or a symbolic link"
    if isinstance(error, ConnectionRefusedError) and not _is_socket(path):
        return "it is not a socket", "give the path that the server listens at"
    if isinstance(error, PermissionError):
        return _text(error), "connecting needs the right to write to it: see its owner and mode"
    if isinstance(error, OSError) and error.errno == errno.EPROTOTYPE:
        return "it is not a stream socket", "give the path that the server listens at"
    return _text(error), "is the server running there?"


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:  # it went away
        return True


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

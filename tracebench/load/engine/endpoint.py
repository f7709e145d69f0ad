"""Where to connect, and which certificates to trust: settled before the run."""

import errno
import os
import socket
import ssl
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from tracebench.load.engine import kernel
from tracebench.model.errors import TargetError, UsageError
from tracebench.model.plan import Tls

# TLS as the plan asks for it: trusted certificates, and the client's own.


def client_tls(trust: Tls, *, protocol: str) -> ssl.SSLContext:
    """A client's TLS context, which verifies the server unless told otherwise.

    Args:
        trust: if its `cacert` is None, the certificates of the certifi package are trusted.
        protocol: what ALPN offers, `h2` or `http/1.1`.

    Raises:
        TargetError: the trusted certificates cannot be read.
        UsageError: the client's certificate cannot be used.
    """
    import certifi  # certifi reads its bundle on import; plaintext targets need none

    try:
        context = ssl.create_default_context(cafile=trust.cacert or certifi.where())
    except (OSError, ValueError) as error:
        raise TargetError(f"cannot use --cacert {trust.cacert!r} ({_text(error)})") from None
    if trust.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    _load_certificate(context, trust)
    context.set_alpn_protocols([protocol])
    return context


def certificate_files(trust: Tls) -> tuple[bytes, bytes] | None:
    """The contents of `--key` and `--cert`, checked by `client_tls`; None without them."""
    if trust.cert is None:
        return None
    return Path(trust.key or trust.cert).read_bytes(), Path(trust.cert).read_bytes()


def _load_certificate(context: ssl.SSLContext, trust: Tls) -> None:
    if trust.cert is None:
        return
    _check_readable("--cert", trust.cert)
    _check_readable("--key", trust.key or trust.cert)
    source = f"--key {trust.key!r}" if trust.key else f"the key in --cert {trust.cert!r}"

    def refuse() -> NoReturn:
        file = trust.key or trust.cert
        raise UsageError(f"{source} is encrypted: decrypt it with openssl pkey -in {file} -out F")

    try:
        context.load_cert_chain(trust.cert, trust.key, refuse)
    except ssl.SSLError as error:
        raise UsageError(_fault(error, trust.cert, source)) from None


def _fault(error: ssl.SSLError, cert: str, source: str) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"{source} does not belong to --cert {cert!r}: give the key of that certificate"
    return (
        f"cannot use --cert {cert!r} with {source} ({_text(error)}): give PEM files, one with the "
        "certificate and one with its key"
    )


def _check_readable(option: str, path: str) -> None:
    try:
        Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {option} {path!r} ({_text(error)})") from None


def _text(error: Exception) -> str:
    text = str(getattr(error, "reason", None) or getattr(error, "strerror", None) or error)
    return text[:1].lower() + text[1:]


# Where to connect: resolved once, before the run, so that no DNS lookup is ever timed.

_PROBE_S = 5.0
_UNIX = getattr(socket, "AF_UNIX", None)


def stamped_socket(family: int) -> socket.socket:
    """A non-blocking socket whose reads carry kernel receive stamps, where there are any."""
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setblocking(False)
    if family in (socket.AF_INET, socket.AF_INET6):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        kernel.enable(made)
    return made


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A socket address, and how to connect to it."""

    host: str
    """The host named in requests; `localhost` for a Unix socket."""
    port: int
    family: int
    address: Any
    tls: ssl.SSLContext | None
    closing_ns: int = 5_000_000
    """How long the server may take to close a connection once it has decided to."""
    make_socket: Callable[[int], socket.socket] = stamped_socket
    """Makes an unconnected socket of a family."""

    @property
    def unix_path(self) -> str | None:
        """The path of the Unix socket; None if it is not one."""
        return self.address if self.family == _UNIX else None


def resolve_unix(path: str) -> Endpoint:
    """Check that a Unix socket accepts connections.

    Raises:
        TargetError: it does not.
    """
    if _UNIX is None:
        raise TargetError(
            f"cannot connect to the Unix socket {path!r}: this system does not support them"
        )
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
        return (
            f"{size} bytes",
            "at most 107 bytes are allowed; give a shorter path, or a symbolic link",
        )
    if isinstance(error, ConnectionRefusedError) and not _is_socket(path):
        return "it is not a socket", "give the path that the server listens at"
    if isinstance(error, PermissionError):
        return _cause(error), "connecting needs write permission: check its owner and mode"
    if isinstance(error, OSError) and error.errno == errno.EPROTOTYPE:
        return "it is not a stream socket", "give the path that the server listens at"
    return _cause(error), "is the server running there?"


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:  # it went away
        return True


def resolve(host: str, port: int, tls: ssl.SSLContext | None) -> Endpoint:
    """Look up the host, and use the first address that accepts a connection.

    Raises:
        TargetError: the host has no address, or none of its addresses accepts.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise TargetError(
            f"cannot resolve the host {host!r} ({_cause(error)}): check the name"
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
        f"cannot connect to {host}:{port} ({_cause(failure)}): is the server running there?"
    )


def _cause(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:]

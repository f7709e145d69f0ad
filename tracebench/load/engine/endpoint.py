"""Where to connect, and which certificates to trust: settled before the run."""

import errno
import os
import socket
import ssl
import stat
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final, NoReturn

from tracebench.load.engine import kernel
from tracebench.model.errors import TargetError, UsageError
from tracebench.model.plan import Tls
from tracebench.model.shards import WHOLE, Shard

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


# Where connections come from: local addresses, given by --bind.
#
# A connection is identified by both of its ends, so one source address has at most as many
# connections to one server as this machine has ports for outgoing ones (28,000 on Linux), and a
# port stays taken for a minute after its connection was closed here first.

_LATE_PORT: Final = getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24)
"""Linux: `bind` leaves the port to `connect`, which then may use one that another connection to
elsewhere has. Python names the option only where it was compiled with it."""
_IP: Final[Mapping[int, str]] = {socket.AF_INET: "IPv4", socket.AF_INET6: "IPv6"}


class Sources:
    """Local addresses, which new connections take in turn.

    Args:
        addresses: as the system takes them, all of one family.
        family: their family.
        turn: which connections these are: shard k of N takes the address of every N-th.
    """

    __slots__ = ("_addresses", "_count", "_turn", "family")

    def __init__(self, addresses: Sequence[Any], family: int, turn: Shard = WHOLE) -> None:
        self._addresses, self.family, self._turn = tuple(addresses), family, turn
        self._count = count(turn.number, turn.of)

    def dealt(self, shard: Shard) -> "Sources":
        """The same addresses for the connections of a shard, so that all shards use all evenly."""
        return Sources(self._addresses, self.family, shard)

    def __str__(self) -> str:
        return ", ".join(str(address[0]) for address in self._addresses)

    def bind(self, made: socket.socket) -> int:
        """Bind a socket to the next address; returns an error number, 0 for none."""
        address = self._addresses[next(self._count) % len(self._addresses)]
        try:
            _bind(made, address)
        except OSError as error:
            return error.errno or errno.EADDRNOTAVAIL
        return 0

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled, it begins again with its first address."""
        return Sources, (self._addresses, self.family, self._turn)


def sources_of(given: Sequence[str]) -> Sources | None:
    """Check the addresses of `--bind`; None if there are none.

    Raises:
        UsageError: one is not an address of this machine, or they are of different families.
    """
    if not given:
        return None
    found = [_local(text) for text in given]
    families = {family for family, _ in found}
    if len(families) > 1:
        raise UsageError(f"--bind {','.join(given)!r} mixes IPv4 and IPv6: give only one of them")
    return Sources([address for _, address in found], families.pop())


def _local(text: str) -> tuple[int, Any]:
    """The family of a local address, and the address as the system takes it."""
    try:
        flags = socket.AI_NUMERICHOST | socket.AI_PASSIVE
        family, _, _, _, address = socket.getaddrinfo(
            text, 0, type=socket.SOCK_STREAM, flags=flags
        )[0]
    except (socket.gaierror, UnicodeError):
        raise UsageError(
            f"--bind {text!r} is not an IP address: give addresses of this machine, e.g. 10.0.0.5"
        ) from None
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            _bind(probe, address)
    except OSError as error:
        if error.errno != errno.EADDRNOTAVAIL:
            raise UsageError(f"--bind {text!r} cannot be used ({_cause(error)})") from None
        raise UsageError(
            f"--bind {text!r} is not an address of this machine: "
            "add it (ip address add), or give one that it has"
        ) from None
    return family, address


def _bind(made: socket.socket, address: Any) -> None:
    with suppress(OSError):  # other systems, and old kernels, choose the port here
        made.setsockopt(socket.IPPROTO_IP, _LATE_PORT, 1)
    made.bind(address)


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
    sources: Sources | None = field(default=None, compare=False)
    """The local addresses of connections; None: the system chooses."""

    def bind(self, made: socket.socket) -> int:
        """Give a socket its local address; returns an error number, 0 for none."""
        return 0 if self.sources is None else self.sources.bind(made)

    @property
    def unix_path(self) -> str | None:
        """The path of the Unix socket; None if it is not one."""
        return self.address if self.family == _UNIX else None


def resolve_unix(path: str, sources: Sequence[str] = ()) -> Endpoint:
    """Check that a Unix socket accepts connections.

    Raises:
        TargetError: it does not.
        UsageError: `sources` are given, which Unix sockets do not have.
    """
    if sources:
        raise UsageError(
            f"--bind {','.join(sources)!r} does not fit the Unix socket {path!r}, whose "
            "connections have no address: leave it out"
        )
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


def resolve(
    host: str, port: int, tls: ssl.SSLContext | None, sources: Sequence[str] = ()
) -> Endpoint:
    """Look up the host, and use the first address that accepts a connection.

    Args:
        host: the host's name or address.
        port: its port.
        tls: the TLS context; None: plaintext.
        sources: the local addresses to connect from (`--bind`); empty: the system chooses.

    Raises:
        TargetError: the host has no address, or none of its addresses accepts.
        UsageError: a local address cannot be used, or not for this host.
    """
    local = sources_of(sources)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise TargetError(
            f"cannot resolve the host {host!r} ({_cause(error)}): check the name"
        ) from None
    fitting = [one for one in found if local is None or one[0] == local.family]
    if not fitting and local is not None:
        raise UsageError(
            f"--bind {','.join(sources)!r} is {_IP[local.family]}, but {host!r} has only "
            f"{_IP[found[0][0]]} addresses: give local addresses of that family"
        )
    for family, _, _, _, address in fitting:
        one = Endpoint(host, port, family, address, tls, sources=local)
        if not (failure := _probe(one)):
            return one
    start = f"from {','.join(sources)} " if sources else ""
    raise TargetError(
        f"cannot connect {start}to {host}:{port} ({failure}): is the server running there?"
    )


def _probe(one: Endpoint) -> str:
    """Why an endpoint accepts no connection; empty if it does."""
    try:
        with socket.socket(one.family, socket.SOCK_STREAM) as probe:
            probe.settimeout(_PROBE_S)
            if error := one.bind(probe):
                return os.strerror(error).lower()
            probe.connect(one.address)
    except OSError as error:
        return _cause(error)
    return ""


def _cause(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:]

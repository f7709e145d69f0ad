"""Unix sockets: the notations for them, and `requests` over one."""

import re
import socket
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from tracebench.model.errors import UsageError
from tracebench.system.redaction import redacted

# Notations for Unix sockets: those of requests-unixsocket, nginx and gRPC.

SCHEME: Final = "http+unix"
_REST: Final = re.compile(r"(?:http://unix:(?=/)|unix:(?://(?=/))?)(?!//)([^:]+)(?::(/.*)?)?", re.I)
"""`unix:/path`, `unix:///path`, `http://unix:/path`, each optionally followed by `:/route`."""
_GRPC: Final = re.compile(r"unix:(?://(?=/))?(?!//)(.+)", re.I)
_EXAMPLE: Final = "give http+unix://%2Ftmp%2Fmodel.sock/route or unix:/tmp/model.sock:/route"


def rest_url(url: str, option: str = "--rest-url") -> str:
    """Rewrite a Unix socket's URL as `http+unix://%2Fpath/route`; others are unchanged.

    Args:
        url: as it was given.
        option: where.

    Raises:
        UsageError: it names no socket, or asks for TLS.
    """
    if (found := _REST.fullmatch(url)) is not None:
        return f"{SCHEME}://{quote(found[1], safe='')}{found[2] or ''}"
    scheme, _, rest = url.partition("://")
    if scheme.lower() == "https+unix":
        raise UsageError(
            f"{option} {redacted(url)!r}: TLS over a Unix socket is not supported: {_EXAMPLE}"
        )
    if scheme.lower() in ("unix", SCHEME) and (scheme.lower() == "unix" or rest[:1] in ("", "/")):
        raise UsageError(f"{option} {redacted(url)!r} does not name a Unix socket: {_EXAMPLE}")
    return url


def rest_path(url: str) -> str | None:
    """The socket in a URL from `rest_url`; None if it names a host."""
    parts = urlsplit(url)
    return unquote(parts.netloc.rpartition("@")[2]) if parts.scheme == SCHEME else None


def over_tcp(url: str) -> str:
    """The same URL for a library that learns the socket by other means."""
    if rest_path(url) is None:
        return url
    return urlsplit(url)._replace(scheme="http", netloc="localhost").geturl()


def grpc_path(address: str) -> str | None:
    """The socket in `unix:/path`, `unix:///path` or `unix:path`; None for other addresses."""
    found = _GRPC.fullmatch(address)
    return found[1] if found is not None else None


# `requests` over a Unix socket: an adapter whose connections all go to one socket.


def mount(session: requests.Session, path: str | None) -> None:
    """Send a session's plaintext requests to a Unix socket; None: leave it unchanged."""
    if path is not None:
        for scheme in (SCHEME, "http"):
            session.mount(f"{scheme}://", _Adapter(path))


class _Adapter(HTTPAdapter):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._pool = _Pool(path)

    def get_connection_with_tls_context(self, *_of: Any, **_more: Any) -> HTTPConnectionPool:
        return self._pool

    def close(self) -> None:
        self._pool.close()
        super().close()


class _Pool(HTTPConnectionPool):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def _new_conn(self) -> HTTPConnection:
        return _Connection(self._path)


class _Connection(HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def _new_conn(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        if isinstance(self.timeout, int | float):
            connection.settimeout(self.timeout)
        connection.connect(self._path)
        return connection

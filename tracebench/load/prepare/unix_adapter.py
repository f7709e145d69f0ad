"""`requests` over a Unix socket: an adapter whose connections all go to one."""

import socket
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from tracebench.load.prepare.unix_address import SCHEME


def mount(session: requests.Session, path: str | None) -> None:
    """Let a session's requests in the clear go to a Unix socket; None: leave it as it is."""
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

"""Servers under TLS, for tests: whom they are vouched for by, and their half of a session."""

import socket
import ssl
from contextlib import suppress
from pathlib import Path

import trustme

from tests.servers import HOST, Script


def context(authority: trustme.CA) -> ssl.SSLContext:
    """A server's, with a certificate of this authority."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(made)
    return made


def under_tls(context: ssl.SSLContext, script: Script) -> Script:
    """Run the script on each session."""

    def wrapped(connection: socket.socket) -> None:
        # A client that does not trust us leaves during the handshake.
        with suppress(ssl.SSLError), context.wrap_socket(connection, server_side=True) as secured:
            script(secured)

    return wrapped


def ca_file(authority: trustme.CA, folder: Path) -> str:
    """Write the authority's own certificate, which a client is to trust."""
    path = str(folder / "ca.pem")
    authority.cert_pem.write_to_path(path)
    return path


def grpc_pair(authority: trustme.CA) -> tuple[bytes, bytes]:
    """Key and certificate of a server, as `grpc.ssl_server_credentials` takes them."""
    leaf = authority.issue_cert(HOST)
    return leaf.private_key_pem.bytes(), leaf.cert_chain_pems[0].bytes()

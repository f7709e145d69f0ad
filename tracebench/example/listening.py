"""Ports to listen on, and how their addresses are written."""

import socket

from tracebench.model.errors import TracebenchError


def listener(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes any free one.

    Raises:
        TracebenchError: the port is taken, or the host is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        why = str(error.strerror).partition(" (while")[0]  # the address is named already
        raise TracebenchError(
            f"cannot listen on {address(host, port)} ({why}): choose another host or port"
        ) from None


def address(host: str, port: int) -> str:
    """`HOST:PORT`, an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

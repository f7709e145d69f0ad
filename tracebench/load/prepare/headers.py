"""`--header` for both protocols: which headers may be sent, and which are reserved."""

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Final

from server_middleware.vocabulary import BENCHMARK_HEADER, TRACEPARENT
from tracebench.model.errors import UsageError

Header = tuple[str, str]
Metadata = tuple[str, str | bytes]
"""A name in lower case, and its value; bytes if the name ends in `-bin`."""

_FRAMING: Final = frozenset({"content-length", "transfer-encoding"})
_OF_THE_CONNECTION: Final = _FRAMING | {
    *("connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade")
}
_OURS: Final = {TRACEPARENT: "", BENCHMARK_HEADER.lower(): "1"}
"""The tool's own headers that ask the server for its timings; the value if it is constant."""
_OF_THE_BODY: Final = frozenset({"content-type", "content-encoding"})
"""They describe a REST body; a gRPC message is always application/grpc."""


def http_headers(headers: Iterable[Header]) -> tuple[Header, ...]:
    """The headers of a REST request besides the tool's own, in order, repetitions included.

    Raises:
        UsageError: one frames the request, or is set by the tool.
    """
    for name, _ in headers:
        if name.lower() in _FRAMING:
            raise UsageError(f"--header {name!r} is derived from the body: leave it out")
    return _not_ours(headers)


def grpc_metadata(headers: Iterable[Header], *, rest_too: bool) -> tuple[Metadata, ...]:
    """The metadata of a gRPC call besides the protocol's own, in order, repetitions included.

    Args:
        headers: as given by the user.
        rest_too: whether some of them may be meant for a REST target only.

    Raises:
        UsageError: one cannot be sent.
    """
    lowered = ((name.lower(), value) for name, value in _not_ours(headers))
    return tuple(
        (name, _checked(name, value))
        for name, value in lowered
        if name != "host" and not (rest_too and name in _OF_THE_BODY)
    )


def _not_ours(headers: Iterable[Header]) -> tuple[Header, ...]:
    """Drop headers that repeat the tool's own; a different value for one of those is refused."""
    others = []
    for name, value in headers:
        if (ours := _OURS.get(name.lower())) is None:
            others.append((name, value))
        elif value != ours:
            raise UsageError(
                f"--header {name!r} is set by tracebench for each request: leave it out"
            )
    return tuple(others)


def authority(headers: Iterable[Header]) -> str | None:
    """The `:authority` of gRPC calls, if `--header Host` gives one."""
    hosts = [value for name, value in headers if name.lower() == "host"]
    return hosts[-1] if hosts else None


def _checked(name: str, value: str) -> str | bytes:
    if name.startswith((":", "grpc-")) or name in _OF_THE_CONNECTION | _OF_THE_BODY:
        raise UsageError(
            f"--header {name!r} is reserved by gRPC: leave it out"
            + ("" if name.startswith(("grpc-", ":")) else ", or measure REST alone")
        )
    if not re.fullmatch(r"[0-9a-z_.-]+", name):
        raise UsageError(
            f"--header {name!r} is not a valid name for gRPC metadata: use letters, digits, _ . -"
        )
    if name.endswith("-bin"):
        return _decoded(name, value)
    if not (value.isascii() and value.isprintable()):
        raise UsageError(
            f"--header {name!r} has a value that gRPC metadata cannot carry: use only printable "
            "ASCII, or a name that ends in -bin with the value in base64"
        )
    return value


def _decoded(name: str, value: str) -> bytes:
    """Decode base64 as gRPC allows it: padded or not."""
    try:
        return base64.b64decode(
            value.rstrip("=") + "=" * (-len(value.rstrip("=")) % 4), validate=True
        )
    except (binascii.Error, ValueError):
        raise UsageError(
            f"--header {name!r} ends in -bin, and its value is not base64: give the bytes in "
            "base64, as in 'x-ctx-bin: AAEC'"
        ) from None

"""What the two processes say to each other."""

from collections import Counter
from typing import NamedTuple

from tracebench.tracing.receiver.settings import Bind, Bounds
from tracebench.tracing.receiver.store import Digest


class Setup(NamedTuple):
    """What the process is told first."""

    bind: Bind
    forward: str | None
    bounds: Bounds


class Ready(NamedTuple):
    """What it answers: the ports, or why there are none."""

    grpc_port: int = 0
    http_port: int = 0
    failure: str = ""


class Fetch(NamedTuple):
    """What it is asked for, again and again: some of the spans that came."""

    room_bytes: int
    """What may still be kept of them."""


class Fetched(NamedTuple):
    """What it answers each time that it is asked."""

    come: Digest
    counts: Counter[str]
    problem: str = ""
    """Why the first of the rejected spans cannot be used."""

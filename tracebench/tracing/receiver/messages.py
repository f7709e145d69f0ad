"""Messages between the two processes."""

from collections import Counter
from typing import NamedTuple

from tracebench.tracing.receiver.settings import Bind, Bounds
from tracebench.tracing.receiver.store import Digest


class Setup(NamedTuple):
    """The first message to the receiver."""

    bind: Bind
    forward: str | None
    bounds: Bounds


class Ready(NamedTuple):
    """The receiver's answer: its ports, or why there are none."""

    grpc_port: int = 0
    http_port: int = 0
    failure: str = ""


class Fetch(NamedTuple):
    """A request for some of the received spans, sent repeatedly."""

    room_bytes: int
    """How much of them may still be kept."""


class Fetched(NamedTuple):
    """The answer to each `Fetch`."""

    come: Digest
    counts: Counter[str]
    problem: str = ""
    """Why the first of the rejected spans cannot be used."""

"""What the two processes say to each other."""

from collections import Counter
from typing import NamedTuple

from tracebench.tracing.receiver.bind import Bind
from tracebench.tracing.receiver.bounds import Bounds
from tracebench.tracing.receiver.store import Batch


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


class Fetched(NamedTuple):
    """What it answers each time that it is asked."""

    batches: list[Batch]
    counts: Counter[str]
    problem: str = ""
    """Why the first of the rejected spans cannot be used."""

"""A target made ready: an exchange that the engine can repeat, and that was seen to work once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tracebench.load.endpoint import Endpoint
from tracebench.load.grpc_request import GrpcRequest
from tracebench.load.http1 import HttpRequest
from tracebench.load.slot import RawReply
from tracebench.model.exchange import Reply
from tracebench.tracing.described import Described

EXCERPT = 200
MOST_TRIED = 32
"""So many different requests are tried before the run; the others are like them."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """One target, ready to be measured."""

    described: Described
    address: str
    """As the user wrote it, or would have."""
    endpoint: Endpoint
    repeated: Sequence[HttpRequest] | Sequence[GrpcRequest]
    """The target's requests, among which each slot names its own."""
    read: Callable[[RawReply], tuple[Reply, str]]
    """Reads a kept reply; the second part says why it is no success, empty for one."""
    request: str
    """What is sent, for a person to read: the head, and the size of the body."""
    answer: str = ""
    """The start of what the server answered to the preflight."""
    multiplexed: bool = False
    """Slots may share a connection."""
    variants: Iterator[int] | None = None
    """Which of several requests each exchange sends, without end; None: there is but one."""


def excerpt(text: str | bytes, most: int = EXCERPT) -> str:
    """The start of a server's words, on one line and without control characters."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= most else line[: most - 1] + "…"

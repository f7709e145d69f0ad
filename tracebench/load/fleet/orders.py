"""What the head, the conductors and the workers of a fleet tell each other."""

from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from tracebench.load.engine.endpoint import client_tls
from tracebench.load.engine.kernel import PathState
from tracebench.load.engine.target import PreparedTarget
from tracebench.model.measurement import Measurement
from tracebench.model.progress import Progress
from tracebench.model.record.columns import Page
from tracebench.model.record.exchange import Nanoseconds
from tracebench.model.shards import Shard

Urgent: TypeAlias = Literal["halt", "enough", "look"]
"""What a worker heeds in the middle of its load: cancel what is in flight; start nothing more; tell
the latencies so far."""
MOST_LOOKED_AT: Final = 20_000
"""Most latencies that a worker tells."""
PAGES_AT_ONCE: Final = 16
"""Pages in one message: a million rows, about 60 MB."""


@dataclass(frozen=True, slots=True, repr=False)
class Recipe:
    """A prepared target without live objects, from which a worker makes its own.

    Its text is only the address, because schedulers log the arguments of tasks that fail.
    """

    prepared: PreparedTarget
    """Its endpoint has no TLS context, and conversations have no requests yet."""
    secure: bool
    ids_key: bytes
    """Of the ids of all shards."""

    @classmethod
    def of(cls, prepared: PreparedTarget, ids_key: bytes) -> "Recipe":
        """The recipe of a target."""
        bare = replace(prepared, endpoint=replace(prepared.endpoint, tls=None))
        if prepared.talks is not None:  # they make the requests anew
            bare = replace(bare, repeated=())
        return cls(bare, prepared.endpoint.tls is not None, ids_key)

    def made(self, shard: Shard) -> PreparedTarget:
        """The target for one shard of the load.

        Raises:
            TracebenchError: a file with certificates cannot be used on this machine.
        """
        dealt = self.prepared.dealt(shard)
        if (sources := dealt.endpoint.sources) is not None:
            own = replace(dealt.endpoint, sources=sources.dealt(shard))
            dealt = replace(dealt, endpoint=own)
        if not self.secure:
            return dealt
        protocol = "h2" if dealt.multiplexed else "http/1.1"
        tls = client_tls(dealt.trust, protocol=protocol)
        return replace(dealt, endpoint=replace(dealt.endpoint, tls=tls))

    def __repr__(self) -> str:
        return f"<recipe of {self.prepared.address}>"


class Order(NamedTuple):
    """A method of the worker to call, and its arguments."""

    name: str
    arguments: tuple[Any, ...] = ()


class Said(NamedTuple):
    """What a worker tells its conductor."""

    kind: Literal["done", "progress", "latencies"]
    """`done`: an order was carried out, or refused."""
    value: Any


class Refused(NamedTuple):
    """An order that was not carried out."""

    kind: str
    """Name of the error's class in `tracebench.model.errors`; empty: a fault of the worker."""
    text: str


class Lost(NamedTuple):
    """A worker that is no longer there."""

    text: str


class Woken(NamedTuple):
    """Whether a target may be sent the next block, and why not."""

    ready: bool
    gave_up: str


class Ended(NamedTuple):
    """A window that is over."""

    late_ns: int
    """How long after the common start it began."""
    rows: int
    """The number of requests in the record so far."""
    gave_up: str


class Due(NamedTuple):
    """The arrivals of an open loop: their number, and when the first and the last are due."""

    requests: int
    first_ns: int
    last_ns: int


class StoredPage(NamedTuple):
    """One page of the record: requests and server times have the same rows."""

    requests: Page
    times: Page
    rows: int


@dataclass(frozen=True, slots=True)
class Returned:
    """What a worker measured of one target; further pages of its record follow."""

    load: Measurement
    """Its requests and server times have no rows."""
    pages: int
    """How many there are in all."""
    first: list[StoredPage]
    """The first of them."""
    paths: tuple[PathState, ...]
    due: Due | None
    """None in a closed loop."""


class Glance(NamedTuple):
    """The state of a worker in the middle of its work."""

    progress: Progress | None
    looks: int
    """How many times it has told its latencies, of which these are the last."""
    latencies_ns: Nanoseconds | None


class Hello(NamedTuple):
    """Who a worker is, and what it runs."""

    host: str
    pid: int
    version: str
    sources: str
    """Digest of the program's source files."""


class ClockReading(NamedTuple):
    """A machine's monotonic clock."""

    boot: str
    """Identifies the machine since it was started; empty if the system does not tell."""
    now_ns: int

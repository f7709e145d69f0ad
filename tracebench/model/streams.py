"""The record of streamed replies, in columns: a row for each stream, and one for each read of it.

Times are ns on the client's monotonic clock; 0 is one that was never reached.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from tracebench.model.columns import ABSENT, Int64
from tracebench.model.exchange import Timing

TokenSource = Literal["none", "events", "ids", "usage"]
TOKEN_SOURCES: Final[Sequence[TokenSource]] = ("none", "events", "ids", "usage")
"""Who counted the tokens of an answer, the best last; a row's `source` is a place among them."""

UNTOLD: Final = -1
STREAM: Final = np.dtype(
    [
        ("draw", "<u4"),
        ("events", "<u4"),
        ("carrying", "<u4"),
        ("exact", "<u4"),
        ("reads", "<u4"),
        ("first_size", "<u4"),
        ("sent", "<i8"),
        ("first_event", "<i8"),
        ("first_token", "<i8"),
        ("first_token_after", "<i8"),
        ("first_text", "<i8"),
        ("last_token", "<i8"),
        ("last_token_after", "<i8"),
        ("input", "<i4"),
        ("output", "<i4"),
        ("reasoning", "<i4"),
        ("cached", "<i4"),
        ("prefill", "<i8"),
        ("decode", "<i8"),
        ("source", "u1"),
        ("told_each", "u1"),
    ]
)
"""`draw` names the request, which left at `sent`. Of its `events`, so many are `carrying` tokens,
and of these so many have `exact` stamps; it has so many `reads`. With its first token it was of
`first_size`: bytes of the body, or messages of a gRPC call. A token's stamp is an upper bound where
`…_after` differs from it, which is then the lower one. Counts of tokens, and the durations that the
server tells, are `UNTOLD` where nobody does. `told_each`: the server says of every event how many
tokens it carries."""
STAMPS: Final = (
    *("first_event", "first_token", "first_token_after", "first_text"),
    *("last_token", "last_token_after"),
)
"""The fields of a row that are times."""
READ: Final = np.dtype([("gap", "<u4"), ("gap_high", "<i2"), ("tokens", "<u2")])
"""A read that completed events with tokens: how long after the one before it came, the first after
`sent`, in ns, of which `gap_high` counts 2³²; see `gaps_ns`. A stamp may be before the last by the
jitter of the clocks."""

STOPPED: Final = "the stream stopped without an event that ends it"
BROKE_OFF: Final = "the stream broke off with an error"
"""Why a stream is no success; the second is followed by what the server said."""

Rows = npt.NDArray[np.void]


def gaps_ns(reads: Rows) -> Int64:
    """How long after the one before it each read came."""
    return np.asarray(reads["gap_high"].astype(np.int64) * 2**32 + reads["gap"])


@dataclass(frozen=True, slots=True)
class Streams:
    """Streams in any order; the reads of each follow those of the one before."""

    rows: Rows
    reads: Rows
    faults: Mapping[int, str] = field(default_factory=dict)
    """Draw → why that stream is no success."""
    timings: Mapping[int, Timing] = field(default_factory=dict)
    """Draw → what the server said of itself at the stream's end."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def first_reads(self) -> Int64:
        """Where the reads of each stream begin."""
        ends = np.cumsum(self.rows["reads"], dtype=np.int64)
        return np.asarray(ends - self.rows["reads"])

    def places(self, draws: Int64) -> Int64:
        """Where the streams of some requests stand; `ABSENT` for a request that has none."""
        return places_of(draws, self.rows["draw"].astype(np.int64))


def places_of(wanted: Int64, known: Int64) -> Int64:
    """Where some numbers stand among others that are distinct; `ABSENT` where they do not."""
    if not len(known):
        return np.full(len(wanted), ABSENT)
    order = np.argsort(known)
    at = np.minimum(np.searchsorted(known, wanted, sorter=order), len(known) - 1)
    found = order[at]
    return np.where(known[found] == wanted, found, ABSENT)

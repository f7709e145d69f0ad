"""The record of streamed replies, in columns: one row per stream, and one per read of a stream.

Times are in ns on the client's monotonic clock; 0: never reached.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from tracebench.model.record.columns import ABSENT, Int64
from tracebench.model.record.exchange import Timing

TokenSource = Literal["none", "events", "ids", "usage"]
TOKEN_SOURCES: Final[Sequence[TokenSource]] = ("none", "events", "ids", "usage")
"""What the token count is based on, least reliable first; a row's `source` is an index into it."""

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
"""One row per stream. `draw` identifies the request, which was sent at `sent`. Of its `events`,
`carrying` hold tokens, and `exact` of those have exact stamps; `reads` rows of `READ` belong to it.
`first_size` is the size of the stream up to and including its first token: bytes of the body, or
messages of a gRPC call. If a token's stamp and its `…_after` differ, the stamp is an upper bound
and `…_after` the lower one. Token counts, and the durations that the server reports, are `UNTOLD`
if unknown. `told_each`: the server reports the number of tokens in every event."""
STAMPS: Final = (
    *("first_event", "first_token", "first_token_after", "first_text"),
    *("last_token", "last_token_after"),
)
"""The fields of a row that are times."""
READ: Final = np.dtype([("gap", "<u4"), ("gap_high", "<i2"), ("tokens", "<u2")])
"""A read that completed events with tokens. The time since the previous such read (for the first:
since `sent`) is `gap_high` × 2³² + `gap` ns, see `gaps_ns`; it can be slightly negative because of
clock jitter."""

STOPPED: Final = "the stream stopped without an event that ends it"
BROKE_OFF: Final = "the stream broke off with an error"
"""Reasons why a stream failed; the second is followed by the server's message."""

Rows = npt.NDArray[np.void]


def gaps_ns(reads: Rows) -> Int64:
    """Time from the previous read to each read, in ns."""
    return np.asarray(reads["gap_high"].astype(np.int64) * 2**32 + reads["gap"])


@dataclass(frozen=True, slots=True)
class Streams:
    """Streams in any order; `reads` holds the reads of each stream in the order of `rows`."""

    rows: Rows
    reads: Rows
    faults: Mapping[int, str] = field(default_factory=dict)
    """Draw → why that stream failed."""
    timings: Mapping[int, Timing] = field(default_factory=dict)
    """Draw → the timing that the server reported at the end of that stream."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def first_reads(self) -> Int64:
        """The index of each stream's first read."""
        ends = np.cumsum(self.rows["reads"], dtype=np.int64)
        return np.asarray(ends - self.rows["reads"])

    def places(self, draws: Int64) -> Int64:
        """The index of each request's stream; `ABSENT` if it has none."""
        return places_of(draws, self.rows["draw"].astype(np.int64))


def places_of(wanted: Int64, known: Int64) -> Int64:
    """The index of each wanted number in `known`, which has no duplicates; `ABSENT` if missing."""
    if not len(known):
        return np.full(len(wanted), ABSENT)
    order = np.argsort(known)
    at = np.minimum(np.searchsorted(known, wanted, sorter=order), len(known) - 1)
    found = order[at]
    return np.where(known[found] == wanted, found, ABSENT)

"""Merges what workers measured into one record: concatenation, and a stable sort by end time.

Each row keeps its values; what changes is whose it is. A draw becomes `draw · N + shard`, so that
it stays unique and its ids can be found; a slot likewise. The times of a worker on another machine
are moved as a whole to the head's clock, so that rows can be ordered and shown: durations stay as
they were measured.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from tracebench.model.record import requests as columns_of
from tracebench.model.record.columns import (
    PAGE_ROWS,
    Columns,
    Int64,
    Keep,
    PageView,
    Stored,
    in_memory,
    narrowed,
)
from tracebench.model.record.requests import Ids, Requests, Texts
from tracebench.model.record.server_times import ServerTimes
from tracebench.model.record.span_columns import Words
from tracebench.model.record.streams import READ, STAMPS, STREAM, Streams
from tracebench.model.shards import Shard

_PAGES_AT_ONCE: Final = 16
"""Pages gathered at once, or as many as there are shards: each page is then widened a few times,
not once for every shard."""
Moved = Callable[[int, str, Int64], Int64]
"""Adapts a column of the piece at a place to the whole."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The record of one shard."""

    requests: Requests
    times: ServerTimes
    streams: Streams | None
    shard: Shard
    offset_ns: int = 0
    """How far its clock is ahead of the head's."""
    block_ends: Sequence[int] = ()
    """Row numbers at which its blocks end; empty if it was one block."""


@dataclass(frozen=True, slots=True)
class Whole:
    """The merged record."""

    requests: Requests
    times: ServerTimes
    streams: Streams | None
    block_ends: tuple[int, ...]


def merged(pieces: Sequence[Piece], keep: Keep = in_memory) -> Whole:
    """Merge the records of shards.

    Args:
        pieces: at least one; those of other shards are missing.
        keep: decides where its pages are stored.
    """
    pieces = sorted(pieces, key=lambda one: one.shard.number)
    order, block_ends = _order(pieces)
    reasons = _Texts([one.requests for one in pieces], columns_of.REASON, order)
    statuses = _Texts([one.requests for one in pieces], columns_of.STATUS, order)

    def moved(place: int, name: str, values: Int64) -> Int64:
        piece = pieces[place]
        match name:
            case columns_of.SCHEDULED:
                return values - piece.offset_ns
            case columns_of.DRAW | columns_of.SLOT:
                return values * piece.shard.of + piece.shard.number
            case columns_of.REASON:
                return reasons.numbers[place][values]
            case columns_of.STATUS:
                return statuses.numbers[place][values]
        return values

    requests = _gathered([one.requests.columns for one in pieces], order, keep, moved)
    times = _gathered([one.times.columns for one in pieces], order, keep)
    examples: dict[str, str] = {}
    for one in pieces:
        examples = {**one.requests.examples, **examples}
    ids = IdsOfShards({one.shard.number: one.requests.ids for one in pieces}, pieces[0].shard.of)
    return Whole(
        Requests(requests, ids, reasons.texts, statuses.texts, examples),
        ServerTimes(times, max(one.times.unlisted for one in pieces)),
        _streams(pieces),
        block_ends,
    )


class IdsOfShards:
    """The ids of draws that were made by several shards.

    Args:
        shards: number of a shard → its ids.
        of: how many shards there are.
    """

    def __init__(self, shards: dict[int, Ids], of: int) -> None:
        self._shards, self._of = shards, of

    def __call__(self, draw: int) -> tuple[str, str]:
        """See `Ids`."""
        own, number = divmod(draw, self._of)
        return self._shards[number](own)

    def words(self, draws: Int64) -> tuple[Words, Words, Words]:
        """See `Ids`."""
        found = np.empty((3, len(draws)), np.uint64)
        own, numbers = np.divmod(draws, self._of)
        for number, ids in self._shards.items():
            here = np.flatnonzero(numbers == number)
            if len(here):
                found[:, here] = ids.words(own[here])
        return found[0], found[1], found[2]


class _Texts:
    """The texts of all shards, numbered in the order in which they occur in the whole.

    Args:
        records: of the shards.
        column: holds the numbers of texts.
        order: the rows of the whole, as places in the concatenated records.
    """

    def __init__(self, records: Sequence[Requests], column: str, order: Int64) -> None:
        texts = Texts()
        reasons = column == columns_of.REASON
        given = [one.reasons if reasons else one.statuses for one in records]
        numbers = [np.array([texts.number(text) for text in some], np.int64) for some in given]
        if len(texts) <= 2:  # the empty text and one other: there is no order to find
            self.texts, self.numbers = texts.all(), numbers
            return
        each = [new[one.columns.whole(column)] for new, one in zip(numbers, records, strict=True)]
        occurring = np.concatenate(each)[order]
        first = np.full(len(texts), len(order))
        first[occurring[::-1]] = np.arange(len(order))[::-1]  # the last one written stays
        first[0] = -1  # the empty text is number 0
        by_place = np.argsort(first, kind="stable")
        rank = np.argsort(by_place, kind="stable")
        known = texts.all()
        self.texts = tuple(known[at] for at in by_place.tolist())
        self.numbers = [rank[new] for new in numbers]
        """For each shard, the number in the whole of each of its own."""


def _order(pieces: Sequence[Piece]) -> tuple[Int64, tuple[int, ...]]:
    """The rows of the whole, as places in the concatenated pieces, and where its blocks end."""
    done = [
        one.requests.whole(lambda rows: rows.at(columns_of.DONE)) - one.offset_ns for one in pieces
    ]
    starts = np.cumsum([0, *(len(one.requests) for one in pieces)])
    count = max(1, *(len(one.block_ends) for one in pieces))
    found, ends = [], []
    for block in range(count):
        places, when = [], []
        for piece, at_ns, start in zip(pieces, done, starts.tolist(), strict=False):
            first, end = _block(piece, block, count)
            places.append(np.arange(start + first, start + end))
            when.append(at_ns[first:end])
        found.append(np.concatenate(places)[np.argsort(np.concatenate(when), kind="stable")])
        ends.append(len(found[-1]))
    in_blocks = any(len(one.block_ends) for one in pieces)
    return np.concatenate(found), tuple(np.cumsum(ends).tolist()) if in_blocks else ()


def _block(piece: Piece, block: int, count: int) -> tuple[int, int]:
    """The first row of a block and the row after its last; a shard may have fewer blocks."""
    if count == 1:
        return 0, len(piece.requests)
    ends = [0, *piece.block_ends, *[len(piece.requests)] * (count - len(piece.block_ends))]
    return list(pairwise(ends))[block]


def _gathered(
    columns: Sequence[Columns],
    order: Int64,
    keep: Keep,
    moved: Moved = lambda _place, _name, values: values,
) -> Columns:
    """Rows of concatenated columns in another order."""
    pages = [(place, page) for place, one in enumerate(columns) for page in one.pages()]
    starts = np.cumsum([0, *(page.rows for _, page in pages)])
    names = dict.fromkeys(name for one in columns for name in one.names)
    whole, at_once = Columns(keep), PAGE_ROWS * max(_PAGES_AT_ONCE, len(columns))
    for at in range(0, len(order), at_once):
        rows = order[at : at + at_once]
        of_page = np.searchsorted(starts, rows, "right") - 1
        touched, rank = np.unique(of_page, return_inverse=True)
        some = [pages[number] for number in touched.tolist()]
        bases = np.cumsum([0, *(page.rows for _, page in some)])[:-1]
        where = rows - starts[of_page] + bases[rank]
        _append(whole, dict(_columns_at(some, list(names), where, moved)), len(rows))
    return whole


def _columns_at(
    pages: Sequence[tuple[int, PageView]], names: Sequence[str], where: Int64, moved: Moved
) -> Iterator[tuple[str, list[Stored]]]:
    """Each column of the rows at `where` in the concatenated pages, in pieces of a page each."""
    for name in names:
        values = np.concatenate([moved(place, name, page[name]) for place, page in pages])[where]
        places = range(0, len(values), PAGE_ROWS)
        yield name, [narrowed(values[at : at + PAGE_ROWS]) for at in places]


def _append(whole: Columns, columns: dict[str, list[Stored]], rows: int) -> None:
    for number, at in enumerate(range(0, rows, PAGE_ROWS)):
        page = {name: pieces[number] for name, pieces in columns.items()}
        whole.adopt(page, min(PAGE_ROWS, rows - at))


def _streams(pieces: Sequence[Piece]) -> Streams | None:
    """The streams of all shards; None if there are none."""
    with_streams = [(one, one.streams) for one in pieces if one.streams is not None]
    if not with_streams:
        return None
    rows = []
    for piece, streams in with_streams:
        own = streams.rows.copy()
        own["draw"] = own["draw"] * piece.shard.of + piece.shard.number
        for name in ("sent", *STAMPS):
            own[name][own[name] != 0] -= piece.offset_ns
        rows.append(own)
    reads = [streams.reads for _, streams in with_streams]
    faults = {
        draw * piece.shard.of + piece.shard.number: fault
        for piece, streams in with_streams
        for draw, fault in streams.faults.items()
    }
    return Streams(
        np.concatenate(rows).astype(STREAM, copy=False),
        np.concatenate(reads).astype(READ, copy=False),
        faults,
    )

"""The record of a window: one row for each exchange that ended, written into pages.

A row is one `pack_into`; a full page is handed over as it is. Nothing is interpreted here: rows and
replies are read after the window, by `read_record.py`.
"""

import mmap
from collections.abc import Iterator
from struct import Struct
from typing import Final

import numpy as np
import numpy.typing as npt

from tracebench.load.recording.live_counts import LiveCounts
from tracebench.load.recording.replies import Replies
from tracebench.load.recording.spill import Held, Spill
from tracebench.load.wire.codec import Slot
from tracebench.model.record.columns import PAGE_ROWS, Int64
from tracebench.model.record.exchange import Outcome, Stamp
from tracebench.model.record.requests import LOST_CODES, OUTCOME_CODES, STAMP_CODES

PLAIN: Final = Struct("<4qIQ").pack_into
"""Writes the start of a row, which is all that most rows need: new pages are zeroed. The last
number is a `plain_tag`."""
_FULL: Final = Struct("<4qIIHBBI4qHB").pack_into
ROW: Final = np.dtype(
    [
        ("scheduled", "<i8"),
        ("sent", "<i8"),
        ("arrived", "<i8"),
        ("done", "<i8"),
        ("draw", "<u4"),
        ("slot", "<u4"),
        ("reply", "<u2"),
        ("outcome", "u1"),
        ("stamp", "u1"),
        ("variant", "<u4"),
        ("ready", "<i8"),
        ("first_byte", "<i8"),
        ("connect", "<i8"),
        ("write_lag", "<i8"),
        ("error", "<u2"),
        ("lost", "u1"),
    ]
)
"""Times in ns on the monotonic clock. A stamp of 0 was never reached, with two exceptions: without
`ready`, a row was ready when scheduled, and with `arrived` but no `first_byte`, both came in one
read. `reply` is the result of `Replies.take`; `outcome` is 0 if the reply or the error determines
it, else the outcome's code + 1; `lost` is 0 if no attempt was lost, else the code of its cause + 1;
`error` is an index into the recorder's errors."""
ROW_BYTES: Final = ROW.itemsize
PAGE_BYTES: Final = PAGE_ROWS * ROW_BYTES
MOST_ERRORS: Final = 1_000
OTHER_ERROR: Final = "other errors"
_THIN: Final = 4
"""One in this many latencies of full pages stays available within the window."""

_KERNEL: Final = Stamp.KERNEL
"""Its code is 0, which saves an enum look-up: they are slow."""

_TIMED_OUT: Final = OUTCOME_CODES[Outcome.TIMED_OUT] + 1

Rows = npt.NDArray[np.void]


def plain_tag(slot: int, reply: int) -> int:
    """A row's `slot` and `reply`, with an `outcome` and a `stamp` of 0, as one number."""
    return slot | reply << 32


class RowRecorder:
    """Writes rows; the hot path of `memory_mapped.py` writes plain ones itself, at `at` in `page`.

    Args:
        replies: takes the replies.
        spill: holds full pages.
    """

    __slots__ = (
        "_codes",
        "_pages",
        "_thinned",
        "_told",
        "_written",
        "at",
        "live",
        "page",
        "replies",
        "spill",
    )

    def __init__(self, replies: Replies, spill: Spill) -> None:
        self.replies, self.spill = replies, spill
        replies.begin(spill)
        self._pages: list[Held] = []
        self._written = 0
        self.page, self.at = _new_page(), 0
        self._codes: dict[str, int] = {"": 0}
        self._thinned: list[Int64] = []
        self.live: LiveCounts | None = None
        """Counts the rows as they come; None: nobody looks."""
        self._told = 0
        """How many rows of this page it has counted."""

    def __len__(self) -> int:
        return self._written + self.at // ROW_BYTES

    @property
    def errors(self) -> list[str]:
        """Why exchanges ended without a reply; the first is empty."""
        return list(self._codes)

    def write(
        self,
        slot: Slot,
        arrived_ns: int,
        done_ns: int,
        stamp: Stamp,
        outcome: Outcome | None = None,
    ) -> None:
        """Write a row.

        Args:
            slot: holds its reply or its error.
            arrived_ns: when the reply's last byte arrived; 0: never.
            done_ns: when the exchange ended.
            stamp: the source of `arrived_ns`.
            outcome: None if the reply or the error determines it.
        """
        _FULL(
            self.page,
            self.at,
            slot.scheduled_ns,
            slot.sent_ns,
            arrived_ns,
            done_ns,
            slot.draw,
            slot.number,
            self.replies.take(slot.reply),
            0 if outcome is None else OUTCOME_CODES[outcome] + 1,
            0 if stamp is _KERNEL else STAMP_CODES[stamp],
            slot.variant,
            slot.ready_ns,
            slot.first_byte_ns,
            slot.connect_ns,
            slot.write_lag_ns,
            self._code(slot.error) if slot.error else 0,
            0 if slot.lost is None else LOST_CODES[slot.lost] + 1,
        )
        self.at += ROW_BYTES
        if self.at == PAGE_BYTES:
            self.turn()

    def turn(self) -> None:
        """Hand over the full page and its reply texts, and begin a new one."""
        self._hand_over(self.page)
        self.page, self.at = _new_page(), 0

    def close(self) -> None:
        """The window is over: hand over the written part of the last page."""
        self._hand_over(self.page[: self.at])
        self.at = 0

    def watch(self, live: LiveCounts) -> None:
        """Let `live` count the rows from now on; none has been written."""
        self.live, self.replies.watched = live, live.kept

    def tell(self, most: int | None = None) -> bool:
        """Let `live` count more rows of this page; returns whether any are left.

        Args:
            most: how many; None: a slice that takes little time.
        """
        end = self.at // ROW_BYTES
        if self.live is None or self._told == end:
            return False
        first = self._told
        self._told = min(first + (self.live.slice_rows if most is None else most), end)
        self.live.take(np.frombuffer(self.page, ROW, self._told)[first:])
        return self._told < end

    def take_pages(self) -> Iterator[Held]:
        """The pages, in order; each is released when the next one is requested."""
        while self._pages:
            yield self._pages.pop(0)

    def latencies_ns(self, most: int) -> Int64:
        """Evenly spaced latencies since the start of the window, about `most` at most."""
        step = -(-len(self) // most)
        if not self._thinned:
            return self._latencies(0, len(self), step)
        thin = -(-step // _THIN)
        parts = [*self._thinned, self._latencies(0, self.at // ROW_BYTES, _THIN)]
        return np.concatenate([part[::thin] for part in parts])

    def timed_out(self) -> int:
        """How many exchanges on this page were given up because they took too long."""
        rows = np.frombuffer(self.page, ROW, self.at // ROW_BYTES)
        return int(np.count_nonzero(rows["outcome"] == _TIMED_OUT))

    def _hand_over(self, page: mmap.mmap | bytes) -> None:
        self.tell(PAGE_ROWS)
        self._told = 0
        self._thinned.append(self._latencies(0, self.at // ROW_BYTES, _THIN))
        self._written += self.at // ROW_BYTES
        self._pages.append(self.spill.hold(page))
        self.replies.turn()

    def _latencies(self, first: int, end: int, step: int = 1) -> Int64:
        """The latencies of rows on this page; all of a full one take 0.4 ms, which is a stall."""
        rows = np.frombuffer(self.page, ROW, end)[first::step]
        return np.asarray(rows["done"] - rows["scheduled"])

    def _code(self, error: str) -> int:
        codes = self._codes
        if error not in codes and len(codes) > MOST_ERRORS:
            error = OTHER_ERROR
        return codes.setdefault(error, len(codes))


def _new_page() -> mmap.mmap:
    """Zeroed memory that costs nothing until written to, row by row.

    A huge page would be zeroed all at once, in 0.2 ms.
    """
    page = mmap.mmap(-1, PAGE_BYTES, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        page.madvise(mmap.MADV_NOHUGEPAGE)
    return page

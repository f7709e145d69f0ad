"""The record of a window: one row for each exchange that ended, written into pages.

A row is one `pack_into`; a page that is full is handed over as it is. Nothing is read here: what
the rows mean, and what the replies say, `read_record.py` finds out after the window.
"""

import mmap
from collections.abc import Iterator
from struct import Struct
from typing import Final

import numpy as np
import numpy.typing as npt

from tracebench.load.recording.replies import Replies
from tracebench.load.recording.spill import Held, Spill
from tracebench.load.wire.codec import Slot
from tracebench.model.columns import PAGE_ROWS, Int64
from tracebench.model.exchange import Outcome, Stamp
from tracebench.model.requests import LOST_CODES, OUTCOME_CODES, STAMP_CODES

PLAIN: Final = Struct("<4qIQ").pack_into
"""The begin of a row, and all that has to be written of most: the rest of a new page is zeros.
Its last number is a `plain_tag`."""
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
"""Times in ns on the monotonic clock. 0 is a stamp that was never reached, but that a row without
a `ready` was ready when it was scheduled, and one that has an `arrived` and no `first_byte` had
both in one read. `reply` is what `Replies.take` gave; `outcome` is 0 where the reply or the error
tells it, else the outcome's code + 1; `lost` is 0 where nothing was, else its code + 1; `error` is
a place among the recorder's errors."""
ROW_BYTES: Final = ROW.itemsize
PAGE_BYTES: Final = PAGE_ROWS * ROW_BYTES
MOST_ERRORS: Final = 1_000
OTHER_ERROR: Final = "other errors"
_THIN: Final = 4
"""Of the latencies on full pages, one in so many can still be looked at in the window."""

_KERNEL: Final = Stamp.KERNEL
"""Its code is 0, which needs no look-up: an enum's takes its time."""

Rows = npt.NDArray[np.void]


def plain_tag(slot: int, reply: int) -> int:
    """A row's `slot` and `reply`, with an `outcome` and a `stamp` of 0, as one number."""
    return slot | reply << 32


class RowRecorder:
    """Writes rows. The hot path of `mapped.py` writes plain ones by itself, at `at` in `page`.

    Args:
        replies: takes what the server answered.
        spill: where full pages are held.
    """

    __slots__ = ("_codes", "_pages", "_thinned", "_written", "at", "page", "replies", "spill")

    def __init__(self, replies: Replies, spill: Spill) -> None:
        self.replies, self.spill = replies, spill
        replies.begin(spill)
        self._pages: list[Held] = []
        self._written = 0
        self.page, self.at = _new_page(), 0
        self._codes: dict[str, int] = {"": 0}
        self._thinned: list[Int64] = []

    @classmethod
    def empty(cls) -> "RowRecorder":
        """The record of no window."""
        recorder = cls(Replies(None, lambda _callback: None), Spill())
        recorder.close()
        return recorder

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
            slot: has its reply, or its error.
            arrived_ns: when the reply's last byte arrived; 0: never.
            done_ns: when the exchange ended.
            stamp: how `arrived_ns` was had.
            outcome: None where the reply or the error tells it.
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
        """Begin a new page; the full one, and what the replies on it said, are handed over."""
        self._hand_over(self.page)
        self.page, self.at = _new_page(), 0

    def close(self) -> None:
        """The window is over: hand over the last page, as far as it was written."""
        self._hand_over(self.page[: self.at])
        self.at = 0

    def take_pages(self) -> Iterator[Held]:
        """The pages, in order; each is given up when the next one is asked for."""
        while self._pages:
            yield self._pages.pop(0)

    def recent_ns(self, most: int) -> Int64:
        """The latencies of the last exchanges on this page, at most so many."""
        rows = self._latencies_here(1)
        return rows[-most:]

    def latencies_ns(self, most: int) -> Int64:
        """Evenly spaced latencies since the begin of the window, at most about so many."""
        step = -(-len(self) // most)
        if not self._thinned:
            return self._latencies_here(step)
        thin = -(-step // _THIN)
        parts = [*self._thinned, self._latencies_here(_THIN)]
        return np.concatenate([part[::thin] for part in parts])

    def _hand_over(self, page: mmap.mmap | bytes) -> None:
        self._thinned.append(self._latencies_here(_THIN))
        self._written += self.at // ROW_BYTES
        self._pages.append(self.spill.hold(page))
        self.replies.turn()

    def _latencies_here(self, step: int) -> Int64:
        rows = np.frombuffer(self.page, ROW, self.at // ROW_BYTES)[::step]
        return np.asarray(rows["done"] - rows["scheduled"])

    def _code(self, error: str) -> int:
        codes = self._codes
        if error not in codes and len(codes) > MOST_ERRORS:
            error = OTHER_ERROR
        return codes.setdefault(error, len(codes))


def _new_page() -> mmap.mmap:
    """Zeroed memory that costs nothing before it is written to, row by row.

    A huge page would be zeroed at once, in 0.2 ms.
    """
    page = mmap.mmap(-1, PAGE_BYTES, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        page.madvise(mmap.MADV_NOHUGEPAGE)
    return page

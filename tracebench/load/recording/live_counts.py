"""Counts the rows of a record in progress, by how they ended and how long they took.

Each row is counted once, soon after it was written, in short slices between two iterations of the
loop: 30 ns a row. A reply that was kept whole is counted by its status alone; whether its content
is as expected is known after the run.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from tracebench.load.recording.replies import FIRST_FORM, NONE
from tracebench.load.wire.codec import RawReply
from tracebench.model.progress import BOUNDS_NS, SUCCEEDED, Latencies, error_type, says_success
from tracebench.model.record.columns import Int64
from tracebench.model.record.exchange import Outcome, Reply
from tracebench.model.record.requests import OUTCOMES

_SLICE_ROWS: Final = 1_024
"""Rows of a slice, which takes 40 µs. Where replies are kept whole, a row takes 0.7 µs, and an
eighth of them 90 µs."""
_BOUNDS: Final = np.array(BOUNDS_NS)
_CUT_SHORT: Final = (Outcome.CANCELLED.value, Outcome.ABANDONED.value)

Rows = npt.NDArray[np.void]


class LiveCounts:
    """Latencies of the requests so far, by kind.

    Args:
        status_of: the status in a kept reply.
        read: reads a kept reply: the protocol's, with what is expected of it.
        timeout_ns: a failure after this long counts as a time-out.
    """

    def __init__(
        self,
        status_of: Callable[[RawReply], str],
        read: Callable[[RawReply], tuple[Reply, str]],
        timeout_ns: float,
    ) -> None:
        self._status_of, self._read, self._timeout_ns = status_of, read, timeout_ns
        self._of_status: dict[str, str] = {}
        self._numbers: dict[str, int] = {}
        """Every kind so far, with its place among them."""
        self._counts: dict[str, Int64] = {}
        self._sums_ns: dict[str, int] = {}
        self.kept: deque[RawReply] = deque()
        """The replies of the rows not counted yet that were kept whole, in order."""

    @property
    def slice_rows(self) -> int:
        """How many rows to take at a time."""
        return _SLICE_ROWS // 8 if self.kept else _SLICE_ROWS

    def take(self, rows: Rows) -> None:
        """Count rows, in the order in which they were written."""
        latencies_ns = rows["done"] - rows["scheduled"]
        odd = rows["reply"] < FIRST_FORM
        if not odd.any():
            return self._count(SUCCEEDED, latencies_ns)
        if not odd.all():
            self._count(SUCCEEDED, latencies_ns[~odd])
        kinds, odd_ns = np.array(list(self._kinds(rows[odd]))), latencies_ns[odd]
        for kind, number in self._numbers.items():
            which = kinds == number
            if kind not in _CUT_SHORT and which.any():
                self._count(kind, odd_ns[which])
        return None

    def latencies(self) -> dict[str, Latencies]:
        """What has been counted so far."""
        return {
            kind: Latencies(tuple(counts.tolist()), self._sums_ns[kind])
            for kind, counts in self._counts.items()
        }

    def _count(self, kind: str, latencies_ns: Int64) -> None:
        if kind not in self._counts:
            self._counts[kind] = np.zeros(len(_BOUNDS) + 1, np.int64)
            self._sums_ns[kind] = 0
        places = np.searchsorted(_BOUNDS, latencies_ns)
        self._counts[kind] += np.bincount(places, minlength=len(_BOUNDS) + 1)
        self._sums_ns[kind] += int(latencies_ns.sum())

    def _kinds(self, rows: Rows) -> Iterator[int]:
        """The number of each row's kind."""
        numbers = self._numbers
        for kind in self._kinds_of(rows):
            yield numbers.setdefault(kind, len(numbers))

    def _kinds_of(self, rows: Rows) -> Iterator[str]:
        sent, took_ns = rows["sent"] != 0, rows["done"] - rows["sent"]
        late = sent & (took_ns >= self._timeout_ns)
        each = zip(rows["reply"].tolist(), rows["outcome"].tolist(), late.tolist(), strict=True)
        for reply, outcome, is_late in each:
            if reply != NONE:
                yield self._of_reply(self.kept.popleft())
            elif outcome:
                yield OUTCOMES[outcome - 1].value
            else:
                yield (Outcome.TIMED_OUT if is_late else Outcome.FAILED).value

    def _of_reply(self, raw: RawReply) -> str:
        """The kind of a reply; one of each status is read in full, to know what it counts as."""
        status = self._status_of(raw)
        if (kind := self._of_status.get(status)) is None:
            reply, reason = self._read(raw)
            failed = reason and not says_success(reply.status)
            kind = error_type(reply.status, Outcome.FAILED.value) if failed else SUCCEEDED
            self._of_status[status] = kind
        return kind
